/*
 * raddle/policy.h - the rules by which threads get their loops.
 *
 * A policy is a table of functions with a base to call, as a subclass of asyncio's
 * DefaultEventLoopPolicy is: copy the default's table, put your own functions in, call the base's
 * from them. RADDLE_POLICY in the environment picks the driver of the built-in base: "uring",
 * "epoll" or "sim:seed=42" (raddle/sim.h); any other name makes new loops fail with -EINVAL. Without it, and where uring is asked
 * for in vain, it is uring where the kernel allows it and epoll elsewhere.
 *
 *     static int logged_new_loop(const struct raddle_policy *policy,
 *                                const struct raddle_loop_options *o, raddle_loop **out)
 *     {
 *         int rc = policy->base->new_loop(policy->base, o, out);
 *         fprintf(stderr, "new loop: %s\n", rc ? raddle_strerror(rc) : raddle_loop_driver(*out));
 *         return rc;
 *     }
 *
 * A loop has no functions that could be replaced, as a subclass of one does in asyncio. What it would log is told to the
 * policy (new_loop, loop_started, loop_closed), and what it would count, the loop counts (raddle_get_loop_stats()).
 *
 * After a fork() the child has no loops. Its thread is inside none, what would suspend returns
 * -EPERM, and the parent's loops, tasks, executors and streams must not be touched. A task that
 * forked goes on in the child as plain code: it may call raddle_run(), exec or _exit(), but neither
 * leave a scope or a group that was open before, which stops the process, nor return.
 */
#ifndef RADDLE_POLICY_H
#define RADDLE_POLICY_H

#include <stdint.h>

#include <raddle/loop.h>
#include <raddle/site.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a loop is made with. Zero is the default for every member. */
struct raddle_loop_options {
    /** "uring", "epoll", which then must be had, or "sim:seed=42" (raddle/sim.h); NULL: what the policy and the
     *  kernel allow. */
    const char *driver;
    enum raddle_mobility mobility; /**< Of tasks that don't say. */
    /** Words as in RADDLE_DEBUG (raddle/debug.h), which add to it; NULL: none. */
    const char *debug;
    uint64_t reserved[3]; /**< Zero. */
};

/** A policy: functions that are NULL are the base's. Must outlive its use. */
struct raddle_policy {
    const struct raddle_policy *base; /**< NULL: the built-in one. */
    const char *name;                 /**< Shown by tools; NULL: the base's. */
    void *data;                       /**< The policy's own. */

    /** Makes a loop. options is never NULL. */
    int (*new_loop)(const struct raddle_policy *policy, const struct raddle_loop_options *options,
                    raddle_loop **out);
    /** The calling thread's loop: see raddle_get_loop(). */
    int (*get_loop)(const struct raddle_policy *policy, raddle_loop **out);
    /** Makes loop the calling thread's. */
    int (*set_loop)(const struct raddle_policy *policy, raddle_loop *loop);
    /** loop is about to run in the calling thread, for the first time. */
    void (*loop_started)(const struct raddle_policy *policy, raddle_loop *loop);
    /** loop is about to be freed. */
    void (*loop_closed)(const struct raddle_policy *policy, raddle_loop *loop);
    /** In the child of a fork, if the process ever made a loop; of the forking thread's policy only
     *  (raddle_get_policy()), not of one that a run was given. The loops are gone, the calling thread has none. Only what is
     *  allowed after fork() in a process with threads. */
    void (*after_fork_child)(const struct raddle_policy *policy);
    /**
     * fn(arg) is about to be spawned on loops of this policy, or into a team of them: asyncio's task factory. It may
     * change name, stack_bytes, mobility and context in options, which are the spawner's or the defaults and are
     * used when it returns; other members are not looked at again. Called by the spawner, be it a task, a callback
     * or another thread, also for the library's own tasks (acceptors, readers), by functions of its own, but not for
     * main tasks: it must be quick, and neither suspend nor spawn. NULL throughout: nobody is asked, which costs
     * nothing.
     *
     * site      where it was spawned; NULL: not known
     * Returns   0; negative: nothing is spawned, and the spawn returns this
     */
    int (*before_spawn)(const struct raddle_policy *policy, raddle_task_fn *fn, void *arg,
                        const struct raddle_spawn_site *site, struct raddle_spawn_options *options);

    uint64_t reserved[3]; /**< Zero. */
};

/**
 * The built-in policy: the end of every chain of bases. All of its functions are set.
 *
 * Context   Any thread.
 * Lifetime  Static.
 * Since     0.1
 */
RADDLE_API const struct raddle_policy *raddle_default_policy(void);

/**
 * Sets the process's policy; NULL: the built-in one. Loops that exist stay as they are.
 *
 * Two modules that each set a policy of their own would undo each other's work: the second is refused and
 * reported, with both places in the source, unless it has the first among its bases or is one of the first's. To
 * build on what another has set, take raddle_get_policy() as the base; to override it, set NULL before.
 *
 * Returns   0, or, with everything as it was,
 *           -EBUSY   another policy is set, and neither builds on the other
 *           -EINVAL  a reserved member is not zero, or there are more than 64 bases, or a cycle
 * Context   Any thread; most useful before the first loop.
 * Lifetime  policy and its bases must outlive the loops made by it, and their being set.
 * Since     0.1
 */
#define raddle_set_policy(policy) raddle_set_policy_at((policy), RADDLE_SITE)

/**
 * What the raddle_set_policy() macro calls, and as it; site, shown in reports, may be NULL, or lives for ever.
 *
 * Since     0.1
 */
RADDLE_API int raddle_set_policy_at(const struct raddle_policy *policy, const char *site);

/**
 * Sets the policy of the calling thread, which then goes before the process's: for the loops that this thread
 * makes, gets and sets, and the runs that it begins. NULL: the process's.
 *
 * Returns   0; -EINVAL as raddle_set_policy()
 * Context   Any thread; in a task, it is that of the thread that runs it.
 * Lifetime  policy and its bases must outlive the loops made by it, and their being set.
 * Since     0.1
 */
RADDLE_API int raddle_set_thread_policy(const struct raddle_policy *policy);

/**
 * The calling thread's policy: its own, else the process's.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API const struct raddle_policy *raddle_get_policy(void);

#ifdef __cplusplus
}
#endif

#endif
