/*
 * sched/handoff.h - the hand-off of jobs to the threads of a pool: who takes which job, who sleeps,
 * who has to be woken.
 *
 * It makes no system call. What has to be done outside its lock (wake a sleeper, create a thread)
 * is handed back to the caller as a duty, so that the protocol can be run by one thread in a test,
 * and on the virtual threads of the model checker. sched/pool.c does the duties with futexes and
 * pthreads.
 *
 * For a model: submit and cancel from some threads; workers loop over rdl_handoff_take(), run what
 * they get, and otherwise, if rdl_handoff_sleep() says so, block until signal isn't
 * RDL_HANDOFF_ASLEEP; a duty's wake is the signal that they block on; for a duty to grow, begin,
 * then grown or not_grown. Each job must end exactly once, taken or cancelled, and nobody may sleep
 * for good while a job is queued.
 */
#ifndef RDL_SCHED_HANDOFF_H
#define RDL_SCHED_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/lock.h"

enum rdl_job_state {
    RDL_JOB_NEW, /* the caller's */
    RDL_JOB_QUEUED,
    RDL_JOB_TAKEN, /* runs, or has run */
};

/* One piece of blocking work, in the caller's memory: zeroed, then run and done set. Both are
 * called by a thread of the pool; the call of done is the last touch of the job, which done may
 * free. */
struct rdl_job {
    struct rdl_job *next, *prev; /* in the queue */
    void (*run)(struct rdl_job *job);
    void (*done)(struct rdl_job *job);
    enum rdl_job_state state; /* under the lock */
};

enum rdl_handoff_signal {
    RDL_HANDOFF_AWAKE, /* runs, or looks at signal before it sleeps */
    RDL_HANDOFF_ASLEEP,
    RDL_HANDOFF_SIGNALLED,
};

/* One per thread of the pool. What isn't atomic is under the lock. */
struct rdl_handoff_worker {
    struct rdl_handoff_worker *next, *prev; /* in idle */
    rdl_atomic(uint32_t) signal;            /* enum rdl_handoff_signal */
    bool idle;                              /* is in idle */
    bool searching;                         /* is counted in searching */
    bool running;                           /* has a job */
};

/* What the caller has to do now that the lock is free. */
struct rdl_handoff_duty {
    rdl_atomic(uint32_t) * wake; /* not NULL: wake the thread that sleeps on it */
    bool grow;                   /* create a thread, see rdl_handoff_begin_grow() */
};

struct rdl_handoff_stats {
    unsigned threads, idle;
    size_t queued, running;
    uint64_t completed, rejected, cancelled;
};

struct rdl_handoff {
    struct rdl_lock lock;
    bool closed;
    bool growing;       /* somebody has the duty to grow: counts like a searcher */
    unsigned failures;  /* to grow, in a row */
    unsigned pause;     /* how often to do without a new thread before the next attempt */
    unsigned searching; /* workers that were signalled and have not looked at the queue since */
    unsigned max_threads;
    size_t queue_limit;
    struct rdl_job *first, *last;    /* the queue, oldest first */
    struct rdl_handoff_worker *idle; /* a stack: whoever went to sleep last is on top */
    struct rdl_handoff_stats stats;  /* threads, idle, queued: used by the protocol too */
};

void rdl_handoff_init(struct rdl_handoff *handoff, unsigned max_threads, size_t queue_limit);

/* Any thread. 0; -EAGAIN: the queue is full; RADDLE_ESHUTDOWN; -ESRCH: there is no thread, begin to
 * grow with first and try again. The job is queued only if 0. */
int rdl_handoff_submit(struct rdl_handoff *handoff, struct rdl_job *job,
                       struct rdl_handoff_duty *duty);

/* Any thread. True: the job was still queued, and is the caller's again. */
bool rdl_handoff_cancel(struct rdl_handoff *handoff, struct rdl_job *job);

enum rdl_handoff_next {
    RDL_HANDOFF_RUN,   /* run *out, then take again */
    RDL_HANDOFF_WAIT,  /* nothing to do: wait for the signal, then take again */
    RDL_HANDOFF_LEAVE, /* closed and empty: the worker is not counted any more */
};

/* A worker without a job, or that has just ended its job. */
enum rdl_handoff_next rdl_handoff_take(struct rdl_handoff *handoff,
                                       struct rdl_handoff_worker *worker, struct rdl_job **out,
                                       struct rdl_handoff_duty *duty);

/* A worker told to wait: has it been signalled? */
bool rdl_handoff_signalled(const struct rdl_handoff_worker *worker);

/* A worker told to wait announces that it sleeps. True: now it must, until signal is not
 * RDL_HANDOFF_ASLEEP any more. */
bool rdl_handoff_sleep(struct rdl_handoff_worker *worker);

/* A worker that has waited for long enough. True: it leaves, and is not counted any more. False: it
 * was signalled meanwhile, or is needed, and has to take again. */
bool rdl_handoff_leave(struct rdl_handoff *handoff, struct rdl_handoff_worker *worker);

/*
 * Growing, by one thread at a time, which the caller sees to. Either the caller has the duty to
 * grow, or rdl_handoff_submit() has told it that there is no thread at all (first). Returns true if
 * a thread is wanted: create one, and report with one of the two below. The new worker must not
 * take before it was reported.
 */
bool rdl_handoff_begin_grow(struct rdl_handoff *handoff, bool first);
void rdl_handoff_grown(struct rdl_handoff *handoff, bool first, struct rdl_handoff_worker *worker);
void rdl_handoff_not_grown(struct rdl_handoff *handoff, bool first, struct rdl_handoff_duty *duty);

/* Any thread: from now on no job is accepted, and workers leave when the queue is empty. Gives one
 * duty at a time: call it until it returns false. */
bool rdl_handoff_close(struct rdl_handoff *handoff, struct rdl_handoff_duty *duty);

void rdl_handoff_get_stats(struct rdl_handoff *handoff, struct rdl_handoff_stats *out);

#endif
