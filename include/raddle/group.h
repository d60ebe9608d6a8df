/*
 * raddle/group.h - a scope that owns child tasks and waits for them.
 *
 *     struct raddle_group g;
 *
 *     rc = raddle_group_open(&g, NULL);
 *     if (rc == 0)
 *         rc = raddle_spawn(&g, NULL, look_up_user, &user, NULL);
 *     if (rc == 0)
 *         rc = raddle_spawn(&g, NULL, look_up_cart, &cart, NULL);
 *     rc = raddle_group_close(&g, rc);
 *
 * No task outlives its group, so children may use what lies in the frame that opened it. The first
 * failure cancels the others.
 *
 * A failure is also how a program is ended from deep inside. There is no kind of its own for that, as asyncio's
 * SystemExit is: it cancels group after group, until main returns it, and what fails in cleaning up is listed beside it.
 *
 * raddle_auto(group) is a net below that: a group declared so, and zeroed, that is left without a
 * close is cancelled and waited for.
 */
#ifndef RADDLE_GROUP_H
#define RADDLE_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raddle/scope.h>
#include <raddle/task.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** In the caller's frame; must not move while it is open. The contents are the library's. */
struct raddle_group {
    struct raddle_scope scope; /**< May be given to raddle_scope_cancel() and _cancelled(). */
    uintptr_t raddle_private[24];
};

/** Who is cancelled when, and what the close returns. */
enum raddle_group_mode {
    RADDLE_FAIL_FAST = 0, /**< The first failure cancels the rest, as asyncio's TaskGroup does. */
    RADDLE_COLLECT,       /**< All run to their end; the first failure is the result. */
    RADDLE_FIRST_OK,      /**< The first success cancels the rest, and is the result. */
};

/** One failure in a group. */
struct raddle_group_error {
    int rc;
    raddle_task_fn *fn; /**< What the child ran; NULL: the code that opened the group failed. */
    void *arg;          /**< What it ran it with. */
};

/** How a group behaves. Zero is the default for every member. Not kept by raddle_group_open(). */
struct raddle_group_options {
    enum raddle_group_mode mode;
    unsigned scope_flags; /**< RADDLE_SHIELD, RADDLE_QUIET. */
    raddle_time deadline; /**< For all of it; 0: none. */
    /** How many children there may be at a time: a spawn waits until one has ended, first come first
     *  served, and is a cancellation point. 0: any number. */
    size_t max_live;
    /** Keep the handles of children that have ended, for raddle_group_next(). What it isn't asked for is
     *  kept until the close. */
    bool as_completed;
    /** Room for max_errors failures, the first in time first, which must live until the close. */
    struct raddle_group_error *errors;
    size_t max_errors;
    uint64_t reserved[4]; /**< Zero. */
};

/**
 * Opens a group, and enters its scope. raddle_group_close() of a group that failed to open just
 * returns the rc it is given.
 *
 * Returns   0, or, with nothing opened,
 *           -EINVAL  group is NULL, a bad option, errors is NULL but max_errors isn't 0, a reserved
 *                    member is not zero
 *           -EPERM   outside a task
 * Context   Inside a task.
 * Lifetime  The group must stay where it is until it is closed, in the same frame.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_group_open(struct raddle_group *group,
                                                  const struct raddle_group_options *options);

/**
 * Waits for all children, then leaves the group's scope. A failed rc cancels the children first
 * (not with RADDLE_COLLECT). Waits for as long as it takes, also when the caller is cancelled: then
 * the children are, too.
 *
 * rc        what the code between open and close came to
 * Returns   the first of these that holds:
 *           with RADDLE_FIRST_OK, the first success of a child
 *           the first failure in time, rc's or a child's; an -ECANCELED that nothing had caused is
 *                       one, and called RADDLE_ESTRAY
 *           -ECANCELED  a scope around the group is cancelled, and rc or a child ended by it
 *           -ETIMEDOUT  the group's deadline passed, and rc or a child ended by it (0 with
 *                       RADDLE_QUIET)
 *           0           raddle_group_cancel() made rc -ECANCELED
 *           rc
 * Context   Inside the task that opened it, in the same frame; the process is stopped otherwise.
 * Lifetime  The group's memory is the caller's again.
 * Cancel    No cancellation point of its own.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_group_close(struct raddle_group *group, int rc);

/**
 * Cancels all children, those to come included, and the opener's code until the close.
 *
 * reason    a string that outlives the group, or NULL
 * Context   Any thread, while the group is open and is not being closed by a racing thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_group_cancel(struct raddle_group *group, const char *reason);

/**
 * How many children have not ended yet.
 *
 * Context   Any thread, while the group is open.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API size_t raddle_group_live(struct raddle_group *group);

/**
 * The next child that has ended, in the order in which they ended: of a group that was opened
 * as_completed. Waits until there is one. Each is told once.
 *
 *     while ((rc = raddle_group_next(&g, &task)) == 1) {
 *         struct job *job = raddle_task_arg(task);
 *         ...
 *         raddle_task_unref(task);
 *     }
 *
 * With RADDLE_FAIL_FAST the first failure cancels the caller, too, and with it this call; to be told of
 * every end take RADDLE_COLLECT.
 *
 * Returns   1 with *done written; 0: all have ended, and all were told; or, with no child taken,
 *           -ECANCELED  a scope around the caller, the group's included, is cancelled or past its
 *                       deadline
 *           -EINVAL     an argument is NULL, or the group isn't open, or not as_completed
 *           -EPERM      outside a task, or not the one that opened it
 * Context   Inside the task that opened the group.
 * Lifetime  *done is the caller's, to give back with raddle_task_unref(); it may outlive the group.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_group_next(struct raddle_group *group, raddle_task **done);

/**
 * How many failures there were so far, the opener's code included; those that have room are in the
 * errors of its options. A child that was cancelled, or never got to be the group's
 * (raddle_spawn_started()), is no failure.
 *
 * Context   Any thread while the group is open; its owner, and then the list is complete, after the
 *           close. 0 for a group that failed to open, or was zeroed.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API size_t raddle_group_errors(const struct raddle_group *group);

/**
 * The group of tasks that nobody waits for: owned by the run, or by the loop where that is alone, strongly. When the
 * main task has returned, or the loop is closed, they are cancelled and waited for. A failure is
 * reported when the task ends (raddle/debug.h), and disturbs no other.
 *
 *     rc = raddle_spawn(raddle_background(), NULL, refresh_cache, cache, NULL);
 *
 * arg must live for as long: it can't lie in a frame that may be left before. It is the same group for
 * all loops of a run. Cancelling it cancels all that is in it, and is for good; it can't be closed.
 *
 * Returns   the group; NULL outside a loop
 * Context   Inside a task or a callback of a loop.
 * Since     0.1
 */
RADDLE_API struct raddle_group *raddle_background(void);

/**
 * What raddle_auto(group) calls when the block is left: a group that is still open is cancelled, waited
 * for, and reported; its result is lost. A zeroed one, and one that was closed, is left alone.
 *
 * Context   Inside the task that opened it, as its innermost scope.
 * Cancel    No cancellation point of its own.
 * Since     0.1
 */
RADDLE_API void raddle_group_autoclose(struct raddle_group *group);

#ifdef __cplusplus
}
#endif

#endif
