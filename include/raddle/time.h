/*
 * raddle/time.h - points in time, and sleeping until one.
 *
 * All times are nanoseconds on CLOCK_MONOTONIC: setting the wall clock changes nothing.
 */
#ifndef RADDLE_TIME_H
#define RADDLE_TIME_H

#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A point in time. */
typedef int64_t raddle_time;

/** The point that is never reached. As a deadline it means none, and so does 0. */
#define RADDLE_NEVER INT64_MAX

/** Lengths of time, in nanoseconds. */
#define RADDLE_US(n) ((int64_t)(n)*1000)
#define RADDLE_MS(n) ((int64_t)(n)*1000000)
#define RADDLE_S(n)  ((int64_t)(n)*1000000000)

/**
 * The time now.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_time raddle_now(void);

/**
 * The point length_ns from now; the past for a negative length, RADDLE_NEVER when it would
 * overflow.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_time raddle_in(int64_t length_ns);

/**
 * The same, counted from when the loop last looked at its clock, which costs no look. The point is early by the time
 * since: a fraction of a millisecond, or as long as the tasks that ran since then have computed, 64 of them at most.
 * For deadlines of seconds, of which a server sets some in each request. Outside a loop: raddle_in().
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_time raddle_in_coarse(int64_t length_ns);

/**
 * Suspends the current task for at least length_ns; 0 and less give way once, as raddle_yield().
 *
 * Returns   0; -ECANCELED: a scope around the caller is cancelled or past its deadline; -EPERM:
 *           outside a task
 * Context   Inside a task.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_sleep(int64_t length_ns);

/**
 * Suspends the current task until the given point, never less. A point in the past gives way once.
 *
 * Returns   0; -ECANCELED: a scope around the caller is cancelled or past its deadline; -EPERM:
 *           outside a task
 * Context   Inside a task.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_sleep_until(raddle_time when);

/**
 * Lets the other runnable tasks of this loop run, then goes on.
 *
 * Returns   0; -ECANCELED: a scope around the caller is cancelled or past its deadline; -EPERM:
 *           outside a task
 * Context   Inside a task.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_yield(void);

/**
 * Cancellation point that gives way only when the task has used up its time slice: for long
 * computations inside a task.
 *
 * Returns   0; -ECANCELED: a scope around the caller is cancelled or past its deadline; -EPERM:
 *           outside a task
 * Context   Inside a task.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_checkpoint(void);

#ifdef __cplusplus
}
#endif

#endif
