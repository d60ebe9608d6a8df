/*
 * raddle/task.h - start tasks, wait for them, cancel them.
 *
 * A task is a function with a stack of its own, owned by a group (raddle/group.h) that waits for
 * it. By default it may start on any loop of the team, and then stays there: thread-local storage
 * and errno are what they are in any thread, but two tasks of one group may run at the same time. A
 * migratable task may wake on another thread than it slept on, and must not trust thread-local
 * storage or errno across a call that can suspend. A pinned one never leaves the loop that spawned
 * it.
 *
 * A function that suspends is a function as any other: to call it is to wait for it. So there is nothing that one could
 * forget to await, nothing that has to be told apart or wrapped before it can be waited for, and a test puts another
 * function in its place.
 *
 * errno is saved for each task when it suspends. The rounding mode and other floating-point control words are not:
 * they are the thread's, and who changes them puts them back before the next call that can suspend. What a task
 * wants to keep to itself or hand on is a context variable (raddle/context.h).
 *
 * Cancelling is a request: it makes every cancellation point of the task fail with -ECANCELED from
 * now on; the task cleans up and returns as it sees fit. Who cancels says why. That stands in for asyncio's message and
 * traceback: the task reads it by raddle_cancel_reason(), and who has its handle by raddle_task_reason().
 */
#ifndef RADDLE_TASK_H
#define RADDLE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct raddle_group;
struct raddle_ctx;

/** A loop: see raddle/loop.h. */
typedef struct raddle_loop raddle_loop;

/** Tasks that never run in parallel: see raddle/strand.h. */
typedef struct raddle_strand raddle_strand;

/** In none, whatever its spawner is in. */
#define RADDLE_NO_STRAND ((raddle_strand *)(uintptr_t)1)

/** What a task runs. Its result: 0 or more is success, negative is a failure of its group. */
typedef int raddle_task_fn(void *arg);

/** A handle on a task: counted, observes only. Giving it back never cancels the task. */
typedef struct raddle_task raddle_task;

/** Which loops of its team a task may run on. */
enum raddle_mobility {
    RADDLE_MOBILITY_DEFAULT = 0, /**< What the run or the loop says, else RADDLE_FRESH. */
    RADDLE_FRESH,                /**< May start on any loop of the team, then stays on it. */
    RADDLE_MIGRATABLE,           /**< May move to another loop whenever it suspends. */
    RADDLE_PINNED,               /**< Stays on the loop it was spawned on. */
};

/** How a task is started. Zero is the default for every member. */
struct raddle_spawn_options {
    /** Shown in dumps; the first 31 bytes are copied. NULL: the function's name. */
    const char *name;
    /** Stack, rounded up to 16 KiB, 64 KiB, 256 KiB, 1 MiB, ..., 64 MiB; 0: 64 KiB. Of that up to 3 KiB are the task's
     * record, and an offset that keeps stacks apart in the caches. */
    size_t stack_bytes;
    enum raddle_mobility mobility;
    raddle_loop *loop; /**< Pins it to that loop of the team; NULL: none in particular. */
    /** Runs in it, and shares it with whoever else does; NULL: a copy of the spawner's (raddle/context.h). */
    struct raddle_ctx *context;
    raddle_strand *strand; /**< NULL: that of the spawner, if it is in one; or RADDLE_NO_STRAND. */
    /**
     * Start it now rather than later, asyncio's eager_start.
     *
     * On a loop that is alone, spawned by a task: it runs before raddle_spawn() returns, until it suspends for the
     * first time or ends; then the spawner goes on, before any other task or callback of the loop. It is a task
     * like others from its first instruction on: the handle is in *out, the group can cancel it, raddle_self() is
     * its own, and so are its context variables and errno. One that never suspends was never queued. In the
     * spawner's strand it runs on the spawner's turn.
     *
     * On a loop of a team, or spawned by a callback: it is the next that this loop runs, when the spawner suspends
     * or returns, unless tasks that became runnable later overtake it. The spawner must not rely on more than that;
     * raddle_spawn_started() is the way to be sure on all loops.
     *
     * It can't be had on another loop than the running one, nor in another strand than the spawner's.
     */
    bool eager_start;
    /**
     * Give the memory of its stack back to the kernel while it waits for input for long: for servers with many
     * connections of which most are idle.
     *
     * When the task has waited for a second in a receive from a socket, or in raddle_fd_poll(), its loop copies aside
     * what of the stack is in use and isn't zero. When the wait ends, however it does, all that is brought back to the
     * same addresses before the task goes on, for a page fault per page. A stack of a page or more becomes a few
     * hundred bytes so; with what the task has elsewhere, `raddle bench idle` shows it. Each receive that has to wait
     * costs two or three more system calls.
     *
     * The buffer of raddle_fd_recv(), raddle_fd_read() and raddle_read() isn't kept, if it is on the stack: behind what
     * was received, and after a receive that was cancelled or failed, it may be zero.
     *
     * The stack stays while the task has a group open, holds a mutex or a write lock, or stands in a generator; where
     * more than 2 KiB of it would have to be kept, or much of it looked at; where its nearest deadline comes within
     * two seconds; and where memory is locked (mlock(2)). The rest is the task's promise: while it waits for input no
     * other task, callback or thread uses anything that lies on its stack: no variable, event, semaphore, read lock,
     * or scope to be cancelled.
     *
     * In dumps such a receive waits in "poll", and raddle_task_stack() can't look at what is paged out. A policy
     * can't change it.
     */
    bool page_out;
    uint64_t reserved[4]; /**< Zero. */
};

/** In which way a task ended: it succeeded, failed, or was cancelled. */
enum raddle_outcome_kind { RADDLE_PENDING, RADDLE_OK, RADDLE_FAILED, RADDLE_CANCELLED };

/** How a task ended. */
struct raddle_outcome {
    /** RADDLE_CANCELLED: it returned -ECANCELED after it was cancelled. */
    enum raddle_outcome_kind kind;
    /** What its function returned; RADDLE_ESTRAY for an -ECANCELED that nothing had caused. */
    int rc;
};

/**
 * Starts fn(arg) as a task that group owns. The caller goes on; the task runs when the caller
 * suspends, or at once on another loop.
 *
 * out       NULL, or receives a handle that the caller gives back with raddle_task_unref()
 * options   NULL for the defaults
 * Returns   0, or, with nothing started,
 *           -ENOMEM           no stack or no memory for it
 *           -EINVAL           group or fn is NULL, a reserved member is not zero, no such mobility,
 *                             a stack above 64 MiB, eager_start on another loop than the running
 *                             one or in a strand that the caller isn't in
 *           -EXDEV            options->loop is not of the caller's team; see raddle_loop_spawn()
 *           -EPERM            outside a loop
 *           RADDLE_ESHUTDOWN  the group is closed, or was not opened
 *           and with a group that has a limit (max_live)
 *           -ECANCELED        a scope around the caller is cancelled or past its deadline
 *           -EDEADLK          every child that there may be waits here, to spawn into its own group
 *           -EAGAIN           there is no room, and a callback can't wait for it
 * Context   Inside a task or a callback of a loop. The group must be open for as long as this call
 *           lasts: a child of it may use it, and whoever opened it.
 * Lifetime  arg must live until the task has ended, which the group's close waits for. options is
 *           not kept.
 * Cancel    No cancellation point, unless the group has a limit: a task spawned into a cancelled group
 *           starts, and sees it. With options->eager_start the caller may be suspended meanwhile.
 * Since     0.1
 */
#define raddle_spawn(group, out, fn, arg, options)                                                 \
    raddle_spawn_at((group), (out), (fn), (arg), (options), RADDLE_SPAWN_SITE(fn))

/** Where a task was spawned, for dumps: static data, made by the raddle_spawn() macro. */
struct raddle_spawn_site {
    const char *function; /**< The text of the task's function. */
    const char *file;
    int line;
};

#ifdef __cplusplus
#define RADDLE_SPAWN_SITE(fn)                                                                      \
    ([]() -> const struct raddle_spawn_site * {                                                    \
        static const struct raddle_spawn_site site = {#fn, __FILE__, __LINE__};                    \
        return &site;                                                                              \
    }())
#else
#define RADDLE_SPAWN_SITE(fn)                                                                      \
    (__extension__({                                                                               \
        static const struct raddle_spawn_site raddle_site_ = {#fn, __FILE__, __LINE__};            \
        &raddle_site_;                                                                             \
    }))
#endif

/**
 * What the raddle_spawn() macro calls, and as it; site may be NULL, or outlives the task.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_spawn_at(struct raddle_group *group, raddle_task **out,
                                                raddle_task_fn *fn, void *arg,
                                                const struct raddle_spawn_options *options,
                                                const struct raddle_spawn_site *site);

/**
 * Starts fn(arg) as raddle_spawn() does, and waits until it says that it is up, by raddle_started(). Until
 * then the child is the caller's matter: if it fails, the caller is told and the group isn't; if the caller is
 * cancelled, so is the child, and waited for. From then on it is a child of group like others. Its scopes are
 * the group's all along.
 *
 * out       NULL, or receives a handle
 * ready     NULL, or receives what the child gave to raddle_started()
 * Returns   0, or, with no child left, *out and *ready untouched,
 *           what the child returned  it failed before it was up
 *           -EPROTO           it returned success without having said that it was up
 *           RADDLE_ESHUTDOWN  it was cancelled before it was up, and not because of the caller
 *           -ECANCELED        a scope around the caller is cancelled or past its deadline
 *           -EPERM            outside a task
 *           another           what raddle_spawn() says
 * Context   Inside a task, and as raddle_spawn().
 * Lifetime  As raddle_spawn().
 * Cancel    Cancellation point, which waits for the child.
 * Since     0.1
 */
#define raddle_spawn_started(group, out, fn, arg, options, ready)                                  \
    raddle_spawn_started_at((group), (out), (fn), (arg), (options), (ready), RADDLE_SPAWN_SITE(fn))

/**
 * What the raddle_spawn_started() macro calls, and as it; site may be NULL, or outlives the task.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int
raddle_spawn_started_at(struct raddle_group *group, raddle_task **out, raddle_task_fn *fn,
                        void *arg, const struct raddle_spawn_options *options, void **ready,
                        const struct raddle_spawn_site *site);

/**
 * The current task is up: raddle_spawn_started() returns 0, and value to its caller. In a task that was
 * started otherwise, and the second time, it does nothing, so that one function serves both ways.
 *
 * Returns   0; -ECANCELED: who started it was cancelled and doesn't want it any more, and it is
 *           cancelled, too; -EPERM outside a task
 * Context   Inside a task.
 * Lifetime  value is the child's to keep alive.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_started(void *value);

/**
 * The current task.
 *
 * Returns   the handle, or NULL outside a task or when there is no memory for it
 * Context   Any.
 * Lifetime  The handle lives as long as the task does: take a reference to keep it.
 * Since     0.1
 */
RADDLE_API raddle_task *raddle_self(void);

/**
 * Takes another reference.
 *
 * Returns   task, which must not be NULL
 * Context   Any thread.
 * Lifetime  Each reference is given back by raddle_task_unref().
 * Since     0.1
 */
RADDLE_API raddle_task *raddle_task_ref(raddle_task *task);

/**
 * Gives a reference back; NULL does nothing.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_task_unref(raddle_task *task);

/**
 * Waits until task has ended, and tells how. Any number of tasks may wait for one. Tasks that wait
 * for each other in a circle wait until one is cancelled; in debug mode (raddle/debug.h) the circle is noticed.
 *
 * Returns   0 with *outcome written (outcome may be NULL), or, with *outcome untouched,
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline; task goes on
 *           -EDEADLK    task is the caller, or it is an ancestor whose group waits for the caller; in debug mode
 *                       also: task waits, perhaps over others, for the caller
 *           -EPERM      outside a task
 *           -EINVAL     task is NULL
 * Context   Inside a task.
 * Lifetime  The handle stays the caller's.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_join(raddle_task *task, struct raddle_outcome *outcome);

/**
 * How task ended, without waiting. A failure read here or by raddle_join() still counts for its
 * group.
 *
 * Returns   0 with *outcome written; -EINPROGRESS while it runs; -EINVAL: an argument is NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_outcome_of(raddle_task *task,
                                                  struct raddle_outcome *outcome);

/**
 * Cancels task: every cancellation point in it, and in tasks that its groups own, fails from now
 * on.
 *
 * reason    a string that outlives the task, or NULL
 * Returns   0; -EALREADY when it has ended; -EINVAL: task is NULL
 * Context   Any thread; the task itself, too.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_task_cancel(raddle_task *task, const char *reason);

/**
 * Why task was cancelled, when it has ended so (RADDLE_CANCELLED): what raddle_cancel_reason() said at its end, whether
 * the task, a scope around it or its group was cancelled.
 *
 * Returns   a copy of the reason; NULL: it has not ended, or otherwise, or nobody gave one, or there was no memory
 * Context   Any thread.
 * Lifetime  The string lives as long as the handle.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API const char *raddle_task_reason(raddle_task *task);

/**
 * How many raddle_task_cancel()s of task it has not answered by raddle_uncancel(); scopes and groups don't
 * count, and don't use this.
 *
 * Returns   the number, that of its end for a task that has ended; -EINVAL: task is NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_cancelling(raddle_task *task);

/**
 * The current task answers one raddle_task_cancel(): with the last, it is as if it had never been cancelled so. A
 * cancelled scope or group around it, a deadline too, is another matter and goes on.
 *
 * Returns   how many are left; 0 when there is none, with nothing done; -EPERM outside a task
 * Context   Inside a task.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_uncancel(void);

/**
 * The first 31 bytes of a task's name, as given or the function's.
 *
 * Returns   the name; "" for NULL
 * Context   Any thread.
 * Lifetime  The string lives as long as the handle.
 * Since     0.1
 */
RADDLE_API const char *raddle_task_name(const raddle_task *task);

/**
 * The argument that task was started with, to be looked at for as long as it lives.
 *
 * Returns   it; NULL for NULL
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void *raddle_task_arg(const raddle_task *task);

/**
 * Moves the current task to another loop of its team, and makes it stay there.
 *
 * Returns   0 on that loop, or, with the task where and as movable as it was,
 *           -EXDEV            loop is not of the caller's team
 *           -EINVAL           loop is NULL
 *           -ECANCELED        a scope around the caller is cancelled or past its deadline
 *           -EPERM            outside a task
 *           RADDLE_ESHUTDOWN  loop is closed
 * Context   Inside a task.
 * Cancel    Cancellation point, before the move.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_move_to(raddle_loop *loop);

#ifdef __cplusplus
}
#endif

#endif
