/*
 * raddle/debug.h - see what the tasks and loops of this process are doing.
 */
#ifndef RADDLE_DEBUG_H
#define RADDLE_DEBUG_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/task.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Writes to fd the tree of all tasks: name, spawn site, state, what each waits for and since when.
 *
 * Returns   how many tasks were printed, or the -errno of write(2)
 * Context   Any thread; not a signal handler (see RADDLE_RUN_SIGQUIT). Blocks while fd does.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_print_tasks(int fd);

/** What raddle_print_left() looks for. */
enum raddle_left {
    RADDLE_LEFT_TASKS = 1, /**< Tasks of loops and of raddle_background(), and tasks of theirs. */
    RADDLE_LEFT_CALLBACKS = 2, /**< Callbacks with a time that has not come. */
};

/**
 * Writes to fd what the end of the caller's run would cancel and give up if it came now: tasks as
 * raddle_print_tasks() does, callbacks with where they were asked for. Readers and writers are tasks of their
 * loop. The main task, and what it waits for, is not among them.
 *
 * what      of enum raddle_left
 * Returns   how many were printed, or
 *           -EPERM      outside a task
 *           -EINVAL     what has other bits
 *           -ECANCELED  callbacks are asked for, and a scope around the caller is cancelled
 *           another     the -errno of write(2)
 * Context   Inside a task. For callbacks it goes to each loop of its team, and is pinned to its own afterwards.
 * Cancel    Cancellation point, if callbacks are asked for.
 * Since     0.1
 */
RADDLE_API int raddle_print_left(int fd, unsigned what);

/**
 * Ends the current task where it stands, as if its function had returned rc: for a failed assertion, from which
 * nobody returns. Scopes are left, groups that are open in it are cancelled and waited for, locks that it holds go
 * to the next, who is told -EOWNERDEAD. Nothing else is cleaned up, and its stack is not used again while the
 * process lives: what points into its frames still points to what it did.
 *
 * rc        negative
 * Returns   only if nothing was done:
 *           -EPERM   outside a task, or in one that a run or a loop is run for
 *           -EINVAL  rc isn't negative
 * Context   Inside a task that another has spawned, in any depth of calls and generators.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_abandon(int rc);

/** Counters of one loop. They only grow, but for tasks. */
struct raddle_loop_stats {
    uint64_t switches;    /**< Tasks resumed. */
    uint64_t spawns;      /**< Tasks started from this loop. */
    uint64_t steals;      /**< Tasks taken from other loops. */
    uint64_t wakes_sent;  /**< Wakes of sleeping loops that cost a system call. */
    uint64_t parks;       /**< Times the loop went to sleep. */
    uint64_t polls;       /**< Times the driver was asked. */
    uint64_t completions; /**< Operations completed by the driver. */
    uint64_t timers;      /**< Timers fired. */
    /** Tasks that came to this loop minus those that ended on it or left it: below 0 on a loop that
     *  ends more than it started. Only the sum over a team is a number of tasks. */
    int64_t tasks;
    uint64_t reserved[7]; /**< Written as zero. */
};

/**
 * Reads the counters of loop number index of the calling task's team; they may be a moment old.
 *
 * Returns   0 with *out written, or
 *           -ENOENT  the team has no loop of that number
 *           -EPERM   outside a loop
 *           -EINVAL  out is NULL
 * Context   Inside a task or a callback of a loop.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_get_loop_stats(unsigned index, struct raddle_loop_stats *out);

/**
 * Sets where the library's reports go (a failed task nobody waited for, a slow task, descriptors
 * running out): fn is called with one line, without a newline, from any thread, several at a time
 * perhaps, and must not suspend. NULL: standard error.
 *
 * Context   Any thread; best before anything runs.
 * Lifetime  fn and arg must live as long as the process: a report may be under way when they are
 *           replaced. line is gone when fn returns.
 * Since     0.1
 */
RADDLE_API void raddle_on_report(void (*fn)(const char *line, void *arg), void *arg);

/** An error that is nobody's result: a task of a loop's own failed, a future's error was read by nobody, a
 *  reader lost its descriptor. What it points to is gone when the handler returns. */
struct raddle_error_event {
    const char *what; /**< One line, as raddle_on_report() gets it. */
    int rc;           /**< The error. */
    const char
        *task; /**< The name of the task that failed, which is raddle_self(); NULL: it is none. */
    const char *site;  /**< Where that, or the future, was made, as "file:line"; NULL: unknown. */
    raddle_loop *loop; /**< The running loop; NULL outside of one. */
    uint64_t reserved[4]; /**< Zero. */
};

/** An error handler. Returns 0; a negative result says that it failed, too: then both are reported. */
typedef int raddle_error_fn(const struct raddle_error_event *event, void *arg);

/**
 * Sets who is told of errors that are nobody's result, in place of the report: asyncio's exception handler. NULL:
 * the report (raddle_on_report()). It is called where the error is found, in any thread and perhaps on the stack
 * of a task, and must not suspend; an error that comes up on its loop while it runs is reported and doesn't
 * reach it. Whatever it does, the loop goes on.
 *
 * Context   Any thread; best before anything runs.
 * Lifetime  fn and arg must live as long as the process: a call may be under way when they are replaced.
 * Since     0.1
 */
RADDLE_API void raddle_on_error(raddle_error_fn *fn, void *arg);

/**
 * The same for one loop, before the process's handler; NULL: the process's.
 *
 * Returns   0; -EINVAL: loop is NULL
 * Context   Any thread, and any time while the loop exists.
 * Lifetime  fn and arg must live as long as the loop.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_loop_on_error(raddle_loop *loop, raddle_error_fn *fn, void *arg);

#ifdef __cplusplus
}
#endif

#endif
