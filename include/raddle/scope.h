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
 * or, of one expression,
 *
 *     RADDLE_WITHIN(RADDLE_S(3), rc, fetch(url));
 *
 * A deadline costs nothing unless the task has to wait.
 *
 * A cancelled task that has something to say to a peer before it goes needs time in which it isn't cancelled:
 *
 *     rc = talk(s);
 *     {
 *         RADDLE_CLEANUP(RADDLE_S(2));        // until the end of the block
 *         farewell(s);                        // two seconds for it, whatever happened
 *     }
 */
#ifndef RADDLE_SCOPE_H
#define RADDLE_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle/site.h>
#include <raddle/time.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
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
 *           once. Operations on descriptors read no clock for that: one that can be done at once is done, unless the
 *           loop knows already that the deadline has passed, as it does of what raddle_now() or raddle_in() has given.
 * flags     of enum raddle_scope_flags, or 0
 * Context   Inside a task; the process is stopped otherwise, and for unknown flags.
 * Lifetime  The scope must stay where it is until it is left.
 * Cancel    No cancellation point, and it can't fail.
 * Since     0.1
 */
#define raddle_scope_enter(scope, deadline, flags)                                                 \
    raddle_scope_enter_at((scope), (deadline), (flags), RADDLE_SITE)

/**
 * What the raddle_scope_enter() macro calls, and as it; site, shown in reports, may be NULL, or lives for ever.
 *
 * Since     0.1
 */
RADDLE_API void raddle_scope_enter_at(struct raddle_scope *scope, raddle_time deadline,
                                      unsigned flags, const char *site);

/**
 * Leaves the scope that was entered last, and answers for what it did.
 *
 * rc        what the code inside came to
 * Returns   rc, except when rc is -ECANCELED because of this scope alone (no scope around it is
 *           cancelled or past its deadline): then -ETIMEDOUT if its deadline passed (0 with
 *           RADDLE_QUIET), 0 if it was cancelled
 * Context   Inside the task that entered it; the process is stopped if it isn't the innermost, with a line that
 *           says where both were entered, and in which tasks.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_scope_leave(struct raddle_scope *scope, int rc);

/**
 * Whether leaving it turned -ECANCELED into 0 or -ETIMEDOUT: the cancellation was this scope's, and ended here.
 *
 * Context   The task that entered it, after it has left it; false before.
 * Since     0.1
 */
RADDLE_API bool raddle_scope_caught(const struct raddle_scope *scope);

/**
 * Moves the deadline of scope, for what comes: the task isn't waiting now. A point in the past cancels it at the
 * next cancellation point.
 *
 * deadline  0 or RADDLE_NEVER: none
 * Returns   0, or, with the deadline as it was,
 *           -EBUSY   scope is cancelled or past its deadline, or a group is open in it, whose tasks may be
 *                    waiting
 *           -EINVAL  the current task is not in scope
 *           -EPERM   outside a task
 * Context   Inside the task that entered it.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_scope_deadline(struct raddle_scope *scope, raddle_time deadline);

/**
 * Makes the innermost scope of the current task a shielded one, or a plain one again. What the shield has held
 * off is seen when it goes.
 *
 * Returns   0, or, with the scope as it was,
 *           -EBUSY   it is a group's, whose tasks may be waiting
 *           -EINVAL  it isn't the innermost scope of the current task
 *           -EPERM   outside a task
 * Context   Inside the task that entered it.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_scope_shield(struct raddle_scope *scope, bool on);

/**
 * What raddle_auto(scope) calls when the block is left: leaves scope, if it is still entered.
 *
 * Context   Inside the task that entered it, as its innermost scope.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_scope_autoclose(struct raddle_scope *scope);

/**
 * Enters a scope for clean-up: shielded, quiet, with a deadline of raddle_cleanup_deadline(ns).
 *
 * Context   Inside a task; the process is stopped otherwise.
 * Lifetime  As raddle_scope_enter().
 * Cancel    No cancellation point.
 * Since     0.1
 */
#define raddle_cleanup_enter(scope, ns) raddle_cleanup_enter_at((scope), (ns), RADDLE_SITE)

/**
 * What the raddle_cleanup_enter() macro calls, and as it; site, shown in reports, may be NULL, or lives for ever.
 *
 * Since     0.1
 */
RADDLE_API void raddle_cleanup_enter_at(struct raddle_scope *scope, int64_t ns, const char *site);

/**
 * The point until which a clean-up that begins now and may take ns goes on: not beyond that of a clean-up which it is
 * a part of, in the same task or in one whose groups lead to it. So clean-ups within clean-ups add up to no more
 * than the outermost allows.
 *
 * Context   Any.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API raddle_time raddle_cleanup_deadline(int64_t ns);

/** The rest of the block is clean-up that may take so long: see raddle_cleanup_enter(). */
#define RADDLE_CLEANUP(ns)          RADDLE_CLEANUP_AT(ns, __LINE__)
#define RADDLE_CLEANUP_AT(ns, line) RADDLE_CLEANUP_NAMED(ns, line)
#define RADDLE_CLEANUP_NAMED(ns, line)                                                             \
    __attribute__((cleanup(raddle_scope_autoclose))) struct raddle_scope raddle_cleanup_##line = { \
        {0}};                                                                                      \
    raddle_cleanup_enter(&raddle_cleanup_##line, (ns))

/** Sets rc to what expression comes to within so many nanoseconds, -ETIMEDOUT if it was cancelled then. */
#define RADDLE_WITHIN(ns, rc, expression)                                                          \
    do {                                                                                           \
        struct raddle_scope raddle_within_;                                                        \
        raddle_scope_enter(&raddle_within_, raddle_in(ns), 0);                                     \
        (rc) = raddle_scope_leave(&raddle_within_, (expression));                                  \
    } while (0)

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
 * Whether fn(arg) meets a cancellation point, for tests: it is called in a scope that is cancelled already, and every
 * point in it fails with -ECANCELED. One that fn swallows counts; one that it has shielded doesn't, and nor do
 * raddle_cancelled() and what fn's children meet. What fn returns is dropped.
 *
 * Returns   1 if it met one, 0 if not, or, without a call,
 *           -EINVAL  fn is NULL
 *           -EPERM   outside a task
 * Context   Inside a task, which is the one that calls fn.
 * Cancel    None but those of fn.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_scope_probe(int (*fn)(void *arg), void *arg);

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
