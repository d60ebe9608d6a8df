/*
 * raddle/executor.h - blocking work, off the loops: a pool of threads.
 *
 * A job that runs can't be stopped. The end of a run waits for those of its default executor, however long they take:
 * asyncio gives up after a while, and a thread that is left to itself would use what its owner frees.
 *
 * A thread that had one job, and a loop that has nothing to do, spin for up to 30 us before they sleep, as long as
 * what they wait for tends to come sooner than they could be woken. Where a process may use only one CPU they don't.
 */
#ifndef RADDLE_EXECUTOR_H
#define RADDLE_EXECUTOR_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An executor, made by raddle_executor_create(). */
typedef struct raddle_executor raddle_executor;

/** What an executor runs: in a thread of its own, where no function that suspends may be called. */
typedef int raddle_job_fn(void *arg);

/** What a call does when the queue is full. */
enum raddle_when_full {
    RADDLE_FULL_WAIT = 0, /**< The task waits for room, first come first served. */
    RADDLE_FULL_REJECT,   /**< The call returns -EAGAIN. */
};

/** How an executor is made. Zero is the default for every member. */
struct raddle_executor_options {
    unsigned max_threads; /**< 0: min(32, CPUs + 4). */
    int nice;             /**< Added to the threads' nice value: 1 to 19 lets loops go first. */
    int64_t idle_ns;      /**< A thread that had nothing to do for so long ends; 0: 10 s. */
    size_t queue_limit;   /**< Jobs that wait for a thread; 0: 65,536. */
    enum raddle_when_full when_full;
    const char *name;     /**< Shown in thread names, copied; NULL: "raddle-pool". */
    uint64_t reserved[4]; /**< Zero. */
};

/** What an executor has done so far. */
struct raddle_executor_stats {
    unsigned threads, idle;
    size_t queued, running;
    uint64_t completed, rejected, cancelled;
};

/**
 * Makes an executor. Its threads are created when they are needed.
 *
 * Returns   0 with *out written, or
 *           -ENOMEM  no memory for it
 *           -EINVAL  out is NULL, an option out of range, a reserved member is not zero
 * Context   Any thread.
 * Lifetime  *out is the caller's, to give to raddle_executor_destroy(). options is not kept.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int
raddle_executor_create(const struct raddle_executor_options *options, raddle_executor **out);

/**
 * Waits until all jobs have ended, then frees executor. NULL does nothing. No job may be given to
 * it any more.
 *
 * Context   Any thread but the executor's own, outside a task: it blocks the thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_executor_destroy(raddle_executor *executor);

/**
 * Calls fn(arg) in a thread of executor and waits for it; other tasks go on meanwhile. A job that
 * has not started is taken back when the caller is cancelled; one that has is waited for, and its
 * result returned.
 *
 * executor  NULL: the default one of the run, made on first use
 * result    NULL, or receives what fn returned
 * Returns   0 with *result written, or, with fn not called and *result untouched,
 *           -ECANCELED        a scope around the caller is cancelled or past its deadline
 *           -ENOTSUP          the loop is simulated and the executor's threads are real, or the other way round
 *           -EAGAIN           the queue is full (RADDLE_FULL_REJECT), or no thread can be made and
 *                             there is none; then also another reason of pthread_create(3)
 *           -ENOMEM           no memory for the default executor
 *           -EINVAL           fn is NULL, or bad options of the default executor
 *           RADDLE_ESHUTDOWN  the executor is being destroyed
 *           -EPERM            outside a task
 * Context   Inside a task.
 * Lifetime  arg and what it points to must live until this call returns: the caller's frame will
 *           do.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_run_in_executor(raddle_executor *executor, raddle_job_fn *fn,
                                                       void *arg, int *result);

/**
 * Figures of executor, or of the default one of the run (zeros if it was never used).
 *
 * Returns   0 with *out written, or
 *           -EINVAL  out is NULL
 *           -EPERM   executor is NULL outside a loop
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_executor_get_stats(raddle_executor *executor,
                                         struct raddle_executor_stats *out);

#ifdef __cplusplus
}
#endif

#endif
