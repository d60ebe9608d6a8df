/*
 * raddle/runner.h - a runner: several runs, one after the other, on one loop, as asyncio's Runner.
 *
 *     struct raddle_runner runner;
 *
 *     rc = raddle_runner_open(&runner, NULL);
 *     if (rc == 0)
 *         rc = raddle_runner_run(&runner, set_up, &app);
 *     if (rc == 0)
 *         rc = raddle_runner_run(&runner, serve, &app);
 *     raddle_runner_close(&runner);
 *
 * All runs have one context (raddle/context.h), a copy of what the thread had when the loop was made: a variable that
 * one of them sets is set in the next.
 *
 * Tasks that a run leaves on the loop (raddle_loop_spawn()), callbacks and readers stay there, and go on with the
 * next run. raddle_run() is for a program that is one run, on a team of loops.
 */
#ifndef RADDLE_RUNNER_H
#define RADDLE_RUNNER_H

#include <stdint.h>

#include <raddle/policy.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A runner, in the caller's memory. One thread uses it. */
struct raddle_runner {
    uint64_t raddle_private[6];
};

/** How a runner runs. Zero is the default for every member. */
struct raddle_runner_options {
    const struct raddle_policy *policy; /**< NULL: the thread's. */
    unsigned flags;                     /**< RADDLE_RUN_NO_SIGINT (raddle/run.h). */
    uint64_t reserved[4];               /**< Zero. */
};

/**
 * Makes a runner. Its loop is made when it is first needed, and then the thread's (raddle_set_loop()), once.
 *
 * Returns   0; -EINVAL: runner is NULL, a bad option
 * Context   Any thread.
 * Lifetime  The runner is to be given to raddle_runner_close(), and must not move. options is not kept; the policy
 *           must outlive the runner.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_runner_open(struct raddle_runner *runner,
                                                   const struct raddle_runner_options *options);

/**
 * Runs fn(arg) as a task of the runner's loop until it has ended. The first SIGINT cancels it, the second has the
 * action that was set before.
 *
 * Returns   what fn returned, or, with fn not called,
 *           RADDLE_ESHUTDOWN  the runner is closed
 *           -EBUSY            inside a loop
 *           -EINVAL           runner or fn is NULL, or the runner was never opened
 *           another           what raddle_new_loop(), the policy's set_loop or
 *                             raddle_loop_run_until_complete() say
 * Context   Outside a loop, always in the same thread.
 * Lifetime  arg must live until this call returns.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_runner_run(struct raddle_runner *runner, raddle_task_fn *fn,
                                                  void *arg);

/**
 * The runner's loop, made if need be.
 *
 * Returns   0 with *out written, or as raddle_runner_run()
 * Context   The runner's thread.
 * Lifetime  The loop is the runner's.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_runner_get_loop(struct raddle_runner *runner,
                                                       raddle_loop **out);

/**
 * Closes the runner's loop: raddle_loop_close(). A second close does nothing. A runner that was closed stays so:
 * to go on, open it again.
 *
 * Returns   0; -EINVAL: runner is NULL, or was never opened; what raddle_loop_close() says, with the runner as it
 *           was
 * Context   Outside a loop, in the runner's thread.
 * Since     0.1
 */
RADDLE_API int raddle_runner_close(struct raddle_runner *runner);

#ifdef __cplusplus
}
#endif

#endif
