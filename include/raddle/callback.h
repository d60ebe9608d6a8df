/*
 * raddle/callback.h - callbacks that run at a time, or can be called off: asyncio's handles.
 *
 *     raddle_handle *reminder;
 *
 *     rc = raddle_call_later(loop, RADDLE_S(5), remind, order, &reminder);
 *     ...
 *     if (raddle_handle_cancel(reminder) == 0)
 *         forget(order);                          // remind() is not called any more
 *     raddle_handle_unref(reminder);
 *
 * A callback runs once, on its loop's own stack, where it must not suspend. It is never called from within the
 * call that asks for it, nor before its time. Callbacks of one loop run in the order of their times, and those
 * with equal times in the order in which they were asked for (asyncio promises no order there). Ready tasks
 * and callbacks of a loop that is alone share one queue, first come first served.
 *
 * A callback has no result, and nothing that it does is caught: what goes wrong is for it to deal with, or to hand on, by
 * a future say. One that wants its loop to end calls raddle_loop_stop(), and the loop can be run again.
 *
 * What a callback takes is one allocation, by the call that asks for it, and no other until it has run. It is given back
 * when the callback has been called or called off, and its handle given back.
 *
 * Every function here may be called from any thread: there is no second one for other threads, as
 * call_soon_threadsafe() is. What a loop can't take is refused, never silently kept: once a close has finished
 * the loop's tasks, RADDLE_ESHUTDOWN. What was to be called soon and was accepted is run, by the close if need
 * be; what has a time that has not come is given up, and what it took given back.
 */
#ifndef RADDLE_CALLBACK_H
#define RADDLE_CALLBACK_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle/loop.h>
#include <raddle/time.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A handle on a callback: counted. Giving it back never calls the callback off. */
typedef struct raddle_handle raddle_handle;

/**
 * raddle_call_soon() with a handle: calls fn(arg) on loop's thread, after what was asked for before.
 *
 * Returns   0 with *out written, or, with fn never called and *out untouched,
 *           -ENOMEM           no memory for it
 *           RADDLE_ESHUTDOWN  the loop is closing, or its run has ended
 *           -EINVAL           loop, fn or out is NULL
 * Context   Any thread, and any time while the loop exists.
 * Lifetime  arg must live until fn has run or was called off. *out is the caller's, to give to
 *           raddle_handle_unref().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_call_soon_handle(raddle_loop *loop, raddle_callback_fn *fn,
                                                        void *arg, raddle_handle **out);

/**
 * Calls fn(arg) on loop's thread when the clock has come to when, and not before. Points in the past:
 * when the loop next looks at its timers, longest ago first. RADDLE_NEVER: never.
 *
 * out       NULL, or receives a handle
 * Returns   0, or, with fn never called and *out untouched,
 *           -ENOMEM           no memory for it
 *           RADDLE_ESHUTDOWN  the loop is closing, or its run has ended
 *           -EINVAL           loop or fn is NULL
 * Context   Any thread, and any time while the loop exists.
 * Lifetime  arg must live until fn has run or was called off, or the loop is closed. *out is the caller's, to
 *           give to raddle_handle_unref().
 * Cancel    No cancellation point.
 * Since     0.1
 */
#define raddle_call_at(loop, when, fn, arg, out)                                                   \
    raddle_call_at_site((loop), (when), (fn), (arg), (out), RADDLE_SPAWN_SITE(fn))

/** raddle_call_at() at raddle_in(length_ns), which may be negative. */
#define raddle_call_later(loop, length_ns, fn, arg, out)                                           \
    raddle_call_at_site((loop), raddle_in(length_ns), (fn), (arg), (out), RADDLE_SPAWN_SITE(fn))

/**
 * What the raddle_call_at() macro calls, and as it; site, shown by raddle_print_left(), may be NULL, or outlives the
 * callback.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_call_at_site(raddle_loop *loop, raddle_time when,
                                                    raddle_callback_fn *fn, void *arg,
                                                    raddle_handle **out,
                                                    const struct raddle_spawn_site *site);

/**
 * Takes another reference. Returns handle, which must not be NULL.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_handle *raddle_handle_ref(raddle_handle *handle);

/**
 * Gives a reference back; the callback is called all the same. NULL does nothing.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_handle_unref(raddle_handle *handle);

/**
 * Calls the callback off, unless it has begun. What this returns decides: after a 0 it is never called, else
 * it is called exactly once, however the calls race.
 *
 * Returns   0: it is not called, because of this or an earlier call, or because its loop was closed; or
 *           -EALREADY  it has been called, or is running
 *           -EINVAL    handle is NULL
 * Context   Any thread, the callback itself included; also when the loop is gone.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_handle_cancel(raddle_handle *handle);

/**
 * Whether the callback was called off, or given up by the close of its loop.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API bool raddle_handle_cancelled(raddle_handle *handle);

/**
 * The time that was asked for, before and after: 0 for a callback that was to be called soon.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_time raddle_handle_when(const raddle_handle *handle);

#ifdef __cplusplus
}
#endif

#endif
