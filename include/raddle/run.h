/*
 * raddle/run.h - runs a whole program: a team of loops, one per CPU, and a main task.
 */
#ifndef RADDLE_RUN_H
#define RADDLE_RUN_H

#include <stdint.h>

#include <raddle/policy.h>
#include <raddle/task.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct raddle_executor_options;

enum raddle_run_flags {
    RADDLE_RUN_NO_SIGINT = 1, /**< Leave Ctrl-C alone. */
    RADDLE_RUN_SIGQUIT = 2,   /**< SIGQUIT (Ctrl-\) prints all tasks to standard error. */
};

/** How a program is run. Zero is the default for every member. */
struct raddle_run_options {
    unsigned loops; /**< 0: as many as CPUs are allowed (affinity, cgroup quota rounded up); at most
                       1024. */
    unsigned flags; /**< Of enum raddle_run_flags. */
    const struct raddle_policy *policy; /**< NULL: the process's. */
    enum raddle_mobility mobility;      /**< Of tasks that don't say. */
    int64_t
        slow_ns; /**< Warn, with a backtrace, when a task holds its loop for longer; 0: never. */
    const struct raddle_executor_options
        *executor;        /**< Of the default executor; NULL: its defaults. */
    uint64_t reserved[4]; /**< Zero. */
};

/**
 * Runs main_fn(arg) as the main task on a team of loops, and returns when it and every task it left
 * behind have ended. The calling thread runs the first loop.
 *
 * The first SIGINT cancels the main task; the second one has its default action.
 *
 * Returns   what main_fn returned, or, with nothing run, -EINVAL, -ENOMEM, -EAGAIN (no thread),
 * -EBUSY (inside a loop), what the policy's new_loop says Context   Outside a loop. Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_run(raddle_task_fn *main_fn, void *arg,
                                           const struct raddle_run_options *options);

/**
 * How many loops the team of the calling task has; 0 outside.
 *
 * Since     0.1
 */
RADDLE_API unsigned raddle_loop_count(void);

#ifdef __cplusplus
}
#endif

#endif
