/*
 * runtime/executor.c - run_in_executor: a task waits while a thread of a pool does blocking work.
 *
 * The call lies in the task's frame. finished and ticket are under its lock: the pool's thread sets
 * finished, copies the ticket, releases the lock, which is its last touch of the frame, and fires.
 *
 * When the queue is full, tasks line up in the executor, first come first served. Who finds it full does so
 * under the executor's lock and links itself before releasing it; whatever makes room later (a thread takes
 * a job, or one is taken back) calls the first in line, and who was called and leaves without having
 * submitted calls the next. So nobody is forgotten.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <raddle/error.h>
#include <raddle/executor.h>
#include <string.h>

#include "runtime/loop.h"
#include "runtime/task.h"
#include "sched/line.h"
#include "sched/pool.h"
#include "sched/spin.h"
#include "sched/sys.h"

struct raddle_executor {
    struct rdl_pool *pool;
    enum raddle_when_full when_full;
    pthread_mutex_t lock;         /* held across rdl_pool_submit(), which may create a thread */
    struct rdl_line line;         /* under lock */
    rdl_atomic(unsigned) waiting; /* tasks in it, or about to join it */
};

struct call {
    struct rdl_job job; /* first */
    raddle_executor *executor;
    raddle_job_fn *fn;
    void *arg;
    int result;
    struct rdl_map *vars; /* the task's; the reference is the job's once it runs */

    struct rdl_lock lock;
    bool finished;
    struct rdl_ticket ticket; /* wait NULL: the task isn't waiting yet */
};

int raddle_executor_create(const struct raddle_executor_options *options, raddle_executor **out)
{
    static const struct raddle_executor_options defaults;
    struct rdl_pool_options pool;
    raddle_executor *executor;
    int rc;

    if (!out)
        return -EINVAL;
    if (!options)
        options = &defaults;
    for (unsigned i = 0; i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;
    if ((unsigned)options->when_full > RADDLE_FULL_REJECT)
        return -EINVAL;
    executor = rdl_sys_calloc(1, sizeof(*executor));
    if (!executor)
        return -ENOMEM;
    executor->when_full = options->when_full;
    pthread_mutex_init(&executor->lock, NULL);
    pool = (struct rdl_pool_options){
        .max_threads = options->max_threads,
        .idle_ns = options->idle_ns,
        .queue_limit = options->queue_limit,
        .nice = options->nice,
        .spin_ns = RDL_SPIN_NS,
        .name = options->name,
    };
    rc = rdl_pool_create(&pool, &executor->pool);
    if (rc < 0) {
        pthread_mutex_destroy(&executor->lock);
        rdl_sys_free(executor);
        return rc;
    }
    *out = executor;
    return 0;
}

void raddle_executor_destroy(raddle_executor *executor)
{
    if (!executor)
        return;
    rdl_pool_close(executor->pool);
    pthread_mutex_destroy(&executor->lock);
    rdl_sys_free(executor);
}

void rdl_default_executor_init(struct rdl_default_executor *d,
                               const struct raddle_executor_options *options)
{
    pthread_mutex_init(&d->lock, NULL);
    d->executor = NULL;
    d->options = options;
}

void rdl_default_executor_fini(struct rdl_default_executor *d)
{
    raddle_executor_destroy(d->executor);
    pthread_mutex_destroy(&d->lock);
}

/* The default executor of the loop; when make is false, NULL if it was never used. */
static int default_executor(struct rdl_loop *loop, bool make, raddle_executor **out)
{
    struct rdl_default_executor *d = rdl_raddle_loop(loop)->executor;
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    if (!d->executor && make)
        rc = raddle_executor_create(d->options, &d->executor);
    *out = d->executor;
    pthread_mutex_unlock(&d->lock);
    return rc;
}

/*
 * There may be room in the queue: calls the first in line. Without a line this is one load, as pool threads of
 * low priority had better not hold a lock that loops want. Nobody is overlooked: who joins the line counts
 * itself first and then finds the queue full, under the pool's lock, and the job that is taken out of it later
 * passes through that lock, too.
 */
static void call_next(raddle_executor *executor)
{
    struct rdl_ticket next;

    if (!rdl_atomic_load_acquire(&executor->waiting))
        return;
    pthread_mutex_lock(&executor->lock);
    next = rdl_line_call(&executor->line);
    pthread_mutex_unlock(&executor->lock);
    if (next.wait)
        (void)rdl_fiber_fire(next, 0);
}

/* In a thread of the pool. */

static void call_fn(void *arg)
{
    struct call *call = arg;

    call->result = call->fn(call->arg);
}

static void run(struct rdl_job *job)
{
    struct call *call = (struct call *)(void *)job;
    struct rdl_map *vars = call->vars;

    call_next(call->executor); /* it has left the queue */
    call->vars = NULL;
    rdl_vars_call(vars, call_fn, call);
}

static void done(struct rdl_job *job)
{
    struct call *call = (struct call *)(void *)job;
    struct rdl_ticket caller;

    rdl_lock_acquire(&call->lock);
    call->finished = true;
    caller = call->ticket;
    rdl_lock_release(&call->lock);
    if (caller.wait)
        (void)rdl_fiber_fire(caller, 0);
}

/* In the task. */

static bool no_threads(raddle_executor *executor)
{
    struct rdl_handoff_stats stats;

    rdl_pool_get_stats(executor->pool, &stats);
    return stats.threads == 0;
}

/* One attempt, in the order of the line. -EAGAIN: place is in line, with the fiber armed. */
static int submit_or_line_up(raddle_executor *executor, struct rdl_fiber *self, struct call *call,
                             struct rdl_place *place, bool called)
{
    bool mine = called || !executor->line.first;
    int rc = mine ? rdl_pool_submit(executor->pool, &call->job) : -EAGAIN;

    if (rc != -EAGAIN || (mine && no_threads(executor)))
        return rc == -EAGAIN ? -ENOMEM : rc; /* nothing runs that would ever make room */
    place->ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
    if (called)
        rdl_line_join_first(&executor->line, place);
    else
        rdl_line_join(&executor->line, place);
    return -EAGAIN;
}

/* Queues the job, waiting in line for room. */
static int wait_in_line(raddle_executor *executor, struct rdl_fiber *self, struct call *call)
{
    struct rdl_place place = {.in_line = false};
    bool called = false;
    int rc;

    rdl_atomic_fetch_add_seq_cst(&executor->waiting, 1);
    for (;;) {
        pthread_mutex_lock(&executor->lock);
        rc = submit_or_line_up(executor, self, call, &place, called);
        pthread_mutex_unlock(&executor->lock);
        if (rc != -EAGAIN)
            break;
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "room in an executor's queue",
                             (uint64_t)(uintptr_t)executor);
        pthread_mutex_lock(&executor->lock);
        called = !place.in_line;
        rdl_line_leave(&executor->line, &place);
        pthread_mutex_unlock(&executor->lock);
        rc = rdl_cancel_check(self);
        if (rc < 0)
            break;
    }
    if (rc < 0 && called) /* the room that it was called for is the next one's */
        call_next(executor);
    rdl_atomic_fetch_sub_seq_cst(&executor->waiting, 1);
    return rc == -ENOMEM ? -EAGAIN : rc;
}

static int submit(raddle_executor *executor, struct rdl_fiber *self, struct call *call)
{
    int rc = -EAGAIN;

    if (executor->when_full == RADDLE_FULL_REJECT || !rdl_atomic_load_relaxed(&executor->waiting))
        rc = rdl_pool_submit(executor->pool, &call->job);
    if (rc == -EAGAIN && executor->when_full == RADDLE_FULL_WAIT)
        rc = wait_in_line(executor, self, call);
    return rc;
}

/* Waits for a job that was submitted. 0, or -ECANCELED: it was taken back. */
static int wait_for(raddle_executor *executor, struct rdl_fiber *self, struct call *call)
{
    enum rdl_park how = RDL_PARK_CANCELLABLE;
    int rc = 0;

    rdl_lock_acquire(&call->lock);
    while (!call->finished) {
        call->ticket = rdl_fiber_arm(self, how);
        rdl_lock_release(&call->lock);
        (void)rdl_fiber_park(self, how, "a job in an executor", (uint64_t)(uintptr_t)call->fn);
        if (how == RDL_PARK_CANCELLABLE) {
            rc = rdl_cancel_check(self);
            if (rc < 0 && rdl_pool_cancel(executor->pool, &call->job)) {
                call_next(executor);
                return rc;
            }
            if (rc < 0)
                how = RDL_PARK_SHIELDED; /* it runs: its end is waited for */
        }
        rdl_lock_acquire(&call->lock);
    }
    rdl_lock_release(&call->lock);
    return 0;
}

int raddle_run_in_executor(raddle_executor *executor, raddle_job_fn *fn, void *arg, int *result)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct call call = {.job = {.run = run, .done = done}, .fn = fn, .arg = arg};
    int rc;

    if (!self)
        return -EPERM;
    if (!fn)
        return -EINVAL;
    rc = rdl_cancel_check(self);
    if (rc == 0 && !executor)
        rc = default_executor(rdl_loop_current(), true, &executor);
    if (rc < 0)
        return rc;
    call.executor = executor;
    call.vars = rdl_vars_capture();
    rc = submit(executor, self, &call);
    if (rc == 0)
        rc = wait_for(executor, self, &call);
    rdl_map_unref(call.vars); /* of one that didn't run */
    if (rc == 0 && result)
        *result = call.result;
    return rc;
}

int raddle_executor_get_stats(raddle_executor *executor, struct raddle_executor_stats *out)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_handoff_stats stats;

    if (!out)
        return -EINVAL;
    if (!executor && !loop)
        return -EPERM;
    memset(out, 0, sizeof(*out));
    if (!executor)
        (void)default_executor(loop, false, &executor);
    if (!executor)
        return 0;
    rdl_pool_get_stats(executor->pool, &stats);
    out->threads = stats.threads;
    out->idle = stats.idle;
    out->queued = stats.queued;
    out->running = stats.running;
    out->completed = stats.completed;
    out->rejected = stats.rejected;
    out->cancelled = stats.cancelled;
    return 0;
}
