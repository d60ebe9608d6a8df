/*
 * sched/pool.h - threads for work that blocks: executors, name lookups, files.
 *
 * A thread is created when a job is queued and none is idle, and ends when it was idle for long
 * enough. All signals are blocked in it. Jobs are taken in the order in which they were submitted.
 */
#ifndef RDL_SCHED_POOL_H
#define RDL_SCHED_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/handoff.h"

struct rdl_pool;

/* Zero is the default for every member. */
struct rdl_pool_options {
    unsigned max_threads; /* 0: min(32, CPUs allowed + 4); at most 16,384 */
    int64_t idle_ns;      /* a thread ends after so long without a job; 0: 10 s */
    size_t queue_limit;   /* jobs that wait for a thread; 0: 65,536 */
    int nice;             /* -20 to 19, added to the nice value of the thread that creates the pool.
                           * To lower it needs a privilege, and without has no effect. */
    int64_t spin_ns;  /* looks so long for another job before it sleeps (spin.h); at most 1 ms */
    const char *name; /* threads are called NAME-0, NAME-1, ...; NULL: "raddle-pool" */
};

/* options may be NULL. 0; -EINVAL; -ENOMEM. No thread is created yet. */
int rdl_pool_create(const struct rdl_pool_options *options, struct rdl_pool **out);

/*
 * Any thread. The job and all it needs must live until done has been called or the job was
 * cancelled. run and done may submit and cancel jobs.
 *
 * Returns 0, or
 *     -EAGAIN           the queue is full
 *     -ENOTSUP          the calling thread's loop is simulated and the pool's threads are not, or the other way
 *                       round, or another thread simulates them
 *     RADDLE_ESHUTDOWN  the pool is closed
 *     another           there is no thread and none can be created: the reason, often -EAGAIN too
 * If there is at least one thread, a job that would have liked another is queued all the same.
 */
int rdl_pool_submit(struct rdl_pool *pool, struct rdl_job *job);

/* Any thread, about a job that was submitted and still exists. True: it was queued, now is the
 * caller's again, and neither run nor done is called. False: it runs, or done was called, or is
 * about to be. */
bool rdl_pool_cancel(struct rdl_pool *pool, struct rdl_job *job);

/* Any thread: no more jobs are accepted. Those that are queued will run. */
void rdl_pool_shutdown(struct rdl_pool *pool);

/* Shuts down, waits until all jobs have ended and all threads are gone, and frees the pool. No
 * other call on the pool may be in progress or follow, except from its own jobs; these must not
 * close it. */
void rdl_pool_close(struct rdl_pool *pool);

/* In the child of a fork, which has none of the threads: forgets the pool. Its jobs never end. */
void rdl_pool_abandon(struct rdl_pool *pool);

void rdl_pool_get_stats(struct rdl_pool *pool, struct rdl_handoff_stats *out);

#endif
