/*
 * raddle/barrier.h - so many meet, and go on together, again and again.
 *
 * For context, fairness, cancellation, lifetime and memory see raddle/sync.h. Who comes while those of the
 * round before are still on their way out begins the next round.
 */
#ifndef RADDLE_BARRIER_H
#define RADDLE_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A barrier; the contents are the library's. Zero is none: it needs its _INIT value or the function. */
struct raddle_barrier {
    uintptr_t raddle_private[9];
};

/** A barrier at which so many meet: at least 1, at most INT_MAX. */
#define RADDLE_BARRIER_INIT(parties)                                                               \
    {                                                                                              \
        {                                                                                          \
            (parties)                                                                              \
        }                                                                                          \
    }

/**
 * Makes a barrier at which parties meet.
 *
 * Returns   0; -EINVAL: barrier is NULL, parties is 0 or above INT_MAX
 * Context   Any thread; nobody uses it yet.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_barrier_init(struct raddle_barrier *barrier,
                                                    unsigned parties);

/**
 * Waits until as many as barrier's parties have come. The last to come wakes the others, and doesn't wait.
 *
 * Returns   0 to parties - 1: as the how many-th of its round the caller came; each is had once; or
 *           RADDLE_EBROKEN  barrier was reset or aborted while the caller waited, or aborted before
 *           -ECANCELED      a scope around the caller is cancelled or past its deadline. It doesn't count as
 *                           come, and the others go on waiting: the barrier isn't broken by it
 *           -EPERM          on a loop's thread, outside a task
 *           -EINVAL         barrier is NULL, or has no parties
 * Context   Inside a task, or in a plain thread.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_barrier_wait(struct raddle_barrier *barrier);

/**
 * Sends those that wait away with RADDLE_EBROKEN, and makes barrier as new. Those whose round is complete
 * are not touched.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_barrier_reset(struct raddle_barrier *barrier);

/**
 * Sends those that wait away with RADDLE_EBROKEN, and all who come until it is reset.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_barrier_abort(struct raddle_barrier *barrier);

/**
 * How many wait for their round to be complete, and whether it is aborted; both may have changed when this
 * returns.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API unsigned raddle_barrier_waiting(struct raddle_barrier *barrier);
RADDLE_API bool raddle_barrier_broken(struct raddle_barrier *barrier);

#ifdef __cplusplus
}
#endif

#endif
