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
 * and now and then as long as it takes when a thread loses its CPU. Threads outside have the real one, and points in
 * time that they give to a simulated loop (raddle_call_at(), raddle_call_later() before it runs) are others there.
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
 * Network. Stream sockets of this library's (raddle_fd_socket(), raddle_serve(), raddle_connect(), accepted ones), TCP
 * and Unix, are simulated: what is sent arrives after a drawn time, connections overtake each other, reads and
 * writes are short. bind(2), listen(2) and options are the kernel's, and so is the port; nobody outside is
 * ever connected to, and getpeername(2) knows nobody. Standard input, output and error are the real ones,
 * and the world waits for them. An operation on any other descriptor gets -ENOTSUP.
 *
 * The name may say more, with commas between:
 *
 *     seed=N       the seed
 *     latency=T    what is sent takes up to T (1ms): a number with ns, us, ms or s
 *     short=P      percent of reads and writes that move less than they could (25)
 *     loss=P       percent of what is sent that comes 200 ms late or more, and holds up what follows (0)
 *     reset=P      percent of connections that are reset within a second (0)
 *
 * There is no monitor: Ctrl-C, SIGQUIT and slow tasks are not looked after.
 */
#ifndef RADDLE_SIM_H
#define RADDLE_SIM_H

#include <stdbool.h>
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

/**
 * Cuts the caller's network in two, or mends it: while it is cut nothing arrives. What was sent arrives some time
 * after it was mended, and a connect gives up after two minutes, with -ETIMEDOUT.
 *
 * Returns   0; -ENOTSUP: the loop isn't simulated; -EPERM: outside a loop
 * Context   Inside a task, a callback or a simulated job.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_sim_cut_network(bool cut);

/**
 * Waits until all others wait: no loop of the caller's world has a task or callback that could go on, a timer that is
 * due, or an event that has come, and no job of an executor has yet to end. Others who are in this call wait, too, and
 * all go on together. The clock does not jump for it, except to the ends of jobs.
 *
 * What comes later has not come: data that is on its way (latency, a network that is cut), timers, and what threads
 * outside may do, also while they hold the time. What comes at a time that the clock has reached meanwhile has: each
 * look at it moves it.
 *
 * Returns   0, or
 *           -ECANCELED  the caller was cancelled
 *           -ENOTSUP    the loop isn't simulated
 *           -EPERM      outside a task
 * Context   Inside a task.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_sim_quiesce(void);

#ifdef __cplusplus
}
#endif

#endif
