/*
 * runtime/future.c - a result that is set once.
 *
 * The future's lock decides who is first. Before it is released the outcome is there and done is set; nothing
 * of the outcome changes after that, so who has seen done (acquire) reads it without the lock.
 *
 * Callbacks. One is a runnable that is posted to its loop. It lies in waiting until the future is done, and
 * then in posted until its loop calls it or it is removed:
 *
 *     waiting --pop--> posted --(its loop)--> called, freed
 *        |                `--(removed)--> in no list, removed: freed by its loop, uncalled
 *        `--(removed, or the future goes)--> freed
 *
 * A posted one has a reference to the future, whose lock decides between its loop and who removes it. A
 * waiting one hasn't: a future that nobody can set any more goes, and its callbacks with it.
 *
 * Posting may be a system call, so it is done without the lock, by one at a time (posting): others only add to
 * the end of waiting. So callbacks are posted in the order in which they were added, whoever posts them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/future.h>

#include "runtime/call.h"
#include "runtime/future.h"
#include "runtime/loop.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "sched/sys.h"
#include "sched/turn.h"

struct callback {
    struct rdl_runnable run; /* first */
    struct callback *next;   /* in waiting or posted */
    raddle_future *future;
    struct raddle_loop *loop;
    raddle_callback_fn *fn;
    void *arg;
    struct rdl_map *vars; /* those of who registered it */
    uint32_t hops;        /* see call.h. Set when it is posted */
    bool removed;         /* under the future's lock */
};

struct callbacks {
    struct callback *first, *last;
};

struct raddle_future {
    rdl_atomic(uint32_t) references;
    rdl_atomic(bool) done;
    rdl_atomic(bool) read; /* somebody has seen the outcome */
    struct rdl_lock lock;
    const char *site;

    /* Set once, under lock, before done. */
    struct raddle_outcome outcome;
    void *value;
    const char *reason;

    /* Under lock. */
    struct rdl_line waiters; /* of struct rdl_turn */
    struct callbacks waiting, posted;
    bool posting;
};

static void append(struct callbacks *list, struct callback *callback)
{
    callback->next = NULL;
    if (list->first)
        list->last->next = callback;
    else
        list->first = callback;
    list->last = callback;
}

/* before: the one in front of it; NULL: it is the first. */
static void unlink_after(struct callbacks *list, struct callback *before, struct callback *callback)
{
    if (before)
        before->next = callback->next;
    else
        list->first = callback->next;
    if (list->last == callback)
        list->last = before;
}

static void unlink_from(struct callbacks *list, struct callback *callback)
{
    struct callback *before = NULL;

    for (struct callback *c = list->first; c != callback; c = c->next)
        before = c;
    unlink_after(list, before, callback);
}

static void free_callback(struct callback *callback)
{
    rdl_map_unref(callback->vars);
    rdl_sys_free(callback);
}

int raddle_future_create_at(raddle_future **out, const char *site)
{
    raddle_future *future;

    if (!out)
        return -EINVAL;
    future = rdl_sys_calloc(1, sizeof(*future));
    if (!future)
        return -ENOMEM;
    rdl_atomic_init(&future->references, 1);
    future->site = site ? site : "?";
    *out = future;
    return 0;
}

raddle_future *raddle_future_ref(raddle_future *future)
{
    rdl_atomic_fetch_add_relaxed(&future->references, 1);
    return future;
}

void raddle_future_unref(raddle_future *future)
{
    struct callback *callback;

    /* acq_rel: what others did with it comes before the free. */
    if (!future || rdl_atomic_fetch_sub_acq_rel(&future->references, 1) != 1)
        return;
    if (future->outcome.kind == RADDLE_FAILED && !rdl_atomic_load_relaxed(&future->read))
        rdl_report_error(
            &(struct raddle_error_event){.rc = future->outcome.rc, .site = future->site},
            "a future made at %s failed, and nobody has read it: %s (%d)", future->site,
            raddle_strerror(future->outcome.rc), future->outcome.rc);
    while ((callback = future->waiting.first)) {
        future->waiting.first = callback->next;
        free_callback(callback);
    }
    rdl_sys_free(future);
}

/* Callbacks. */

/* On its loop, or for one that refused it. True: it is to be called. */
static bool take_posted(struct callback *callback)
{
    raddle_future *future = callback->future;
    bool removed;

    rdl_lock_acquire(&future->lock);
    removed = callback->removed;
    if (!removed)
        unlink_from(&future->posted, callback);
    rdl_lock_release(&future->lock);
    return !removed;
}

static void call_back(struct rdl_runnable *run)
{
    struct callback *callback = (struct callback *)(void *)run;
    bool call = take_posted(callback);
    raddle_future *future = callback->future;
    raddle_callback_fn *fn = callback->fn;
    void *arg = callback->arg;
    struct rdl_map *vars = callback->vars;
    uint32_t hops = callback->hops;

    rdl_sys_free(callback);
    if (call)
        rdl_call(vars, fn, arg, hops);
    else
        rdl_map_unref(vars);
    raddle_future_unref(future);
}

static void post(struct callback *callback)
{
    raddle_future *future = callback->future;

    callback->hops = rdl_call_hops(callback->loop);
    if (!rdl_atomic_load_relaxed(&callback->loop->closing) &&
        rdl_loop_post(&callback->loop->base, &callback->run))
        return;
    if (take_posted(callback))
        rdl_report("a callback of the future made at %s is not called: its loop has ended",
                   future->site);
    free_callback(callback);
    raddle_future_unref(future);
}

/* Of a future that is done, and to which the caller has a reference. */
static void post_all(raddle_future *future)
{
    struct callback *callback;

    rdl_lock_acquire(&future->lock);
    if (!future->posting) {
        future->posting = true;
        while ((callback = future->waiting.first)) {
            unlink_after(&future->waiting, NULL, callback);
            append(&future->posted, callback);
            (void)raddle_future_ref(future);
            rdl_lock_release(&future->lock);
            post(callback);
            rdl_lock_acquire(&future->lock);
        }
        future->posting = false;
    }
    rdl_lock_release(&future->lock);
}

int raddle_future_on_done(raddle_future *future, raddle_loop *loop, raddle_callback_fn *fn,
                          void *arg)
{
    struct callback *callback;

    if (!future || !fn)
        return -EINVAL;
    if (!loop)
        loop = raddle_running_loop();
    if (!loop)
        return -EPERM;
    callback = rdl_sys_malloc(sizeof(*callback));
    if (!callback)
        return -ENOMEM;
    *callback = (struct callback){.run = {.call = call_back},
                                  .future = future,
                                  .loop = loop,
                                  .fn = fn,
                                  .arg = arg,
                                  .vars = rdl_vars_capture()};
    rdl_lock_acquire(&future->lock);
    append(&future->waiting, callback);
    rdl_lock_release(&future->lock);
    if (rdl_atomic_load_acquire(&future->done))
        post_all(future);
    return 0;
}

/* Under the lock. */
static int remove_from(struct callbacks *list, raddle_callback_fn *fn, const void *arg,
                       struct callbacks *removed)
{
    struct callback *before = NULL, *next;
    int count = 0;

    for (struct callback *c = list->first; c; c = next) {
        next = c->next;
        if (c->fn != fn || c->arg != arg) {
            before = c;
            continue;
        }
        unlink_after(list, before, c);
        c->removed = true;
        count++;
        if (removed)
            append(removed, c);
    }
    return count;
}

int raddle_future_remove_done(raddle_future *future, raddle_callback_fn *fn, void *arg)
{
    struct callbacks removed = {.first = NULL};
    struct callback *next;
    int count;

    if (!future || !fn)
        return -EINVAL;
    rdl_lock_acquire(&future->lock);
    count = remove_from(&future->posted, fn, arg, NULL);
    count += remove_from(&future->waiting, fn, arg, &removed);
    rdl_lock_release(&future->lock);
    for (struct callback *c = removed.first; c; c = next) {
        next = c->next;
        free_callback(c);
    }
    return count;
}

/* Setting. */

static int finish(raddle_future *future, struct raddle_outcome outcome, void *value,
                  const char *reason)
{
    if (!future)
        return -EINVAL;
    rdl_lock_acquire(&future->lock);
    if (rdl_atomic_load_relaxed(&future->done)) {
        rdl_lock_release(&future->lock);
        return -EALREADY;
    }
    future->outcome = outcome;
    future->value = value;
    future->reason = reason;
    /* release pairs with the acquire of who reads the outcome without the lock. */
    rdl_atomic_store_release(&future->done, true);
    rdl_lock_release(&future->lock);
    post_all(future);
    rdl_turn_tell_all(&future->lock, &future->waiters, 0); /* nobody joins it any more */
    return 0;
}

int raddle_future_set(raddle_future *future, int rc, void *value)
{
    struct raddle_outcome outcome = {.kind = rc < 0 ? RADDLE_FAILED : RADDLE_OK,
                                     .rc = rdl_outcome_rc(rc)};

    return finish(future, outcome, value, NULL);
}

int raddle_future_cancel(raddle_future *future, const char *reason)
{
    struct raddle_outcome outcome = {.kind = RADDLE_CANCELLED, .rc = -ECANCELED};

    return finish(future, outcome, NULL, reason);
}

/* Choosing. */

bool rdl_future_join_choice(raddle_future *future, struct rdl_turn *turn, struct rdl_ticket ticket,
                            struct rdl_choice *choice)
{
    bool pending;

    rdl_lock_acquire(&future->lock);
    pending = !rdl_atomic_load_relaxed(&future->done);
    if (pending)
        rdl_turn_join_choice(&future->waiters, turn, ticket, choice);
    rdl_lock_release(&future->lock);
    return pending;
}

void rdl_future_leave(raddle_future *future, struct rdl_turn *turn)
{
    rdl_lock_acquire(&future->lock);
    rdl_line_leave(&future->waiters, &turn->place);
    rdl_lock_release(&future->lock);
}

/* Reading. */

/* False: it is pending. */
static bool read_outcome(raddle_future *future, struct raddle_outcome *outcome)
{
    if (!rdl_atomic_load_acquire(&future->done))
        return false;
    rdl_atomic_store_relaxed(&future->read, true);
    if (outcome)
        *outcome = future->outcome;
    return true;
}

static int wait_for(raddle_future *future, struct rdl_fiber *self, raddle_time deadline,
                    struct raddle_outcome *outcome)
{
    struct rdl_turn turn = {.result = 0};
    int rc = 0;

    rdl_lock_acquire(&future->lock);
    if (rdl_atomic_load_relaxed(&future->done)) {
        rdl_lock_release(&future->lock);
    } else {
        rdl_turn_join(&future->waiters, &turn, self);
        rdl_lock_release(&future->lock);
        rc = rdl_turn_wait(&future->lock, &future->waiters, &turn, self, deadline, "a future",
                           future);
    }
    /* Also when it was done while the wait ended in another way. */
    return read_outcome(future, outcome) ? 0 : rc;
}

int raddle_future_wait(raddle_future *future, struct raddle_outcome *outcome)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    if (!future)
        return -EINVAL;
    if (loop && !self)
        return -EPERM;
    if (read_outcome(future, outcome))
        return 0;
    rc = self ? rdl_cancel_check(self) : 0;
    return rc < 0 ? rc : wait_for(future, self, RADDLE_NEVER, outcome);
}

int raddle_future_wait_thread(raddle_future *future, raddle_time deadline,
                              struct raddle_outcome *outcome)
{
    if (!future)
        return -EINVAL;
    if (rdl_loop_current())
        return -EPERM;
    if (read_outcome(future, outcome))
        return 0;
    return wait_for(future, NULL, deadline ? deadline : RADDLE_NEVER, outcome);
}

int raddle_future_outcome(raddle_future *future, struct raddle_outcome *outcome)
{
    if (!future || !outcome)
        return -EINVAL;
    return read_outcome(future, outcome) ? 0 : -EINPROGRESS;
}

void *raddle_future_value(raddle_future *future)
{
    return rdl_atomic_load_acquire(&future->done) ? future->value : NULL;
}

const char *raddle_future_reason(raddle_future *future)
{
    return rdl_atomic_load_acquire(&future->done) ? future->reason : NULL;
}
