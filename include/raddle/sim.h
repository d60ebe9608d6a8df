/*
 * raddle/sim.h - simulated runs: virtual time, drawn order, and the same again from a seed.
 *
 * RADDLE_POLICY=sim:seed=42 in the environment, or the driver "sim:seed=42" in the options of a run or a loop, runs
 * a program in a world of its own. All loops of a run take turns on the calling thread, in an order that is
 * drawn; time is virtual, and jumps when every task waits; jobs in executors run on that thread too, and
 * take a drawn time. The same seed makes the same run again, as long as the program does the same: reads no
 * other clock, starts no threads, asks nothing else of the machine. So a test can go through thousands of
 * schedules in a second, sleep for a day in none, and repeat the one that failed.
 *
 * Without a seed one is drawn and reported. A run whose result is negative, and a process that aborts, report
 * the name by which to have it again.
 *
 * Time. Inside a simulated loop, in tasks, callbacks and jobs, raddle_now() and everything that has to do with time
 * use the world's clock. It starts at the same point in each run, each look at it takes up to a microsecond,
 * and now and then as long as it takes when a thread loses its CPU. Threads outside have the real one.
 *
 * Order. A loop that is alone keeps asyncio's order of what is ready, and chance decides only when it becomes
 * so. In a team, which loop goes on, for how many switches, and what it steals is drawn.
 *
 * Executors. A job runs between two steps of tasks, and is finished a drawn time later. It is on the loop's thread:
 * what would wait gets -EPERM there, and raddle_run() -EBUSY. While it runs nothing else does, so a job that waits
 * for a task by other means does so for ever. An executor serves simulated loops
 * of one thread, or real ones: the first to use it decides, and the others get -ENOTSUP.
 *
 * Standstill. When nothing can happen any more and tasks wait, each is reported with what it waits for, and the
 * process aborts. Other threads might still change something: while the process has any, the run waits for five
 * seconds of real time, and for as long as raddle_sim_hold() says.
 *
 * Descriptors. Standard input, output and error are the real ones, and the world waits for them. An operation on
 * any other gets -ENOTSUP.
 *
 * There is no monitor: Ctrl-C, SIGQUIT and slow tasks are not looked after.
 */
#ifndef RADDLE_SIM_H
#define RADDLE_SIM_H

#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The seed of the world that the caller is in.
 *
 * Returns   0 with *out written, or
 *           -ENOTSUP  the loop isn't simulated
 *           -EPERM    outside a loop
 *           -EINVAL   out is NULL
 * Context   Inside a task, a callback or a simulated job.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_sim_seed(uint64_t *out);

/**
 * A number that stands for all that has happened in the caller's world so far: two runs that give the same one
 * at the same place have had the same history.
 *
 * Returns   as raddle_sim_seed()
 * Context   Inside a task, a callback or a simulated job.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_sim_trace(uint64_t *out);

/**
 * Keeps the time of all simulated worlds from jumping, until raddle_sim_release(): what the tasks wait for
 * comes from a thread outside, and its real time counts. Virtual time goes along with it meanwhile. Counted.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_sim_hold(void);

/**
 * Ends a raddle_sim_hold().
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_sim_release(void);

#ifdef __cplusplus
}
#endif

#endif
