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
 */
#ifndef RADDLE_GROUP_H
#define RADDLE_GROUP_H

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
    uintptr_t raddle_private[12];
};

/** Who is cancelled when, and what the close returns. */
enum raddle_group_mode {
    RADDLE_FAIL_FAST = 0, /**< The first failure cancels the rest, as asyncio's TaskGroup does. */
    RADDLE_COLLECT,       /**< All run to their end; the first failure is the result. */
    RADDLE_FIRST_OK,      /**< The first success cancels the rest, and is the result. */
};

/** How a group behaves. Zero is the default for every member. Not kept by raddle_group_open(). */
struct raddle_group_options {
    enum raddle_group_mode mode;
    unsigned scope_flags; /**< RADDLE_SHIELD, RADDLE_QUIET. */
    raddle_time deadline; /**< For all of it; 0: none. */
    uint64_t reserved[4]; /**< Zero. */
};

/**
 * Opens a group, and enters its scope. raddle_group_close() of a group that failed to open just
 * returns the rc it is given.
 *
 * Returns   0, or, with nothing opened,
 *           -EINVAL  group is NULL, a bad option, a reserved member is not zero
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

#ifdef __cplusplus
}
#endif

#endif
