/*
 * raddle/exits.h - exit stacks: what has to be done in the end, in reverse order, whatever happens in between.
 *
 *     struct raddle_exits exits = RADDLE_EXITS_INIT;
 *
 *     for (i = 0; rc == 0 && i < count; i++) {
 *         rc = open_one(&files[i]);
 *         if (rc == 0 && (rc = raddle_exits_push(&exits, close_one, &files[i])) < 0)
 *             close_one(&files[i], rc);
 *     }
 *     if (rc == 0)
 *         rc = work(files, count);
 *     rc = raddle_exits_close(&exits, rc, RADDLE_S(2));
 *
 * It is for a number of things that is not known beforehand, or that is handed on (raddle_exits_move()); for a fixed
 * one, code it.
 *
 * Each function is told what the code came to, and what it returns is what the next one is told, and in the end what
 * the close returns: rc to pass it on, 0 to make a success of it, another failure to put in its place. So every
 * function is called, also after one that failed.
 *
 * The functions may suspend. The close shields them from cancellation, as cleaning up after one would be cancelled
 * at its first wait, but it gives them a budget, all of them together: when it is spent, every cancellation point
 * fails with -ECANCELED, and an -ECANCELED that comes of that is passed on as -ETIMEDOUT. A close within a clean-up
 * (any shield that has a deadline) has no more time than that.
 */
#ifndef RADDLE_EXITS_H
#define RADDLE_EXITS_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/time.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The budget of a close that doesn't say. */
#define RADDLE_EXITS_BUDGET_NS RADDLE_S(10)

/** What is done in the end. rc: what the code, and the functions before, came to. Returns what that is now. */
typedef int raddle_exit_fn(void *arg, int rc);

/** An exit stack; the contents are the library's. Zero is an empty one. Must not be copied: see raddle_exits_move(). */
struct raddle_exits {
    uintptr_t raddle_private[12];
};

/** An empty exit stack. */
#define RADDLE_EXITS_INIT                                                                          \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * Puts fn(arg, rc) on top: of all it is the first that the close calls.
 *
 * Returns   0, or, with nothing pushed,
 *           -ENOMEM  no memory; never for the first four
 *           -EINVAL  exits or fn is NULL
 * Context   Any, but one thread or task at a time. Also in a function that the close calls.
 * Lifetime  arg must live until fn has been called.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_exits_push(struct raddle_exits *exits, raddle_exit_fn *fn,
                                                  void *arg);

/**
 * Calls what is on the stack, the last pushed first, each once, and leaves it empty.
 *
 * rc         what the code came to
 * budget_ns  for all of them; 0: RADDLE_EXITS_BUDGET_NS; RADDLE_NEVER: no limit; negative: no time at all. In a plain
 *            thread or a callback there is nothing to be limited
 * Returns    what the last function returned; rc if there is none, or exits is NULL
 * Context    Any. In a task the functions may suspend.
 * Cancel     No cancellation point: it is called in a task that is cancelled, too.
 * Since      0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_exits_close(struct raddle_exits *exits, int rc,
                                                   int64_t budget_ns);

/**
 * Closes exits with 0 and the default budget, for raddle_auto, see raddle/version.h: what a return in the middle has
 * left. A failure is reported, as nobody is told.
 *
 * Since     0.1
 */
RADDLE_API void raddle_exits_autoclose(struct raddle_exits *exits);

/**
 * Moves all that is on one stack to another, which is empty: what was to be done at the end of this function is the
 * business of who has that one now. from is empty afterwards.
 *
 * Returns   0; -EINVAL, with nothing moved: to isn't empty, or is from, or an argument is NULL
 * Context   As raddle_exits_push().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_exits_move(struct raddle_exits *from, struct raddle_exits *to);

#ifdef __cplusplus
}
#endif

#endif
