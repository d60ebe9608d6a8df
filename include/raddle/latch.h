/*
 * raddle/latch.h - waits until so many things have been done: a latch, and a wait group.
 *
 *     static struct raddle_latch parts = RADDLE_LATCH_INIT(3);
 *
 *     raddle_latch_done(&parts, 1);          // by each of three
 *     rc = raddle_latch_wait(&parts);        // by any number
 *
 * As a wait group it begins with 0: raddle_latch_add() before each piece of work is given away, and
 * raddle_latch_done() when it is done. For context, fairness, cancellation, lifetime and memory see
 * raddle/sync.h. Where all that is waited for are tasks, a group (raddle/group.h) does more.
 */
#ifndef RADDLE_LATCH_H
#define RADDLE_LATCH_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A latch; the contents are the library's. Zero has nothing outstanding. */
struct raddle_latch {
    uintptr_t raddle_private[8];
};

/** A latch with so much outstanding. */
#define RADDLE_LATCH_INIT(count)                                                                   \
    {                                                                                              \
        {                                                                                          \
            (count)                                                                                \
        }                                                                                          \
    }

/**
 * Makes a latch with count outstanding.
 *
 * Context   Any thread; nobody uses it yet.
 * Since     0.1
 */
RADDLE_API void raddle_latch_init(struct raddle_latch *latch, size_t count);

/**
 * Adds count to what is outstanding. Do so before what it stands for can be done, and while either something
 * is outstanding or nobody waits: else who waits may or may not have gone.
 *
 * Returns   0; -EOVERFLOW: it would be more than a size_t holds, and nothing was added; -EINVAL: latch is NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_latch_add(struct raddle_latch *latch, size_t count);

/**
 * Takes count from what is outstanding. When nothing is left, all that wait go on, first come first, also if
 * something is added before they run.
 *
 * Returns   0; -EINVAL: latch is NULL, or there isn't so much outstanding, and nothing was taken
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_latch_done(struct raddle_latch *latch, size_t count);

/**
 * Waits until nothing is outstanding.
 *
 * Returns   0, or
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline
 *           -EPERM      on a loop's thread, outside a task
 *           -EINVAL     latch is NULL
 * Context   Inside a task, or in a plain thread.
 * Lifetime  When this has returned 0 to the only one that waits, it may destroy latch.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_latch_wait(struct raddle_latch *latch);

/**
 * How much is outstanding, which may have changed when this returns.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API size_t raddle_latch_count(struct raddle_latch *latch);

#ifdef __cplusplus
}
#endif

#endif
