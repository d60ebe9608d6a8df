/*
 * runtime/task.c - tasks: spawned, run, ended; and the handles by which others watch them.
 *
 * A handle outlives its task. Its lock decides between the task that ends (task becomes NULL, outcome is
 * set, joiners are called one by one, see sched/line.h) and those who join, cancel or ask.
 *
 * A task has one when somebody asks for it, which may be a foreign thread that has pinned it (runtime/tree.c), at its
 * very end. Whoever makes it publishes it by a compare-exchange: one wins. A task that ends looks for it twice,
 * first to tell joiners early, and then under its group's lock, when nobody has pinned it, on its way out of the
 * list: who has made one after the first look is seen there, because the unpin is under the same lock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/task.h>
#include <raddle/time.h>
#include <stdio.h>
#include <string.h>

#include "runtime/deadlock.h"
#include "runtime/debug.h"
#include "runtime/loop.h"
#include "runtime/monitor.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "runtime/waiter.h"
#include "sched/loop.h"
#include "sched/pageout.h"
#include "sched/planted.h"
#include "sched/strand.h"
#include "sched/sys.h"

struct rdl_task *rdl_task_self(void)
{
    return (struct rdl_task *)(void *)rdl_fiber_self();
}

/* Handles. */

static struct raddle_task *make_handle(struct rdl_task *task)
{
    struct raddle_task *handle = rdl_sys_malloc(sizeof(*handle));

    if (!handle)
        return NULL;
    memset(handle, 0, sizeof(*handle));
    rdl_atomic_init(&handle->references, 1); /* the task's own */
    handle->task = task;
    handle->arg = task->arg;
    strncpy(handle->name, task->name, sizeof(handle->name) - 1);
    return handle;
}

raddle_task *raddle_task_ref(raddle_task *task)
{
    rdl_atomic_fetch_add_relaxed(&task->references, 1);
    return task;
}

/* Gives a reference back; true: it was the last, and the handle is the caller's to destroy. */
static bool drop(struct raddle_task *handle)
{
    /* acq_rel: what others did with it comes before the free. */
    return rdl_atomic_fetch_sub_acq_rel(&handle->references, 1) == 1;
}

static void destroy(struct raddle_task *handle)
{
    rdl_sys_free(handle->reason);
    rdl_sys_free(handle);
}

void raddle_task_unref(raddle_task *task)
{
    if (!task || !drop(task))
        return;
    if (__builtin_expect(task->unread != 0, 0))
        rdl_task_report_unread(task->name, NULL, task->unread);
    destroy(task);
}

/* A task that is out of its group gives its own back. It is no place for an error handler, which would be in a task
 * that is none: who had a handle when it failed has given it back since (keep_unread() in group.c). */
static __attribute__((noinline)) void drop_own(struct raddle_task *handle)
{
    if (!drop(handle))
        return;
    if (handle->unread)
        rdl_report("task \"%s\" failed after another of its group had, and nobody has read it: %s",
                   handle->name, raddle_strerror(handle->unread));
    destroy(handle);
}

struct raddle_task *rdl_task_handle(struct rdl_task *task)
{
    /* acquire pairs with the release of who made it. */
    struct raddle_task *handle = rdl_atomic_load_acquire(&task->handle), *mine;

    if (handle)
        return handle;
    mine = make_handle(task);
    if (mine && rdl_atomic_cas_acq_rel(&task->handle, &handle, mine))
        return mine;
    rdl_sys_free(mine);
    return handle; /* another's */
}

raddle_task *raddle_self(void)
{
    struct rdl_task *self = rdl_task_self();

    return self ? rdl_task_handle(self) : NULL;
}

const char *raddle_task_name(const raddle_task *task)
{
    return task ? task->name : "";
}

void *raddle_task_arg(const raddle_task *task)
{
    return task ? task->arg : NULL;
}

/* The life of a task. */

/* Why the running task is cancelled, in memory that outlives who said so; NULL: nobody did, or there is no memory. */
static char *copy_reason(void)
{
    const char *reason = raddle_cancel_reason();
    size_t bytes = reason ? strlen(reason) + 1 : 0;
    char *copy = bytes ? rdl_sys_malloc(bytes) : NULL;

    return copy ? memcpy(copy, reason, bytes) : NULL;
}

void rdl_task_tell(struct rdl_task *self, const struct raddle_outcome *outcome)
{
    /* Seen before: by an acquire, or under the lock of the group. */
    struct raddle_task *handle = rdl_atomic_load_relaxed(&self->handle);
    struct rdl_ticket joiner;
    char *reason = NULL;

    if (outcome->kind == RADDLE_CANCELLED)
        reason = copy_reason();
    rdl_lock_acquire(&handle->lock);
    handle->task = NULL;
    handle->outcome = *outcome;
    handle->reason = reason;
    while ((joiner = rdl_line_call(&handle->joiners)).wait) {
        rdl_lock_release(&handle->lock);
        (void)rdl_fiber_fire(joiner, 0);
        rdl_lock_acquire(&handle->lock);
    }
    rdl_lock_release(&handle->lock);
}

/* What lies on this stack goes with it, unless the stack is kept. */
static __attribute__((noinline)) void abandon_held(struct rdl_task *self, bool stack_stays)
{
    const struct rdl_stack *stack = self->fiber.stack;
    const struct raddle_spawn_site *site = self->site;
    char who[128];
    struct rdl_held *held;

    if (site && site->line)
        snprintf(who, sizeof(who), "\"%s\" (%s:%d)", self->name, site->file, site->line);
    else
        snprintf(who, sizeof(who), "\"%s\"", self->name);
    while ((held = self->held)) {
        rdl_check(stack_stays || (char *)held < stack->low || (char *)held >= stack->top,
                  "a task returned while it held a lock that lay in its own frame");
        self->held = held->next;
        held->abandon(held, who);
    }
}

/* What it has set and taken for itself. Most tasks have nothing, and that is seen in one place. */
static inline bool owns(const struct rdl_task *self)
{
    return self->locals || self->held || !rdl_vars_empty(&self->vars);
}

static __attribute__((noinline)) void end_own(struct rdl_task *self)
{
    if (self->locals)
        rdl_locals_end(self);
    if (self->held)
        abandon_held(self, false);
    rdl_vars_fini(&self->vars);
}

/* It came to rc, has left its scopes, and is not to be seen any more when this is done. Inline, as each task ends. */
static inline __attribute__((always_inline)) void end_task(struct rdl_task *self, int rc)
{
    struct rdl_fiber *fiber = &self->fiber;
    struct raddle_outcome outcome = {.rc = rc};
    struct raddle_task *handle;

    if (owns(self))
        end_own(self);
    if (outcome.rc >= 0)
        outcome.kind = RADDLE_OK;
    else if (outcome.rc == -ECANCELED &&
             (fiber->told || raddle_cancelled())) /* or was, and it was taken back */
        outcome.kind = RADDLE_CANCELLED;
    else
        outcome = (struct raddle_outcome){RADDLE_FAILED, rdl_outcome_rc(outcome.rc)};
    if (self->stops)
        (void)rdl_fiber_move(fiber, self->stops); /* it is open for as long as we are */
    if (!rdl_group_expected(self, &outcome)) {
        rdl_group_child_ended(self, &outcome);
        if (owns(self)) /* of whom an error was reported to */
            end_own(self);
    }
    if (rdl_atomic_load_acquire(&self->handle)) {
        if (self->group->as_completed && !self->starting)
            rdl_group_line_up(self);
        rdl_task_tell(self, &outcome);
    }
    rdl_group_unlink(self, &outcome);
    handle = rdl_atomic_load_relaxed(&self->handle);
    if (handle)
        drop_own(handle);
    if (self->stops)
        self->stops->stop = true;
}

/* No canary: it would guard the outcome, which callees read. */
static __attribute__((no_stack_protector)) void task_main(struct rdl_fiber *fiber)
{
    struct rdl_task *self = (struct rdl_task *)(void *)fiber;
    int rc = self->fn(self->arg);

    rdl_check(rdl_loop_current(),
              "a task returned in the child of a fork: end the child with _exit()");
    if (__builtin_expect(fiber->scope != &self->root, 0))
        rdl_scope_die_inside(self);
    end_task(self, rc);
}

/*
 * Frames that nobody returns through may still be looked at: by children, which is why the groups are closed
 * first, and by whoever else knows an address in them. So the stack is never given back; the task that isn't one
 * any more sleeps on it for good.
 */
int raddle_abandon(int rc)
{
    struct rdl_task *self = rdl_task_self();
    struct rdl_scope *scope;
    int closed;

    if (rc >= 0)
        return -EINVAL;
    if (!self || self->stops)
        return -EPERM;
    while ((scope = self->fiber.scope) != &self->root) {
        struct raddle_group *group = (struct raddle_group *)(void *)scope;

        if (scope->flags & RDL_SCOPE_GROUP) {
            raddle_group_cancel(group, "the task that opened its group was abandoned");
            closed = raddle_group_close(group, 0);
            (void)closed; /* rc is what it came to */
        } else {
            rdl_scope_leave(&self->fiber, scope);
        }
    }
    if (self->held)
        abandon_held(self, true);
    end_task(self, rc);
    rdl_loop_abandon(rdl_loop_current(), &self->fiber);
    for (;;) {
        (void)rdl_fiber_arm(&self->fiber, RDL_PARK_SHIELDED);
        (void)rdl_fiber_park(&self->fiber, RDL_PARK_SHIELDED, "nothing: it was abandoned", 0);
    }
}

static int check_options(const struct raddle_spawn_options *options)
{
    for (unsigned i = 0; i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;
    return (unsigned)options->mobility <= RADDLE_PINNED ? 0 : -EINVAL;
}

/* A name that was given is copied; the function's is static. */
static void name_task(struct rdl_task *task, const struct raddle_spawn_options *options,
                      const struct raddle_spawn_site *site)
{
    size_t length;

    if (!options->name) {
        task->name = site ? site->function : "?";
        return;
    }
    length = strnlen(options->name, sizeof(task->name_copy) - 1);
    memcpy(task->name_copy, options->name, length);
    task->name_copy[length] = 0;
    task->name = task->name_copy;
}

/* The strand of a task that self spawns, or somebody outside of a task. */
static inline struct rdl_strand *strand_of(const struct raddle_spawn_options *options,
                                           const struct rdl_fiber *self)
{
    if (options->strand == RADDLE_NO_STRAND)
        return NULL;
    if (options->strand)
        return (struct rdl_strand *)(void *)options->strand;
    return self ? self->strand : NULL;
}

static const struct raddle_spawn_options defaults;

/* Lets policy have its say: the options, with what it may change. */
static int ask_policy(const struct raddle_policy *policy, const struct rdl_spawn *spawn,
                      struct raddle_spawn_options *options)
{
    struct raddle_spawn_options wanted = *options;
    int rc = policy->before_spawn(policy, spawn->fn, spawn->arg, spawn->site, &wanted);

    if (rc < 0)
        return rc;
    options->name = wanted.name;
    options->stack_bytes = wanted.stack_bytes;
    options->mobility = wanted.mobility;
    options->context = wanted.context;
    return check_options(options);
}

/* A task that may be paged out. */
struct apart {
    struct rdl_task task; /* first */
    struct rdl_paging paging;
};

/* Nothing on its stack is in a list of others: no group, no lock of its own; and it is its own stack that it stands on.
 * Scopes are its own, unless a group's children have them above theirs. */
static bool is_alone(const struct rdl_fiber *fiber)
{
    const struct rdl_task *task = (const struct rdl_task *)(const void *)fiber;

    return !task->groups && !task->held && !task->gen;
}

static __attribute__((noinline)) int create_apart(struct rdl_stack_cache *cache, size_t stack_bytes,
                                                  struct rdl_fiber **out)
{
    struct apart *apart = rdl_sys_calloc(1, sizeof(*apart));
    int rc;

    if (!apart)
        return -ENOMEM;
    apart->paging.alone = is_alone;
    *out = &apart->task.fiber;
    rc = rdl_fiber_create_apart(cache, *out, &apart->paging, stack_bytes, task_main);
    if (rc < 0)
        rdl_sys_free(apart);
    return rc;
}

/* With its place in the group, by a caller who runs on here, if on a loop. Inline, so that what a caller is sure of
 * isn't looked at. */
static inline __attribute__((always_inline)) int
start_task(const struct rdl_spawn *spawn, struct rdl_loop *here, raddle_task **out)
{
    const struct raddle_spawn_options *options = spawn->options ? spawn->options : &defaults;
    struct rdl_loop *there = options->loop ? &options->loop->base : here;
    struct rdl_fiber *self = here ? rdl_atomic_load_relaxed(&here->current) : NULL;
    struct rdl_stack_cache *cache = here ? &here->stacks : NULL;
    struct raddle_task *handle = NULL;
    struct rdl_strand *strand = strand_of(options, self);
    struct rdl_fiber *fiber;
    struct rdl_task *task;
    int rc = 0;

    /* An eager one runs on the caller's loop, on the caller's turn if it is in a strand. */
    if (options->eager_start && (there != here || (strand && (!self || strand != self->strand))))
        return -EINVAL;
    if (__builtin_expect(options->page_out, 0))
        rc = create_apart(cache, options->stack_bytes, &fiber);
    else
        rc = rdl_fiber_create(cache, sizeof(*task), offsetof(struct rdl_task, root),
                              options->stack_bytes, task_main, &fiber);
    if (rc < 0)
        return rc;

    task = (struct rdl_task *)(void *)fiber;
    task->fn = spawn->fn;
    task->arg = spawn->arg;
    task->site = spawn->site;
    task->context = spawn->context;
    task->stops = spawn->stops;
    task->starting = spawn->starting;
    name_task(task, options, spawn->site);
    fiber->home = there;
    fiber->quiet = spawn->quiet;
    if (strand)
        fiber->strand = rdl_strand_ref(strand);
    rdl_atomic_store_relaxed(&fiber->mobility,
                             (uint8_t)(options->loop       ? RADDLE_PINNED
                                       : options->mobility ? options->mobility
                                                           : rdl_raddle_loop(there)->mobility));
    if (out || spawn->group->as_completed) {
        handle = make_handle(task);
        if (!handle) {
            if (!RDL_PLANTED(LEAK))
                rdl_fiber_discard(cache, fiber);
            return -ENOMEM;
        }
        rdl_atomic_init(&task->handle, handle); /* the task's reference; below, the caller's */
        if (out)
            (void)raddle_task_ref(handle);
    }
    if (options->context)
        task->vars.ctx = raddle_ctx_ref(options->context);
    else if (!self || !rdl_vars_empty(&((struct rdl_task *)(void *)self)->vars))
        task->vars.map = rdl_vars_capture();
    rdl_scope_enter(fiber, &task->root, &spawn->group->scope, RADDLE_NEVER, 0);
    if (!rdl_group_link(spawn->group, task)) {
        rc = RADDLE_ESHUTDOWN;
        goto discard;
    }
    if (there == here) {
        if (out)
            *out = handle; /* before it runs: an eager one may look for it there */
        if (options->eager_start)
            rdl_fiber_start_eagerly(fiber);
        else
            rdl_loop_start(here, fiber);
        return 0;
    }
    if (!rdl_loop_post(there, &fiber->run)) {
        rdl_group_unlink(task, NULL);
        rc = RADDLE_ESHUTDOWN;
        goto discard;
    }
    /* The task may have ended by now; the handle has the caller's reference. */
    if (out)
        *out = handle;
    return 0;
discard:
    rdl_vars_fini(&task->vars);
    if (handle)
        rdl_sys_free(handle);
    rdl_fiber_discard(cache, fiber);
    return rc;
}

/* No canary: it would guard a pointer that a callee fills in. */
static __attribute__((noinline, no_stack_protector)) int
start_any(const struct rdl_spawn *spawn, struct rdl_loop *here, raddle_task **out)
{
    return start_task(spawn, here, out);
}

/* As policy says. A copy of spawn, so that the caller needs no memory for it. */
static __attribute__((noinline)) int start_asked(const struct raddle_policy *policy,
                                                 struct rdl_spawn spawn, struct rdl_loop *here,
                                                 raddle_task **out)
{
    struct raddle_spawn_options options = spawn.options ? *spawn.options : defaults;
    int rc = ask_policy(policy, &spawn, &options);

    spawn.options = &options;
    return rc < 0 ? rc : start_any(&spawn, here, out);
}

/* plain: the caller is sure of most of spawn, and it pays to have all of this once more for it. */
static inline __attribute__((always_inline)) int spawn_task(const struct rdl_spawn *spawn,
                                                            bool plain, raddle_task **out)
{
    const struct raddle_policy *policy;
    struct rdl_loop *here, *there;
    int rc;

    if (!spawn->group || !spawn->fn || (spawn->options && check_options(spawn->options) < 0))
        return -EINVAL;
    rc = rdl_group_take_place(spawn->group); /* may suspend: here is where it goes on */
    if (rc < 0)
        return rc;
    here = rdl_loop_current();
    there = spawn->options && spawn->options->loop ? &spawn->options->loop->base : here;
    policy = there && !spawn->stops ? rdl_raddle_loop(there)->spawns : NULL;
    if (!there)
        rc = -EPERM;
    else if (__builtin_expect(policy != NULL, 0))
        rc = start_asked(policy, *spawn, here, out);
    else
        rc = plain ? start_task(spawn, here, out) : start_any(spawn, here, out);
    if (rc < 0)
        rdl_group_drop_place(spawn->group);
    return rc;
}

int rdl_task_spawn(const struct rdl_spawn *spawn, raddle_task **out)
{
    return spawn_task(spawn, false, out);
}

/* Tasks go to loops of the caller's team only: others may end before the group that owns the task. */
static bool same_team(const raddle_loop *loop)
{
    struct rdl_loop *here = rdl_loop_current();

    return &loop->base == here || (here && here->team && here->team == loop->base.team);
}

int rdl_task_spawn_user(struct raddle_group *group, raddle_task **out, raddle_task_fn *fn,
                        void *arg, const struct raddle_spawn_options *options,
                        const struct raddle_spawn_site *site, struct rdl_starting *starting)
{
    struct rdl_spawn spawn = {
        .group = (struct rdl_group *)(void *)group,
        .fn = fn,
        .arg = arg,
        .options = options,
        .site = site,
        .starting = starting,
    };

    if (options && options->loop && !same_team(options->loop))
        return rdl_loop_current() ? -EXDEV : -EPERM;
    return rdl_task_spawn(&spawn, out);
}

/* A spawn without options and without a handle is the one to be quick. */
__attribute__((no_stack_protector)) int
raddle_spawn_at(struct raddle_group *group, raddle_task **out, raddle_task_fn *fn, void *arg,
                const struct raddle_spawn_options *options, const struct raddle_spawn_site *site)
{
    const struct rdl_spawn spawn = {
        .group = (struct rdl_group *)(void *)group, .fn = fn, .arg = arg, .site = site};

    if (out || options)
        return rdl_task_spawn_user(group, out, fn, arg, options, site, NULL);
    return spawn_task(&spawn, true, NULL);
}

/* Watching. */

bool rdl_task_would_deadlock(const struct raddle_task *handle)
{
    const struct rdl_task *self = rdl_task_self();

    while (self) {
        if (rdl_atomic_load_relaxed(&self->handle) == handle)
            return true;
        self = self->group->owner;
    }
    return false;
}

bool rdl_task_join_line(struct raddle_task *handle, struct rdl_place *place,
                        struct rdl_ticket ticket)
{
    bool runs;

    rdl_lock_acquire(&handle->lock);
    runs = handle->task != NULL;
    if (runs) {
        place->ticket = ticket;
        rdl_line_join(&handle->joiners, place);
    }
    rdl_lock_release(&handle->lock);
    return runs;
}

void rdl_task_leave_line(struct raddle_task *handle, struct rdl_place *place)
{
    rdl_lock_acquire(&handle->lock);
    rdl_line_leave(&handle->joiners, place);
    rdl_lock_release(&handle->lock);
}

/* blocked: the wait in the graph; NULL: it isn't there. */
static int wait_for_end(struct rdl_task *self, raddle_task *handle, struct raddle_outcome *outcome,
                        const struct rdl_blocked *blocked)
{
    struct rdl_place place = {.in_line = false};
    int rc = 0;

    rdl_lock_acquire(&handle->lock);
    while (handle->task) {
        if (rc < 0) {
            rdl_lock_release(&handle->lock);
            return rc;
        }
        place.ticket = rdl_fiber_arm(&self->fiber, RDL_PARK_CANCELLABLE);
        rdl_line_join(&handle->joiners, &place);
        rdl_lock_release(&handle->lock);
        (void)rdl_fiber_park(&self->fiber, RDL_PARK_CANCELLABLE, "the end of a task",
                             (uint64_t)(uintptr_t)handle);
        rc = blocked && rdl_deadlock_refused(blocked) ? -EDEADLK : rdl_cancel_check(&self->fiber);
        rdl_lock_acquire(&handle->lock);
        rdl_line_leave(&handle->joiners, &place);
    }
    /* It has ended, which wins against a cancellation that came meanwhile. */
    if (outcome) {
        *outcome = handle->outcome;
        handle->unread = 0;
    }
    rdl_lock_release(&handle->lock);
    return 0;
}

static __attribute__((noinline)) int wait_watched(struct rdl_task *self, raddle_task *handle,
                                                  struct raddle_outcome *outcome)
{
    struct rdl_blocked blocked = {.by = RDL_BLOCKED_BY_TASK,
                                  .how = RDL_PARK_CANCELLABLE,
                                  .fiber = &self->fiber,
                                  .task = handle};
    int rc = rdl_deadlock_enter(&blocked);

    if (rc == 0)
        rc = wait_for_end(self, handle, outcome, &blocked);
    rdl_deadlock_leave(&blocked);
    return rc;
}

int raddle_join(raddle_task *handle, struct raddle_outcome *outcome)
{
    struct rdl_task *self = rdl_task_self();
    int rc;

    if (!handle)
        return -EINVAL;
    if (!self)
        return -EPERM;
    if (rdl_task_would_deadlock(handle)) {
        if (rdl_debug_checks())
            rdl_deadlock_report_join(handle);
        return -EDEADLK;
    }
    rc = rdl_cancel_check(&self->fiber);
    if (rc < 0)
        return rc;
    if (rdl_debug_checks())
        return wait_watched(self, handle, outcome);
    return wait_for_end(self, handle, outcome, NULL);
}

int raddle_outcome_of(raddle_task *handle, struct raddle_outcome *outcome)
{
    int rc = -EINPROGRESS;

    if (!handle || !outcome)
        return -EINVAL;
    rdl_lock_acquire(&handle->lock);
    if (!handle->task) {
        *outcome = handle->outcome;
        handle->unread = 0;
        rc = 0;
    }
    rdl_lock_release(&handle->lock);
    return rc;
}

const char *raddle_task_reason(raddle_task *handle)
{
    const char *reason;

    if (!handle)
        return NULL;
    rdl_lock_acquire(&handle->lock);
    reason = handle->reason;
    rdl_lock_release(&handle->lock);
    return reason;
}

int raddle_task_cancel(raddle_task *handle, const char *reason)
{
    struct rdl_task *task;

    if (!handle)
        return -EINVAL;
    /* Marked under the lock: raddle_uncancel() takes it back, and must not come between the count and the mark. */
    rdl_lock_acquire(&handle->lock);
    task = handle->task;
    if (task) {
        rdl_task_pin(task);
        handle->requests++;
        rdl_scope_mark(&task->root, RDL_SCOPE_CANCELLED, reason);
    }
    rdl_lock_release(&handle->lock);
    if (!task)
        return -EALREADY;
    rdl_scope_poke_tree(&task->root);
    rdl_task_unpin(task);
    return 0;
}

int raddle_cancelling(raddle_task *handle)
{
    unsigned requests;

    if (!handle)
        return -EINVAL;
    rdl_monitor_look();
    rdl_lock_acquire(&handle->lock);
    requests = handle->requests;
    rdl_lock_release(&handle->lock);
    return requests < INT_MAX ? (int)requests : INT_MAX;
}

int raddle_uncancel(void)
{
    struct rdl_task *self = rdl_task_self();
    struct raddle_task *handle;
    unsigned left;

    if (!self)
        return -EPERM;
    handle = rdl_atomic_load_acquire(&self->handle);
    if (!handle)
        return 0; /* who cancels a task has its handle */
    rdl_lock_acquire(&handle->lock);
    if (handle->requests && --handle->requests == 0)
        rdl_scope_unmark(&self->root);
    if (!handle->requests)
        self->fiber.told = false;
    left = handle->requests;
    rdl_lock_release(&handle->lock);
    return left < INT_MAX ? (int)left : INT_MAX;
}

int raddle_move_to(raddle_loop *loop)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    if (!self)
        return -EPERM;
    if (!loop)
        return -EINVAL;
    if (!same_team(loop))
        return -EXDEV;
    rc = rdl_cancel_check(self);
    return rc < 0 ? rc : rdl_fiber_move(self, &loop->base);
}
