/*
 * raddle/condition.h - waits until what a mutex guards has come to be as one needs it.
 *
 *     rc = raddle_lock(&queue->lock);
 *     ...
 *     while (rc == 0 && queue->count == 0)
 *         rc = raddle_cond_wait(&queue->filled, &queue->lock);
 *     ...                                   // the mutex is held, whatever rc is
 *     raddle_unlock(&queue->lock);
 *
 * For context, fairness, cancellation, lifetime and memory see raddle/sync.h. A wait ends by a notification
 * or a cancellation and never for nothing; a notification that a waiter has got is not lost when it is
 * cancelled, as its wait returns 0. What one waits for may still be gone when the mutex is had again: look.
 */
#ifndef RADDLE_CONDITION_H
#define RADDLE_CONDITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raddle/mutex.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A condition; the contents are the library's. Zero is one that nobody waits for. */
struct raddle_cond {
    uintptr_t raddle_private[8];
};

/** A condition that nobody waits for. */
#define RADDLE_COND_INIT                                                                           \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/** A predicate of raddle_cond_wait_for(), called with the mutex held. */
typedef bool raddle_predicate_fn(void *arg);

/**
 * Unlocks mutex, waits for a notification, and locks mutex again, which is held whatever is returned, but
 * for -EPERM and -EINVAL, which leave it as it is. Getting it back is not cut short by a cancellation, and
 * takes as long as others hold it.
 *
 * Returns   0, or
 *           -ECANCELED   a scope around the caller is cancelled or past its deadline, and no notification
 *                        was had
 *           -EOWNERDEAD  as raddle_lock() returns it, when getting the mutex back; notified or not
 *           -EPERM       the caller doesn't own mutex, or is on a loop's thread outside a task
 *           -EINVAL      an argument is NULL, or others wait for cond with another mutex
 * Context   The owner of mutex, inside a task or in a plain thread.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_cond_wait(struct raddle_cond *cond,
                                                 struct raddle_mutex *mutex);

/**
 * Waits until predicate(arg) is true, which is asked before each wait.
 *
 * Returns   0 when it is; or as raddle_cond_wait(), which it ends at
 * Context   The owner of mutex, inside a task or in a plain thread.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_cond_wait_for(struct raddle_cond *cond,
                                                     struct raddle_mutex *mutex,
                                                     raddle_predicate_fn *predicate, void *arg);

/**
 * Notifies the first count of those that wait. They line up for the mutex at once, behind those that wait
 * for it, and run when they have it: notifying many wakes one.
 *
 * Returns   how many were notified
 * Context   Any thread. Usually with the mutex held: without it, a notification may come between another's
 *           look and its wait, and not be noticed.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API size_t raddle_cond_notify(struct raddle_cond *cond, size_t count);

/**
 * Notifies all that wait.
 *
 * Returns   how many were notified
 * Context   As raddle_cond_notify().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API size_t raddle_cond_notify_all(struct raddle_cond *cond);

#ifdef __cplusplus
}
#endif

#endif
