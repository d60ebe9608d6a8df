/*
 * raddle/scope.h - a region of one task's code with a deadline and cancellation.
 *
 * Scopes nest. When one is cancelled or its deadline passes, every cancellation point inside it
 * fails with -ECANCELED until the scope is left: also a second and a third one, so that nothing
 * that swallows an error can swallow the cancellation. A shielded scope holds off what comes from
 * outside of it.
 *
 *     struct raddle_scope limit;
 *
 *     raddle_scope_enter(&limit, raddle_in(RADDLE_S(3)), 0);
 *     rc = raddle_scope_leave(&limit, fetch(url));       // -ETIMEDOUT after three seconds
 *
 * A deadline costs nothing unless the task has to wait.
 */
#ifndef RADDLE_SCOPE_H
#define RADDLE_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle/time.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Declares a variable whose autoclose function is called when its block is left, by return or break, too:
 * raddle_auto(scope), raddle_auto(group). A net, not a substitute for leaving and closing, which tell how it went:
 * what the block returns was computed before. Zero the variable: the block may be left before it is used.
 * Not called by longjmp() and exit().
 */
#ifndef raddle_auto
#define raddle_auto(what) __attribute__((cleanup(raddle_##what##_autoclose)))
#endif

/** In the caller's frame; must not move while it is entered. The contents are the library's. */
struct raddle_scope {
    uintptr_t raddle_private[12];
};

/** How a scope differs from a plain one. */
enum raddle_scope_flags {
    RADDLE_SHIELD = 1, /**< Cancellation and deadlines from outside don't reach inside. */
    RADDLE_QUIET = 2,  /**< A passed deadline leaves with 0 instead of -ETIMEDOUT. */
};

/**
 * Enters a scope. It must be left in the same frame, in reverse order.
 *
 * deadline  a point in time; 0 or RADDLE_NEVER: none. One that has passed cancels the scope at
 *           once.
 * flags     of enum raddle_scope_flags, or 0
 * Context   Inside a task; the process is stopped otherwise, and for unknown flags.
 * Lifetime  The scope must stay where it is until it is left.
 * Cancel    No cancellation point, and it can't fail.
 * Since     0.1
 */
RADDLE_API void raddle_scope_enter(struct raddle_scope *scope, raddle_time deadline,
                                   unsigned flags);

/**
 * Leaves the scope that was entered last, and answers for what it did.
 *
 * rc        what the code inside came to
 * Returns   rc, except when rc is -ECANCELED because of this scope alone (no scope around it is
 *           cancelled or past its deadline): then -ETIMEDOUT if its deadline passed (0 with
 *           RADDLE_QUIET), 0 if it was cancelled
 * Context   Inside the task that entered it; the process is stopped if it isn't the innermost.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_scope_leave(struct raddle_scope *scope, int rc);

/**
 * Cancels all that runs inside scope, tasks of groups in it included. Once cancelled it stays so.
 *
 * reason    a string that outlives the scope, shown to those who ask why; or NULL
 * Context   Any thread, while the scope is entered and is not being left.
 * Since     0.1
 */
RADDLE_API void raddle_scope_cancel(struct raddle_scope *scope, const char *reason);

/**
 * Whether scope itself was cancelled or its deadline was seen to have passed.
 *
 * Context   Any thread while it is entered; its task also after it was left.
 * Since     0.1
 */
RADDLE_API bool raddle_scope_cancelled(const struct raddle_scope *scope);

/**
 * Whether the next cancellation point of the current task would fail.
 *
 * Context   Inside a task; false outside.
 * Since     0.1
 */
RADDLE_API bool raddle_cancelled(void);

/**
 * Why the current task is cancelled: the reason given, "deadline" for a deadline, or NULL.
 *
 * Context   Inside a task; NULL outside.
 * Since     0.1
 */
RADDLE_API const char *raddle_cancel_reason(void);

/**
 * The nearest deadline of the scopes around the caller, up to the first shield; or RADDLE_NEVER.
 *
 * Context   Inside a task; RADDLE_NEVER outside.
 * Since     0.1
 */
RADDLE_API raddle_time raddle_effective_deadline(void);

#ifdef __cplusplus
}
#endif

#endif
