/*
 * raddle/loop.h - loops that a program creates and runs itself, one per thread; work posted to a
 * loop.
 *
 * raddle_run() (raddle/run.h) makes and runs loops on its own; these functions are for programs
 * that want a loop in a thread of theirs. Such a loop is alone: no other loop steals from it, and
 * tasks start in the order in which they were spawned.
 *
 * A loop is bound to the thread that first runs it.
 *
 * Beside another loop, as that of a user interface, there are two ways: a loop in a thread of its own (raddle/thread.h),
 * to which the other posts, and whose tasks post back as that one allows it; or turns of it now and then, each of what is
 * ready, without waiting:
 *
 *     raddle_loop_stop(loop);
 *     rc = raddle_loop_run_forever(loop);
 */
#ifndef RADDLE_LOOP_H
#define RADDLE_LOOP_H

#include <stdint.h>

#include <raddle/task.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a loop runs as a callback: on the loop's own stack, where it must not suspend. */
typedef void raddle_callback_fn(void *arg);

/**
 * Makes a loop by the rules of the current policy. It is not yet anybody's.
 *
 * Returns   0 with *out written, or
 *           -EINVAL             out is NULL, or RADDLE_POLICY names no driver
 *           -ENOMEM, -EMFILE    and what else the policy's new_loop says
 * Context   Any thread.
 * Lifetime  *out is the caller's, to give to raddle_loop_close().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_new_loop(raddle_loop **out);

/**
 * Makes loop the calling thread's, for raddle_get_loop(); NULL: none, and none is made on asking. The policy may
 * refuse.
 *
 * Returns   0; -EBUSY inside a running loop; what the policy's set_loop says
 * Context   Outside a loop.
 * Lifetime  loop stays the caller's; closing it leaves its thread without one.
 * Since     0.1
 */
RADDLE_API int raddle_set_loop(raddle_loop *loop);

/**
 * The loop that runs the caller; else the calling thread's loop. The main thread gets one made on
 * first asking, as asyncio does, and again when that was closed; another thread must have set one.
 *
 * Returns   0 with *out written, or
 *           -ENXIO   this thread has none, or has said so by raddle_set_loop(NULL)
 *           -EINVAL  out is NULL
 *           another  what raddle_new_loop() says
 * Context   Any thread.
 * Lifetime  *out is whose it was; that made for the main thread is the program's to close.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_get_loop(raddle_loop **out);

/**
 * The loop that runs the calling task or callback, or NULL. After a suspension a migratable task
 * may be on another one.
 *
 * Context   Any.
 * Since     0.1
 */
RADDLE_API raddle_loop *raddle_running_loop(void);

/**
 * Runs loop in the calling thread until fn(arg), started as a task of it, has ended. Tasks that
 * other posts started on the loop stay where they are, and go on with the next run.
 *
 * Returns   what fn returned, or, with fn not called,
 *           -EBUSY            it is running already, or another loop runs in this thread
 *           -EXDEV            it is bound to another thread
 *           -ENOMEM           no memory, no stack
 *           -EINVAL           loop or fn is NULL
 *           RADDLE_ESHUTDOWN  it is the parent's, after a fork()
 *           another           the driver can't start; or, at any time, can't go on
 * Context   Outside a loop.
 * Lifetime  arg must live until this call returns.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_loop_run_until_complete(raddle_loop *loop,
                                                               raddle_task_fn *fn, void *arg);

/**
 * Runs loop in the calling thread until raddle_loop_stop().
 *
 * Returns   0 after the stop, or as raddle_loop_run_until_complete()
 * Context   Outside a loop.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_loop_run_forever(raddle_loop *loop);

/**
 * Makes raddle_loop_run_forever() return after the turn it is in, or after the first turn of the
 * next call when it isn't running. raddle_loop_run_until_complete() is not ended by it, and uses it
 * up. A loop of raddle_run() is not stopped by it: its main task's end is. While the loop comes to
 * its end because of one stop, another is used up too and doesn't put it off.
 *
 * Context   Any thread, while the loop exists.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_loop_stop(raddle_loop *loop);

/**
 * Cancels and finishes the tasks that are left on loop, runs what was posted, and frees it. It must
 * not be used any more.
 *
 * Returns   0, or, with the loop still there,
 *           -EBUSY            it is running, or belongs to a run, or the caller is inside a loop
 *           -EXDEV            it is bound to another thread, and tasks or posts are left on it
 *           -ENOMEM           no stack to finish the tasks with
 *           -EINVAL           loop is NULL
 *           RADDLE_ESHUTDOWN  it is the parent's, after a fork()
 *           another           the driver can't start, or can't go on
 * Context   Outside a loop: the thread that ran it; any thread when nothing is left on it.
 * Lifetime  loop is gone after a 0, and whoever posts to it must have stopped by then.
 * Since     0.1
 */
RADDLE_API int raddle_loop_close(raddle_loop *loop);

/**
 * Calls fn(arg) on loop's thread, on its own stack, after what was posted before; when the loop
 * isn't running, in its next run or its close. What was accepted is run. While a close waits for
 * the loop's tasks, posts are accepted; once they have ended, posts are refused.
 *
 * Returns   0, or, with fn never called,
 *           -ENOMEM           no memory for it
 *           RADDLE_ESHUTDOWN  the loop is closing, or its run has ended
 *           -EINVAL           loop or fn is NULL
 * Context   Any thread, and any time while the loop exists.
 * Lifetime  arg must live until fn has run.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_call_soon(raddle_loop *loop, raddle_callback_fn *fn,
                                                 void *arg);

/**
 * Starts fn(arg) as a task on loop, pinned to it and owned by it: its close, or the end of its run,
 * cancels and waits for it. A failure is reported when the task ends (raddle/debug.h). One started
 * while the loop finishes its tasks is cancelled from the beginning.
 *
 * Returns   0, or, with nothing started,
 *           -ENOMEM           no stack or no memory for it
 *           RADDLE_ESHUTDOWN  the loop has finished its tasks, or its run has
 *           -EINVAL           loop or fn is NULL, a bad option, options->loop is another loop
 * Context   Any thread, and any time while the loop exists.
 * Lifetime  arg must live until the task has ended. options is not kept.
 * Cancel    No cancellation point.
 * Since     0.1
 */
#define raddle_loop_spawn(loop, fn, arg, options)                                                  \
    raddle_loop_spawn_at((loop), (fn), (arg), (options), RADDLE_SPAWN_SITE(fn))

/**
 * What the raddle_loop_spawn() macro calls, and as it; site may be NULL, or outlives the task.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_loop_spawn_at(raddle_loop *loop, raddle_task_fn *fn,
                                                     void *arg,
                                                     const struct raddle_spawn_options *options,
                                                     const struct raddle_spawn_site *site);

/**
 * The name of the loop's driver: "uring" or "epoll", a static string.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API const char *raddle_loop_driver(const raddle_loop *loop);

/**
 * The number of the loop in its team, from 0; 0 for a loop that is alone.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API unsigned raddle_loop_index(const raddle_loop *loop);

#ifdef __cplusplus
}
#endif

#endif
