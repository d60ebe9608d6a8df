/*
 * runtime/callback.c - callbacks with a handle: called soon or at a time, or called off.
 *
 * The danger is in calling one off. Any thread may, at any moment, while its loop is about to call it, or is
 * being closed and freed. So the handle has a lock, under which one of them is first, and says in which queue
 * of the loop the handle lies:
 *
 *     queued   armed   the handle is                              leaves this state by
 *     yes      no      in a queue, to be called or armed          its loop, which takes it out
 *     no       yes     in the list of its loop and the wheel      its timer (to queued), a cancel, the drop
 *     yes      yes     due and in a queue, or to be taken out     its loop
 *     no       no      called, or called off                      nobody
 *
 * queued and state are under the lock; the list, the wheel and armed are the loop's thread's. Who sets queued
 * owns run and puts it into a queue. What is called off while it is queued stays there: whoever takes it out
 * sees. What is only armed is taken out at once by the loop's own thread; another thread has to queue it.
 *
 * Lifetime. The loop has one reference, given up when it has no use for the handle any more. A canceller from
 * elsewhere knows that the loop exists for as long as it holds the lock and finds the callback pending: the
 * drop, which comes before the loop is freed, would have had to take the lock. Before it lets the lock go it
 * therefore holds the loop (sched/loop.h).
 *
 * Order. A callback that comes from another thread is armed when the loop takes it out of its inbox. Until
 * then (arriving) the loop's own thread takes the same way, so that of two callbacks with equal times the one
 * that was asked for first is armed first, whoever asked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <raddle/callback.h>
#include <raddle/error.h>
#include <stddef.h>

#include "runtime/call.h"
#include "runtime/loop.h"
#include "sched/sys.h"

enum state { PENDING, CALLED, CANCELLED };

struct raddle_handle {
    struct rdl_runnable run; /* first */
    struct rdl_timer timer;
    struct raddle_handle *next, **link; /* in the loop's list; link NULL: not armed. Its thread's */
    struct raddle_loop *loop;           /* as long as it is pending */
    raddle_callback_fn *fn;
    void *arg;
    struct rdl_map *vars; /* those of who asked; NULL once it is called. The loop's thread's */
    raddle_time when;     /* 0: soon */
    uint32_t hops;        /* see call.h */
    const struct raddle_spawn_site *site; /* where it was asked for, or NULL */
    rdl_atomic(uint32_t) references;
    struct rdl_lock lock;
    uint8_t state; /* enum state. Under lock */
    bool queued;   /* under lock */
};

static raddle_handle *handle_of_run(struct rdl_runnable *run)
{
    return (raddle_handle *)(void *)run;
}

static raddle_handle *handle_of_timer(struct rdl_timer *timer)
{
    return (raddle_handle *)(void *)((char *)timer - offsetof(raddle_handle, timer));
}

static void destroy(raddle_handle *handle)
{
    rdl_map_unref(handle->vars);
    rdl_sys_free(handle);
}

raddle_handle *raddle_handle_ref(raddle_handle *handle)
{
    rdl_atomic_fetch_add_relaxed(&handle->references, 1);
    return handle;
}

void raddle_handle_unref(raddle_handle *handle)
{
    /* acq_rel: what others did with it comes before the free. */
    if (handle && rdl_atomic_fetch_sub_acq_rel(&handle->references, 1) == 1)
        destroy(handle);
}

/* On the loop's thread. */

/* Takes it out of a queue; true: it is the caller's to go on with as pending, in that state. */
static bool take(raddle_handle *handle, enum state state)
{
    bool pending;

    rdl_lock_acquire(&handle->lock);
    handle->queued = false;
    pending = handle->state == PENDING;
    if (pending)
        handle->state = (uint8_t)state;
    rdl_lock_release(&handle->lock);
    return pending;
}

static void disarm(raddle_handle *handle, struct rdl_loop *loop)
{
    rdl_timer_disarm(&loop->timers, &handle->timer);
    if (!handle->link)
        return;
    *handle->link = handle->next;
    if (handle->next)
        handle->next->link = handle->link;
    handle->link = NULL;
}

/* Its turn has come: called, or found to have been called off. */
static void call(struct rdl_runnable *run)
{
    raddle_handle *handle = handle_of_run(run);
    bool pending = take(handle, CALLED);
    struct rdl_map *vars = handle->vars;

    disarm(handle, rdl_loop_current());
    if (pending) {
        handle->vars = NULL;
        rdl_call(vars, handle->fn, handle->arg, handle->hops);
    }
    raddle_handle_unref(handle);
}

/* Its time has come: it lines up. Called off meanwhile, it is in a queue already. */
static void fired(struct rdl_timer *timer, struct rdl_loop *loop)
{
    raddle_handle *handle = handle_of_timer(timer);
    bool pending;

    rdl_lock_acquire(&handle->lock);
    pending = handle->state == PENDING;
    if (pending) {
        handle->queued = true;
        handle->run.call = call;
    }
    rdl_lock_release(&handle->lock);
    if (pending)
        rdl_loop_enqueue(loop, &handle->run);
}

static void arm(raddle_handle *handle, struct raddle_loop *loop)
{
    handle->next = loop->timed;
    handle->link = &loop->timed;
    if (loop->timed)
        loop->timed->link = &handle->next;
    loop->timed = handle;
    if (handle->when != RADDLE_NEVER)
        rdl_timer_arm(&loop->base.timers, &handle->timer, handle->when);
}

/* Before anybody can queue it again: from then on it may be called off, which finds it armed. */
static void arrive(struct rdl_runnable *run)
{
    raddle_handle *handle = handle_of_run(run);
    struct raddle_loop *loop = handle->loop;

    rdl_atomic_fetch_sub_relaxed(&loop->arriving, 1);
    arm(handle, loop);
    if (take(handle, PENDING))
        return;
    disarm(handle, &loop->base);
    raddle_handle_unref(handle);
}

/* Asking. */

static int make(raddle_loop *loop, raddle_time when, raddle_callback_fn *fn, void *arg,
                raddle_handle **out)
{
    raddle_handle *handle;

    if (!loop || !fn)
        return -EINVAL;
    if (rdl_atomic_load_relaxed(&loop->closing))
        return RADDLE_ESHUTDOWN;
    handle = rdl_sys_calloc(1, sizeof(*handle));
    if (!handle)
        return -ENOMEM;
    rdl_atomic_init(&handle->references, 2); /* the loop's and the caller's */
    handle->timer.fired = fired;
    handle->loop = loop;
    handle->fn = fn;
    handle->arg = arg;
    handle->vars = rdl_vars_capture();
    handle->when = when;
    *out = handle;
    return 0;
}

/* The caller's reference becomes *out, or goes. */
static void give(raddle_handle *handle, raddle_handle **out)
{
    if (out)
        *out = handle;
    else
        raddle_handle_unref(handle);
}

int raddle_call_soon_handle(raddle_loop *loop, raddle_callback_fn *fn, void *arg,
                            raddle_handle **out)
{
    raddle_handle *handle;
    int rc = out ? make(loop, 0, fn, arg, &handle) : -EINVAL;

    if (rc < 0)
        return rc;
    handle->queued = true;
    handle->hops = rdl_call_hops(loop);
    handle->run.call = call;
    if (!rdl_raddle_loop_queue(loop, &handle->run)) {
        destroy(handle);
        return RADDLE_ESHUTDOWN;
    }
    give(handle, out);
    return 0;
}

int raddle_call_at_site(raddle_loop *loop, raddle_time when, raddle_callback_fn *fn, void *arg,
                        raddle_handle **out, const struct raddle_spawn_site *site)
{
    raddle_handle *handle;
    int rc = make(loop, when, fn, arg, &handle);

    if (rc < 0)
        return rc;
    handle->site = site;
    if (rdl_loop_current() == &loop->base && !rdl_atomic_load_relaxed(&loop->arriving)) {
        arm(handle, loop);
    } else {
        handle->queued = true;
        handle->run.call = arrive;
        rdl_atomic_fetch_add_relaxed(&loop->arriving, 1);
        if (!rdl_loop_post(&loop->base, &handle->run)) {
            rdl_atomic_fetch_sub_relaxed(&loop->arriving, 1);
            destroy(handle);
            return RADDLE_ESHUTDOWN;
        }
    }
    give(handle, out);
    return 0;
}

/* Calling off. */

/* Under the lock: it is armed on another thread's loop, which takes it out in its next turn. */
static void send_for_removal(raddle_handle *handle)
{
    struct rdl_loop *loop = &handle->loop->base;

    handle->queued = true;
    handle->run.call = call;
    rdl_loop_hold(loop);
    rdl_lock_release(&handle->lock);
    /* Refused: the loop is closed, and its drop takes the handle out. */
    (void)rdl_loop_post(loop, &handle->run);
    rdl_loop_let_go(loop);
}

int raddle_handle_cancel(raddle_handle *handle)
{
    enum state before;

    if (!handle)
        return -EINVAL;
    rdl_lock_acquire(&handle->lock);
    before = (enum state)handle->state;
    if (before == PENDING)
        handle->state = CANCELLED;
    if (before != PENDING || handle->queued) {
        rdl_lock_release(&handle->lock);
        return before == CALLED ? -EALREADY : 0;
    }
    if (rdl_loop_current() == &handle->loop->base) {
        rdl_lock_release(&handle->lock);
        disarm(handle, &handle->loop->base);
        raddle_handle_unref(handle);
    } else if (rdl_atomic_load_relaxed(&handle->loop->closing)) {
        rdl_lock_release(
            &handle->lock); /* the drop takes it out; a forked child's parent has no use for it */
    } else {
        send_for_removal(handle);
    }
    return 0;
}

void rdl_callbacks_drop(struct raddle_loop *loop)
{
    raddle_handle *handle;

    while ((handle = loop->timed)) {
        (void)take(handle, CANCELLED);
        disarm(handle, &loop->base);
        raddle_handle_unref(handle);
    }
}

void rdl_callbacks_visit(struct raddle_loop *loop,
                         void (*visit)(const struct raddle_spawn_site *site, raddle_time when,
                                       void *arg),
                         void *arg)
{
    for (raddle_handle *handle = loop->timed; handle; handle = handle->next) {
        bool pending;

        rdl_lock_acquire(&handle->lock);
        pending = handle->state == PENDING;
        rdl_lock_release(&handle->lock);
        if (pending)
            visit(handle->site, handle->when, arg);
    }
}

bool raddle_handle_cancelled(raddle_handle *handle)
{
    bool cancelled;

    rdl_lock_acquire(&handle->lock);
    cancelled = handle->state == CANCELLED;
    rdl_lock_release(&handle->lock);
    return cancelled;
}

raddle_time raddle_handle_when(const raddle_handle *handle)
{
    return handle->when;
}
