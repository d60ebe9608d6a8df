/*
 * raddle/gather.h - many tasks at once: all of them, the first that succeeds, or those that are there.
 *
 *     struct raddle_call calls[] = {
 *         {.fn = look_up, .arg = &user},
 *         {.fn = look_up, .arg = &cart},
 *     };
 *
 *     rc = raddle_gather(calls, 2, NULL);
 *
 * raddle_gather() and raddle_race() start tasks and return when all of them have ended. raddle_wait() starts and
 * ends nothing: it waits for tasks that somebody owns.
 */
#ifndef RADDLE_GATHER_H
#define RADDLE_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raddle/group.h>
#include <raddle/task.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One of several calls that are made at once, each in a task. Zero where nothing is said. */
struct raddle_call {
    raddle_task_fn *fn;
    void *arg;
    const char *name;              /**< Shown in dumps; NULL: "gather" or "race". */
    struct raddle_outcome outcome; /**< Written; RADDLE_PENDING: it was not begun. */
    uintptr_t raddle_private[2];
};

/**
 * Makes all calls at once, and returns when all have ended, with each one's outcome written in its place. Otherwise
 * it does what a group does whose options are these:
 *
 *     NULL                      the first failure cancels the others, and is the result
 *     .mode = RADDLE_COLLECT    all run to their end (asyncio's return_exceptions); the result is the
 *                               first failure, too: look at the outcomes instead
 *     .max_live = 5             five at a time, in the order of the array
 *     .deadline                 for all of it
 *
 * asyncio's gather() returns at the first failure and leaves the others running. For that, spawn them into a group
 * and use raddle_wait() with RADDLE_ANY_ERROR.
 *
 * options   NULL for the defaults
 * Returns   0, or 0 or more with RADDLE_FIRST_OK, or what raddle_group_close() says; also
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline: then the calls are
 *                       cancelled, and waited for
 *           -EINVAL     calls is NULL and count isn't 0, a call has no fn, a bad option: nothing was begun
 *           -ENOMEM     one could not be started: the others were cancelled
 *           -EPERM      outside a task
 * Context   Inside a task.
 * Lifetime  calls and what they point to must live until this returns.
 * Cancel    Cancellation point, which waits for the calls.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_gather(struct raddle_call *calls, size_t count,
                                              const struct raddle_group_options *options);

/**
 * Makes the calls one after the other, each when the one before it has failed, or has taken stagger_ns without an
 * end. The first that succeeds (returns 0 or more) cancels the others, and this returns when all have ended: what RFC 8305
 * does with addresses. A second one may have succeeded at the same moment: its outcome says so, and what it has got
 * is the caller's, too.
 *
 * stagger_ns  0: all at once; RADDLE_NEVER: the next only after a failure
 * winner      NULL, or receives the index of the first that succeeded
 * Returns     what the winner returned, or, with *winner untouched,
 *             a failure   all failed, and this was the first in time
 *             -ECANCELED  a scope around the caller is cancelled or past its deadline: then the calls are
 *                         cancelled, and waited for
 *             -EINVAL     calls is NULL, count is 0, a call has no fn, stagger_ns is negative: nothing was
 *                         begun
 *             -ENOMEM     one could not be started: the others were cancelled
 *             -EPERM      outside a task
 * Context     Inside a task.
 * Lifetime    calls and what they point to must live until this returns.
 * Cancel      Cancellation point, which waits for the calls.
 * Since       0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_race(struct raddle_call *calls, size_t count,
                                            int64_t stagger_ns, size_t *winner);

/** What raddle_wait() waits for. */
enum raddle_when {
    RADDLE_ANY,       /**< One has ended. */
    RADDLE_ANY_ERROR, /**< One has failed, or all have ended; a cancelled one is no failure. */
    RADDLE_ALL,       /**< All have ended. */
};

/**
 * Waits for some or all of tasks, which may contain the same one twice. It cancels none, also when it is cancelled
 * itself; and it takes nothing from them: their outcomes are there for raddle_outcome_of().
 *
 * With a limit in time, of which nothing is an error:
 *
 *     raddle_scope_enter(&limit, raddle_in(RADDLE_S(1)), RADDLE_QUIET);
 *     rc = raddle_scope_leave(&limit, raddle_wait(tasks, 3, RADDLE_ALL, done));
 *
 * done      NULL, or as many flags as tasks: which have ended. Written also when it is cancelled.
 * Returns   how many have ended, or
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline
 *           -EDEADLK    one of them is the caller, or an ancestor whose group waits for the caller
 *           -EINVAL     tasks or one of them is NULL, count is 0 or above INT_MAX, no such enum raddle_when
 *           -ENOMEM     no memory to wait for so many with: needed for more than 16, and never for
 *                       RADDLE_ALL
 *           -EPERM      outside a task
 * Context   Inside a task.
 * Lifetime  The handles stay the caller's.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_wait(raddle_task *const *tasks, size_t count,
                                            enum raddle_when when, bool *done);

#ifdef __cplusplus
}
#endif

#endif
