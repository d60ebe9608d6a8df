/*
 * raddle/debug.h - see what the tasks and loops of this process are doing.
 */
#ifndef RADDLE_DEBUG_H
#define RADDLE_DEBUG_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Writes to fd the tree of all tasks: name, spawn site, state, what each waits for and since when.
 *
 * Returns   how many tasks were printed; what write(2) says
 * Context   Any thread; not from a signal handler (see RADDLE_RUN_SIGQUIT).
 * Since     0.1
 */
RADDLE_API int raddle_print_tasks(int fd);

/** Counters of one loop, or the sum over a team. They only grow, but for tasks. */
struct raddle_loop_stats {
    uint64_t switches;    /**< Tasks resumed. */
    uint64_t spawns;      /**< Tasks started from this loop. */
    uint64_t steals;      /**< Tasks taken from other loops. */
    uint64_t wakes_sent;  /**< Wakes of sleeping loops that cost a system call. */
    uint64_t parks;       /**< Times the loop went to sleep. */
    uint64_t polls;       /**< Times the driver was asked. */
    uint64_t completions; /**< Operations completed by the driver. */
    uint64_t timers;      /**< Timers fired. */
    int64_t tasks; /**< Tasks started minus tasks ended here: only the sum over a team is a number
                      of tasks. */
    uint64_t reserved[7];
};

/**
 * Reads the counters of loop number index of the calling task's team; they may be a moment old.
 *
 * Returns   0; -ENOENT: no such loop; -EPERM: outside a loop; -EINVAL
 * Since     0.1
 */
RADDLE_API int raddle_get_loop_stats(unsigned index, struct raddle_loop_stats *out);

/**
 * Sets where the library's reports go (a failed task nobody waited for, a slow task, descriptors
 * running out): fn is called with one line, without a newline, from any thread. NULL: standard
 * error.
 *
 * Context   Any thread; best before anything runs.
 * Since     0.1
 */
RADDLE_API void raddle_on_report(void (*fn)(const char *line, void *arg), void *arg);

#ifdef __cplusplus
}
#endif

#endif
