/*
 * raddle/debug.h - see what the tasks and loops of this process are doing, and what they do wrong.
 *
 * Debug mode looks for mistakes that otherwise show late, or as a program that stands still. It is switched on for a run,
 * or a loop of one's own, by the environment or by the option debug of raddle_run() and of a policy's new_loop. Both have
 * the same words, separated by commas, and where both name a threshold the option's holds:
 *
 *     RADDLE_DEBUG=1                   all of it
 *     RADDLE_DEBUG=1,slow=50ms         with another threshold; ns, us, ms, s
 *     RADDLE_DEBUG=slow=50ms           that alone
 *
 *     1             everything below
 *     slow=TIME     slow steps; 0: none. With 1: 100ms
 *     chain=COUNT   chains of so many callbacks; 0: none. With 1: 1000
 *     0             nothing
 *     move, scrub   RADDLE_RUN_MOVE, RADDLE_RUN_SCRUB: of runs only, and not part of 1
 *
 * Another word is reported, and is -EINVAL where the loops would have been made.
 *
 * Each mistake is one report (raddle_on_report(), or raddle_on_error() where there is an error that is nobody's result),
 * with the names of the tasks and where they were spawned. What is reported:
 *
 * Slow steps     A task that runs, or a callback, for longer than the threshold without a suspension, while it lasts: for
 *                how long, and a backtrace, below the line on standard error, else at its end. Shorter than one and a
 *                half times the threshold it may be missed. A thread looks, so not in a simulation.
 * Chains         A callback that is called soon because a callback asked for it, which was called soon because another
 *                had asked, and so on: its loop can't rest. Done-callbacks of futures count. Once for each chain.
 * Deadlocks      A wait that would close a circle of tasks, or plain threads, each of which waits for the next: for a
 *                mutex, for a read-write lock that is locked to write, in raddle_join(), in raddle_group_close(). Named
 *                are all of them, what each waits for and since where it is locked. The wait fails with -EDEADLK; if it
 *                can't fail (raddle_group_close(), the relocking in raddle_cond_wait()), another of the circle does. If
 *                a wait in it has a deadline, or is for a group in which a task that doesn't wait may still end the
 *                others (one that isn't RADDLE_COLLECT), it is reported only. A task that is cancelled already is
 *                in no circle; that one might be cancelled by somebody else one day doesn't count. Not seen: who waits
 *                for one of several things, for a condition, or for the readers of a lock. A task that locks or joins
 *                itself is refused without debug mode as well, and reported with it.
 * Wrong callers  A loop that is run or closed in a thread that isn't its own, with both threads; a lock that is unlocked,
 *                and a group that is asked for its next, by who isn't the owner.
 * Unread         The failure of a task that came after its group had failed, had no room in the errors of the group's
 *                options, and was not asked for by its handle; the failure of a group that was left without a close.
 *                (Not of RADDLE_FIRST_OK.) A future's error that nobody has read is reported always.
 *
 * Reported always, or said when the process is stopped for it: where a lock was locked whose owner has ended; where a
 * group was opened, or a scope entered, that a task returned without leaving, or left in the wrong order.
 *
 * While no loop has debug mode on it costs a branch where a task is about to wait for another. While one has, tasks of
 * all loops that wait for locks, joins and groups take a lock of the process.
 */
#ifndef RADDLE_DEBUG_H
#define RADDLE_DEBUG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <raddle/task.h>
#include <raddle/time.h>
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

/** What a task was doing. */
enum raddle_task_state {
    RADDLE_TASK_RUNNABLE, /**< It waits for its turn, or has not begun. */
    RADDLE_TASK_RUNNING,
    RADDLE_TASK_WAITING,
};

/** One task, as raddle_all_tasks() saw it. */
struct raddle_task_info {
    raddle_task *task; /**< A reference. Its name: raddle_task_name(). */
    raddle_task_fn *fn;
    const struct raddle_spawn_site *site; /**< Where it was spawned; NULL: unknown. */
    enum raddle_task_state state;
    enum raddle_mobility mobility;
    unsigned depth;        /**< How many tasks it is below: 0 has no parent. */
    int fd;                /**< The descriptor that it waits for; -1: none. */
    const char *waits_for; /**< What for, in words: a static string; NULL: for nothing. */
    raddle_time since;     /**< Since when it waits; 0: it doesn't. */
    const char *generator; /**< The generator that it was in; NULL: none. */
    uint64_t reserved[4];  /**< Written as zero. */
};

/**
 * Lists the tasks that have not ended, parents before their children, siblings in the order in which they were
 * spawned: asyncio's all_tasks(). Each line tells a moment; tasks go on meanwhile, and may have ended when it
 * returns. Whoever was there from the beginning to the end of the call is in the list.
 *
 *     n = raddle_all_tasks(NULL, &list);
 *     for (ssize_t i = 0; i < n; i++)
 *         if (list[i].state == RADDLE_TASK_WAITING)
 *             printf("%s waits for %s\n", raddle_task_name(list[i].task), list[i].waits_for);
 *     if (n >= 0)
 *         raddle_all_tasks_free(list, (size_t)n);
 *
 * loop      whose tasks: all of its run, if it is one of a team; NULL: those of all loops of the process
 * Returns   how many, with *out written (NULL for none), or, with *out untouched,
 *           -ENOMEM  no memory for them
 *           -EINVAL  out is NULL
 * Context   Any thread, while loop exists; not a signal handler. Never suspends.
 * Lifetime  *out is the caller's, to give back with raddle_all_tasks_free(). site lives as long as the task,
 *           and for ever where a macro of raddle/task.h made it.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_all_tasks(raddle_loop *loop,
                                                     struct raddle_task_info **out);

/**
 * Gives a list of raddle_all_tasks() back, and its references; who keeps one takes another by
 * raddle_task_ref(). NULL does nothing.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_all_tasks_free(struct raddle_task_info *list, size_t count);

/**
 * The return addresses on the stack of a task that waits: asyncio's get_stack(), with all frames. The innermost comes
 * first, and the first of all are the library's. For backtrace_symbols(3) and the like. Frames of 128 calls at most.
 *
 * pcs       room for max of them
 * Returns   how many were written; 0: task has ended, or max is 0; or
 *           -EBUSY    it runs or is about to, or has not begun, or went on each time it was looked at; or its stack is
 *                     paged out
 *           -ENOTSUP  it is in a generator, or this is not an x86-64
 *           -ENOMEM   no memory for a copy of its stack
 *           -EINVAL   task is NULL, or pcs is though max isn't 0
 * Context   Any thread; not a signal handler. Needs some KiB of stack.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_task_stack(raddle_task *task, void **pcs, size_t max);

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

/** Counters of one loop. They only grow, but for tasks and paged_out. */
struct raddle_loop_stats {
    uint64_t switches;    /**< Tasks resumed. */
    uint64_t spawns;      /**< Tasks started from this loop. */
    uint64_t steals;      /**< Tasks taken from other loops. */
    uint64_t wakes_sent;  /**< Wakes of sleeping loops that cost a system call. */
    uint64_t parks;       /**< Times the loop went to sleep. */
    uint64_t polls;       /**< Times the driver was asked, also in a spin before a park. */
    uint64_t completions; /**< Operations completed by the driver. */
    uint64_t timers;      /**< Timers fired. */
    /** Tasks that came to this loop minus those that ended on it or left it: below 0 on a loop that
     *  ends more than it started. Only the sum over a team is a number of tasks. */
    int64_t tasks;
    uint64_t page_outs;   /**< Stacks that were paged out so far (raddle_spawn_options). */
    int64_t paged_out;    /**< Stacks that are paged out now. */
    uint64_t reserved[5]; /**< Written as zero. */
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
