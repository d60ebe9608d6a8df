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

/** What a run does with signals, and for debugging. */
enum raddle_run_flags {
    RADDLE_RUN_NO_SIGINT = 1, /**< Leave Ctrl-C alone. */
    RADDLE_RUN_SIGQUIT = 2,   /**< SIGQUIT (Ctrl-\) prints all tasks to standard error. */
    RADDLE_RUN_SIGPIPE =
        4, /**< Leave SIGPIPE alone; otherwise it is ignored during the run, and a write
                             *   that nobody reads fails with -EPIPE. */
    /** Debugging: each migratable task goes on on another loop after each suspension. What was kept from
     *  before it, the address of errno, a thread-local, a lock, is then wrong at once and not once a week. */
    RADDLE_RUN_MOVE = 8,
    /** Wipe the stack of each task that ends: the next finds nothing of it. Costs a system call per task. */
    RADDLE_RUN_SCRUB = 16,
};

/** How a program is run. Zero is the default for every member. */
struct raddle_run_options {
    /** At most 1024; 0: as many as CPUs are allowed (affinity, cgroup quota rounded up). */
    unsigned loops;
    unsigned flags;                     /**< Of enum raddle_run_flags. */
    const struct raddle_policy *policy; /**< NULL: the process's. */
    enum raddle_mobility mobility;      /**< Of tasks that don't say. */
    /** Warn, with a backtrace, when a task holds its loop for longer; 0: never. */
    int64_t slow_ns;
    /** Of the default executor, looked at when it is first used; NULL: its defaults. */
    const struct raddle_executor_options *executor;
    /** "uring", "epoll", "sim:seed=42" (raddle/sim.h); NULL: what the policy and the kernel allow. */
    const char *driver;
    /** Debug mode: words as in RADDLE_DEBUG (raddle/debug.h), which add to it; NULL: none. */
    const char *debug;
    uint64_t reserved[2]; /**< Zero. */
};

/**
 * Runs main_fn(arg) as the main task on a team of loops, and returns when it and every task it
 * left behind have ended; those (raddle_loop_spawn()) are cancelled when it has returned. The
 * calling thread runs the first loop.
 *
 * RADDLE_DEBUG in the environment, as options->debug, switches debug mode on (raddle/debug.h), and adds flags: "move" is
 * RADDLE_RUN_MOVE, "scrub" is RADDLE_RUN_SCRUB.
 *
 * The first SIGINT cancels the main task; the second has the action that was set before the run. With one loop, and
 * neither RADDLE_RUN_SIGQUIT nor a watch for slow steps (slow_ns, or debug mode's), that loop sees to it itself, and
 * the run starts no thread: where the program and its executors have none either, nothing has to be locked, which is
 * fastest on one CPU.
 *
 * Returns   what main_fn returned, or, with main_fn not called,
 *           -EBUSY            inside a loop
 *           -EINVAL           main_fn is NULL, a bad option, RADDLE_POLICY or RADDLE_DEBUG has a bad word, or some
 *                             of the loops that the policy made are simulated and some are not
 *           -EAGAIN           a thread can't be made
 *           -ENOMEM, -EMFILE  and what else the policy's new_loop or a driver's start says
 * Context   Outside a loop, in any thread.
 * Lifetime  arg, options and what they point to must live until this call returns.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_run(raddle_task_fn *main_fn, void *arg,
                                           const struct raddle_run_options *options);

/**
 * How many loops the team of the calling task has; 0 outside a loop.
 *
 * Context   Any.
 * Since     0.1
 */
RADDLE_API unsigned raddle_loop_count(void);

#ifdef __cplusplus
}
#endif

#endif
