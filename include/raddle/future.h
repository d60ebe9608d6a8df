/*
 * raddle/future.h - futures: results that somebody sets once, from anywhere, and that anybody waits for.
 *
 *     raddle_future *answer;
 *     struct raddle_outcome outcome;
 *
 *     rc = raddle_future_create(&answer);
 *     ...
 *     raddle_future_set(answer, 0, page);            // in a thread, a callback, another task
 *     rc = raddle_future_wait(answer, &outcome);     // in a task, or in a plain thread
 *
 * A future belongs to no loop, and knows nothing of who will set it. Waiting for one neither starts nor cancels
 * anything: a cancelled waiter leaves the future, and those who wait beside it, as they were.
 *
 * An error that is set and read by nobody is reported when the last reference goes (raddle/debug.h), once.
 */
#ifndef RADDLE_FUTURE_H
#define RADDLE_FUTURE_H

#include <raddle/loop.h>
#include <raddle/site.h>
#include <raddle/task.h>
#include <raddle/time.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A future: counted, thread-safe. */
typedef struct raddle_future raddle_future;

/**
 * Makes a future that is pending.
 *
 * Returns   0 with *out written; -ENOMEM: no memory; -EINVAL: out is NULL
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_future_unref().
 * Cancel    No cancellation point.
 * Since     0.1
 */
#define raddle_future_create(out) raddle_future_create_at((out), RADDLE_SITE)

/**
 * What the raddle_future_create() macro calls, and as it; site, shown in reports, may be NULL, or outlives the
 * future.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_future_create_at(raddle_future **out, const char *site);

/**
 * Takes another reference. Returns future, which must not be NULL.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_future *raddle_future_ref(raddle_future *future);

/**
 * Gives a reference back. With the last the future goes: callbacks of one that was never set are not called,
 * and an error that nobody has read is reported. NULL does nothing.
 *
 * Context   Any thread. Who waits keeps a reference for as long.
 * Since     0.1
 */
RADDLE_API void raddle_future_unref(raddle_future *future);

/**
 * Sets the result: of those that set or cancel a future, exactly one is the first. Callbacks are posted, and
 * those who wait are woken, in the order in which they came.
 *
 * rc        0 or more is success, negative a failure; an -ECANCELED becomes RADDLE_ESTRAY: to say that it was
 *           cancelled is raddle_future_cancel()'s
 * value     for raddle_future_value(): the future never looks at it
 * Returns   0, or, with the future as it was,
 *           -EALREADY  it was set or cancelled before
 *           -EINVAL    future is NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_future_set(raddle_future *future, int rc, void *value);

/**
 * Cancels the future: its outcome is RADDLE_CANCELLED, which is no error that has to be read.
 *
 * reason    a string that outlives the future, or NULL
 * Returns   as raddle_future_set()
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_future_cancel(raddle_future *future, const char *reason);

/**
 * Waits until future is set or cancelled, and tells its outcome. Any number of tasks and threads may wait. One
 * that is set is read at once, by a cancelled task, too: completion wins.
 *
 * Returns   0 with *outcome written (outcome may be NULL: then an error counts as read, too), or
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline; not: the future is
 *           -EINVAL     future is NULL
 *           -EPERM      in a callback of a loop
 * Context   Inside a task, or in a plain thread, which is blocked.
 * Cancel    Cancellation point, when it has to wait.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_future_wait(raddle_future *future,
                                                   struct raddle_outcome *outcome);

/**
 * raddle_future_wait() in a plain thread, which has no scopes, until deadline. A point in the past: what is
 * set is read.
 *
 * deadline  0 or RADDLE_NEVER: none
 * Returns   0 with *outcome written, or
 *           -ETIMEDOUT  deadline came first
 *           -EINVAL     future is NULL
 *           -EPERM      inside a loop, which would be blocked
 * Context   A plain thread.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_future_wait_thread(raddle_future *future,
                                                          raddle_time deadline,
                                                          struct raddle_outcome *outcome);

/**
 * The outcome, without waiting; an error is read by this.
 *
 * Returns   0 with *outcome written; -EINPROGRESS: it is pending; -EINVAL: an argument is NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_future_outcome(raddle_future *future,
                                                      struct raddle_outcome *outcome);

/**
 * The value that was set with the result; NULL while it is pending, and of a cancelled one.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void *raddle_future_value(raddle_future *future);

/**
 * Why it was cancelled; NULL if it wasn't, or nobody said.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API const char *raddle_future_reason(raddle_future *future);

/**
 * Has fn(arg) called on loop when future is set or cancelled, never before raddle_future_set() has posted it:
 * as raddle_call_soon() does. Callbacks of one loop are called in the order in which they were added; one that
 * is added to a future that is set is posted at once. If loop has ended by then, its callback is not called,
 * and that is reported.
 *
 * loop      NULL: the running one
 * Returns   0, or, with nothing added,
 *           -ENOMEM  no memory for it
 *           -EPERM   loop is NULL, outside a loop
 *           -EINVAL  future or fn is NULL
 * Context   Any thread.
 * Lifetime  loop must exist until fn is called or removed, or future is gone; so must arg.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_future_on_done(raddle_future *future, raddle_loop *loop,
                                                      raddle_callback_fn *fn, void *arg);

/**
 * Removes every callback that was added with these fn and arg and has not been called yet: it won't be.
 *
 * Returns   how many; -EINVAL: future or fn is NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_future_remove_done(raddle_future *future, raddle_callback_fn *fn, void *arg);

#ifdef __cplusplus
}
#endif

#endif
