/*
 * sched/handoff.c - the queue of a pool and its sleep and wake decisions.
 *
 * The danger: a job is queued while every thread is on its way to sleep or has just been judged
 * awake enough, and nobody comes. The cost to avoid: a wake is a system call of microseconds for
 * the one who submits, mostly a loop, so there must be few.
 *
 * Queue, idle stack and counts are under one lock, held for a few dozen instructions. A worker goes
 * idle in the same critical section in which it found the queue empty, and a submitter looks for an
 * idle worker in the one in which it queues: neither can miss the other, and no ordering is to be
 * argued.
 *
 *     a worker is    when it                               the next move is
 *     running        has a job                             its own
 *     idle           is in the idle stack                  a waker's, or its own when it is tired
 *     searching      was taken off the stack, signalled    its own: it takes
 *
 * Few wakes. A searcher is about to look at the queue, so while there is one nobody else is woken;
 * the same goes for a thread that is being created (growing). The worker that takes a job and
 * leaves others behind wakes the next. So wakes form a chain, as fast as threads come up and no
 * faster, and one thread that gets through short jobs by itself is not joined by all the others.
 * Hence the invariant, at every release of the lock:
 *
 *     a job is queued  =>  somebody searches or grows, or every worker runs and no thread may be
 *                          added (max_threads, or the pause after a failure), and there is a
 *                          worker.
 *
 * "There is a worker" holds because a job is refused (-ESRCH) while there is none, and a tired
 * worker leaves only if the queue is empty.
 *
 * The idle stack is LIFO: the worker that ran last has the warmest caches, and those at the bottom
 * stay undisturbed until they are tired and leave.
 *
 * Sleep and wake of one worker. Signal goes AWAKE (with the push on idle) -> ASLEEP (by the worker)
 * -> SIGNALLED (by the waker, with the pop). The worker's compare-exchange and the waker's exchange
 * are on one word: whichever comes second sees the other, and only a waker that saw ASLEEP makes a
 * system call. They carry no data, the lock does; acquire and release are for whoever looks at
 * signal alone.
 *
 * Lifetime. The waker signals under the lock. After that it knows the worker by its signal's
 * address only, for a futex wake that doesn't read it: the worker may have run, left and been
 * freed. A job that was taken is touched by its worker alone, under no lock, and not after done.
 *
 * Tried: signalling after the lock was released. A waker that is preempted there signals a worker
 * that got tired and came back by itself, and so is in the idle stack again, or gone.
 */
#include "sched/handoff.h"

#include <assert.h>
#include <errno.h>

#include <raddle/error.h>

enum {
    PAUSE_BITS_MAX = 6, /* 2^6 times at most a thread is done without before the next attempt */
};

static void push_idle(struct rdl_handoff *h, struct rdl_handoff_worker *worker)
{
    worker->prev = NULL;
    worker->next = h->idle;
    if (h->idle)
        h->idle->prev = worker;
    h->idle = worker;
    worker->idle = true;
    h->stats.idle++;
}

static void remove_idle(struct rdl_handoff *h, struct rdl_handoff_worker *worker)
{
    if (worker->prev)
        worker->prev->next = worker->next;
    else
        h->idle = worker->next;
    if (worker->next)
        worker->next->prev = worker->prev;
    worker->idle = false;
    h->stats.idle--;
}

static void append_job(struct rdl_handoff *h, struct rdl_job *job)
{
    job->next = NULL;
    job->prev = h->last;
    if (h->last)
        h->last->next = job;
    else
        h->first = job;
    h->last = job;
    h->stats.queued++;
    job->state = RDL_JOB_QUEUED;
}

static void remove_job(struct rdl_handoff *h, struct rdl_job *job)
{
    if (job->prev)
        job->prev->next = job->next;
    else
        h->first = job->next;
    if (job->next)
        job->next->prev = job->prev;
    else
        h->last = job->prev;
    h->stats.queued--;
}

/* Takes the top of the idle stack off and signals it. */
static void signal_idle(struct rdl_handoff *h, struct rdl_handoff_duty *duty)
{
    struct rdl_handoff_worker *worker = h->idle;

    remove_idle(h, worker);
    worker->searching = true;
    h->searching++;
    if (rdl_atomic_exchange_acq_rel(&worker->signal, RDL_HANDOFF_SIGNALLED) == RDL_HANDOFF_ASLEEP)
        duty->wake = &worker->signal;
}

/* Restores the invariant: sees to it that somebody comes for what is queued. */
static void call_worker(struct rdl_handoff *h, struct rdl_handoff_duty *duty)
{
    if (!h->first || h->searching || h->growing)
        return;
    if (h->idle) {
        signal_idle(h, duty);
    } else if (h->stats.threads < h->max_threads) {
        if (h->pause) {
            h->pause--;
            return;
        }
        h->growing = true;
        duty->grow = true;
    }
}

void rdl_handoff_init(struct rdl_handoff *h, unsigned max_threads, size_t queue_limit)
{
    *h = (struct rdl_handoff){.max_threads = max_threads, .queue_limit = queue_limit};
    rdl_atomic_init(&h->lock.held, 0u);
}

int rdl_handoff_submit(struct rdl_handoff *h, struct rdl_job *job, struct rdl_handoff_duty *duty)
{
    int rc = 0;

    *duty = (struct rdl_handoff_duty){.wake = NULL};
    rdl_lock_acquire(&h->lock);
    assert(job->state != RDL_JOB_QUEUED);
    if (h->closed) {
        rc = RADDLE_ESHUTDOWN;
    } else if (h->stats.threads == 0) {
        rc = -ESRCH;
    } else if (h->stats.queued >= h->queue_limit) {
        h->stats.rejected++;
        rc = -EAGAIN;
    } else {
        append_job(h, job);
        call_worker(h, duty);
    }
    rdl_lock_release(&h->lock);
    return rc;
}

bool rdl_handoff_cancel(struct rdl_handoff *h, struct rdl_job *job)
{
    bool queued;

    rdl_lock_acquire(&h->lock);
    queued = job->state == RDL_JOB_QUEUED;
    if (queued) {
        remove_job(h, job);
        job->state = RDL_JOB_NEW;
        h->stats.cancelled++;
    }
    rdl_lock_release(&h->lock);
    return queued;
}

enum rdl_handoff_next rdl_handoff_take(struct rdl_handoff *h, struct rdl_handoff_worker *worker,
                                       struct rdl_job **out, struct rdl_handoff_duty *duty)
{
    enum rdl_handoff_next next = RDL_HANDOFF_RUN;
    struct rdl_job *job;

    *duty = (struct rdl_handoff_duty){.wake = NULL};
    rdl_lock_acquire(&h->lock);
    assert(!worker->idle);
    if (worker->running) {
        worker->running = false;
        h->stats.running--;
        h->stats.completed++;
    }
    if (worker->searching) {
        worker->searching = false;
        h->searching--;
    }
    job = h->first;
    if (job) {
        remove_job(h, job);
        job->state = RDL_JOB_TAKEN;
        worker->running = true;
        h->stats.running++;
        call_worker(h, duty);
        *out = job;
    } else if (h->closed) {
        h->stats.threads--;
        next = RDL_HANDOFF_LEAVE;
    } else {
        rdl_atomic_store_relaxed(&worker->signal, RDL_HANDOFF_AWAKE);
        push_idle(h, worker);
        next = RDL_HANDOFF_WAIT;
    }
    rdl_lock_release(&h->lock);
    return next;
}

bool rdl_handoff_signalled(const struct rdl_handoff_worker *worker)
{
    return rdl_atomic_load_acquire(&worker->signal) == RDL_HANDOFF_SIGNALLED;
}

bool rdl_handoff_sleep(struct rdl_handoff_worker *worker)
{
    uint32_t expected = RDL_HANDOFF_AWAKE;

    return rdl_atomic_cas_acq_rel(&worker->signal, &expected, RDL_HANDOFF_ASLEEP);
}

bool rdl_handoff_leave(struct rdl_handoff *h, struct rdl_handoff_worker *worker)
{
    bool leaves = false;

    rdl_lock_acquire(&h->lock);
    if (worker->idle) {
        remove_idle(h, worker);
        leaves = !h->first;
        if (leaves)
            h->stats.threads--;
    }
    rdl_lock_release(&h->lock);
    return leaves;
}

bool rdl_handoff_begin_grow(struct rdl_handoff *h, bool first)
{
    bool wanted;

    rdl_lock_acquire(&h->lock);
    if (first) {
        wanted = h->stats.threads == 0 && !h->closed;
    } else {
        /* No thread was added since the duty arose but the first, so there is room for one. */
        assert(h->stats.threads < h->max_threads);
        wanted = h->first != NULL;
        if (!wanted)
            h->growing = false;
    }
    rdl_lock_release(&h->lock);
    return wanted;
}

void rdl_handoff_grown(struct rdl_handoff *h, bool first, struct rdl_handoff_worker *worker)
{
    rdl_lock_acquire(&h->lock);
    if (!first)
        h->growing = false;
    h->failures = 0;
    h->pause = 0;
    h->stats.threads++;
    worker->next = worker->prev = NULL;
    worker->idle = worker->running = false;
    rdl_atomic_init(&worker->signal, RDL_HANDOFF_AWAKE);
    worker->searching = true;
    h->searching++;
    rdl_lock_release(&h->lock);
}

void rdl_handoff_not_grown(struct rdl_handoff *h, bool first, struct rdl_handoff_duty *duty)
{
    *duty = (struct rdl_handoff_duty){.wake = NULL};
    if (first)
        return;
    rdl_lock_acquire(&h->lock);
    h->growing = false;
    /* An attempt that fails costs whoever submits some 10 us. */
    if (h->failures < PAUSE_BITS_MAX)
        h->failures++;
    h->pause = 1u << h->failures;
    call_worker(h, duty);
    rdl_lock_release(&h->lock);
}

bool rdl_handoff_close(struct rdl_handoff *h, struct rdl_handoff_duty *duty)
{
    bool more;

    *duty = (struct rdl_handoff_duty){.wake = NULL};
    rdl_lock_acquire(&h->lock);
    h->closed = true;
    more = h->idle != NULL;
    if (more)
        signal_idle(h, duty);
    rdl_lock_release(&h->lock);
    return more;
}

void rdl_handoff_get_stats(struct rdl_handoff *h, struct rdl_handoff_stats *out)
{
    rdl_lock_acquire(&h->lock);
    *out = h->stats;
    rdl_lock_release(&h->lock);
}
