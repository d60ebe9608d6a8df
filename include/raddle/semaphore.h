/*
 * raddle/semaphore.h - so many at a time: permits that are taken and given back.
 *
 *     static struct raddle_sem slots = RADDLE_SEM_INIT(5, 5);  // at most five at once
 *
 *     rc = raddle_sem_acquire(&slots, 1);
 *     if (rc < 0)
 *         return rc;
 *     rc = fetch(url);
 *     raddle_sem_release(&slots, 1);
 *
 * For context, cancellation, lifetime and memory see raddle/sync.h. Permits have no owner: whoever likes
 * may give them back, or give some that were never taken.
 */
#ifndef RADDLE_SEMAPHORE_H
#define RADDLE_SEMAPHORE_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A semaphore; the contents are the library's. Zero has no permits, and no bound. */
struct raddle_sem {
    uintptr_t raddle_private[8];
};

/** A semaphore with value permits, of which there are never more than max; max 0: no bound. */
#define RADDLE_SEM_INIT(value, max)                                                                \
    {                                                                                              \
        {                                                                                          \
            (value), (max)                                                                         \
        }                                                                                          \
    }

/**
 * Makes a semaphore with value permits. With max it is asyncio's BoundedSemaphore.
 *
 * max       how many there may ever be; 0: any number
 * Returns   0; -EINVAL: sem is NULL, or value is above max
 * Context   Any thread; nobody uses it yet.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_sem_init(struct raddle_sem *sem, size_t value, size_t max);

/**
 * Takes count permits, all at once, waiting in line until they are there.
 *
 * Permits that are given back belong to the first in line from that moment, and wait for it until it has
 * as many as it wants: who wants many is not passed over by those behind it who want few, and keeps them
 * waiting.
 *
 * Returns   0, or, with nothing taken,
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline
 *           -EPERM      on a loop's thread, outside a task
 *           -EINVAL     sem is NULL, count is 0 or above max
 * Context   Inside a task, or in a plain thread.
 * Cancel    Cancellation point. Who gives up in line makes way for those behind it.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_sem_acquire(struct raddle_sem *sem, size_t count);

/**
 * Takes count permits if they are there and nobody waits.
 *
 * Returns   0, -EAGAIN, or -EINVAL as raddle_sem_acquire() does
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_sem_try_acquire(struct raddle_sem *sem, size_t count);

/**
 * Gives count permits back, or adds them. As many of those in line as they suffice for have theirs when
 * this returns.
 *
 * Returns   0, or, with nothing changed,
 *           -EOVERFLOW  there would be more than max
 *           -EINVAL     sem is NULL, or count is 0
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_sem_release(struct raddle_sem *sem, size_t count);

/**
 * How many permits are there; 0 while somebody waits, as they are not for newcomers. May have changed when
 * this returns.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API size_t raddle_sem_value(struct raddle_sem *sem);

#ifdef __cplusplus
}
#endif

#endif
