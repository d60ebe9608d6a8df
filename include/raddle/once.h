/*
 * raddle/once.h - something that is done once, by whoever needs it first, while the others wait.
 *
 *     static struct raddle_once connected = RADDLE_ONCE_INIT;
 *
 *     rc = raddle_once_run(&connected, connect_to_database, &db);
 *
 * For context, fairness, cancellation, lifetime and memory see raddle/sync.h.
 */
#ifndef RADDLE_ONCE_H
#define RADDLE_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What is done once; the contents are the library's. Zero is not done yet. */
struct raddle_once {
    uintptr_t raddle_private[8];
};

/** Not done yet. */
#define RADDLE_ONCE_INIT                                                                           \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/** What is to be done: 0 or more when it is, and negative when it failed. */
typedef int raddle_once_fn(void *arg);

/**
 * Calls fn(arg), unless it was done before, and waits for it when another is at it. fn may suspend. When it
 * fails, its caller gets to know, and the next in line tries.
 *
 * Returns   what the call that did it returned; or
 *           a negative result of fn, called by this call
 *           -EDEADLK    the caller is at it: fn has called this
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline, and fn wasn't called (or
 *                       fn returned it)
 *           -EPERM      on a loop's thread, outside a task
 *           -EINVAL     once or fn is NULL
 * Context   Inside a task, or in a plain thread. All callers should mean the same by fn and arg: whose are
 *           called is left to chance.
 * Lifetime  fn must return, and not end its thread.
 * Cancel    Cancellation point, before fn is called and while another is at it.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_once_run(struct raddle_once *once, raddle_once_fn *fn,
                                                void *arg);

/**
 * Whether it is done, and all that was done is seen by the caller.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API bool raddle_once_done(struct raddle_once *once);

#ifdef __cplusplus
}
#endif

#endif
