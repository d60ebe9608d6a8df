/*
 * raddle/thread.h - threads with a loop of their own, which can be joined.
 *
 *     raddle_loop_thread *worker;
 *     int result;
 *
 *     rc = raddle_loop_thread_start(&worker, serve, &shard, NULL);
 *     ...
 *     rc = raddle_loop_thread_join(worker, &result);
 *
 * One loop per thread, as in asyncio: for code that is to have a thread to itself. Futures, channels, locks and
 * handles work between loops; to spread tasks over CPUs is raddle_run()'s business, which needs none of this.
 */
#ifndef RADDLE_THREAD_H
#define RADDLE_THREAD_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/policy.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A thread that runs a loop. */
typedef struct raddle_loop_thread raddle_loop_thread;

/** How it is started. Zero is the default for every member. */
struct raddle_loop_thread_options {
    const char *name; /**< The thread's: the first 15 bytes; NULL: "raddle-loop". */
    const struct raddle_policy *policy; /**< By which its loop is made; NULL: the caller's. */
    size_t stack_bytes;   /**< Of the thread, not of tasks; 0: the system's default. */
    uint64_t reserved[4]; /**< Zero. */
};

/**
 * Starts a thread, with a loop that is the thread's (raddle_get_loop()), and runs fn(arg) in it as a task. When
 * that has ended, tasks that were left on the loop (raddle_loop_spawn()) are cancelled and waited for, what was
 * posted is run, and the thread ends. Signals are blocked in it.
 *
 * fn        NULL: the loop does what it is told by others, until raddle_loop_thread_cancel()
 * Returns   0 with *out written and the task there, or, with fn not called,
 *           -EAGAIN           a thread can't be made
 *           -ENOMEM, -EMFILE  and what else the policy's new_loop or a driver's start says
 *           -EINVAL           out is NULL, a bad option
 * Context   Any thread; inside a task, it takes as long as a thread takes to start.
 * Lifetime  arg must live until the thread has ended. *out is to be given to raddle_loop_thread_join(). options is
 *           not kept; the policy must outlive the thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int
raddle_loop_thread_start(raddle_loop_thread **out, raddle_task_fn *fn, void *arg,
                         const struct raddle_loop_thread_options *options);

/**
 * The thread's loop, to post to and to spawn on. It exists until the join; once the thread has ended it refuses
 * (RADDLE_ESHUTDOWN). It is neither stopped nor closed by others.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_loop *raddle_loop_thread_loop(const raddle_loop_thread *thread);

/**
 * Cancels the thread's task (raddle_task_cancel()); ends a loop that runs without one.
 *
 * reason    a string that outlives the task, or NULL
 * Returns   0; -EALREADY: it has ended; -EINVAL: thread is NULL
 * Context   Any thread, before the join.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_loop_thread_cancel(raddle_loop_thread *thread, const char *reason);

/**
 * Waits until the thread has ended, and frees it and its loop. Once per thread.
 *
 * Returns   0 with what fn returned in *result (NULL: not wanted), or, with the thread still to be joined,
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline; the thread goes on
 *           -EDEADLK    the caller runs on that very loop
 *           -EPERM      in a callback of a loop
 *           -EINVAL     thread is NULL
 * Context   Inside a task, or in a plain thread, which is blocked.
 * Lifetime  thread is gone after a 0, and its loop: whoever posts to it must have stopped by then.
 * Cancel    Cancellation point, when it has to wait.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_loop_thread_join(raddle_loop_thread *thread, int *result);

/**
 * The kernel's number of the calling thread, as ps and logs show it.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API int raddle_thread_id(void);

#ifdef __cplusplus
}
#endif

#endif
