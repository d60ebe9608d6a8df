/*
 * raddle/event.h - something that has happened, or not yet: who waits goes on when it does.
 *
 *     static struct raddle_event ready = RADDLE_EVENT_INIT;
 *
 *     rc = raddle_event_wait(&ready);   // any number of tasks and threads
 *     ...
 *     raddle_event_set(&ready);         // once, from anywhere
 *
 * For context, fairness, cancellation, lifetime and memory see raddle/sync.h.
 */
#ifndef RADDLE_EVENT_H
#define RADDLE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An event; the contents are the library's. Zero is one that isn't set. */
struct raddle_event {
    uintptr_t raddle_private[8];
};

/** An event that isn't set. */
#define RADDLE_EVENT_INIT                                                                          \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * Waits until event is set. Who waited when it was set has waited enough, also if it is cleared again
 * before the waiter runs. Who finds it set goes on at once, without giving way.
 *
 * Returns   0, or
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline
 *           -EPERM      on a loop's thread, outside a task
 *           -EINVAL     event is NULL
 * Context   Inside a task, or in a plain thread.
 * Lifetime  When this has returned 0 to the only one that waits, it may destroy event.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_event_wait(struct raddle_event *event);

/**
 * Sets event, and wakes all that wait, first come first. Does nothing if it is set.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_event_set(struct raddle_event *event);

/**
 * Makes event one that isn't set: who comes now waits.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_event_clear(struct raddle_event *event);

/**
 * Whether event is set, which may have changed when this returns. That it is set doesn't say that it may
 * be destroyed: who set it may still be at it.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API bool raddle_event_is_set(struct raddle_event *event);

#ifdef __cplusplus
}
#endif

#endif
