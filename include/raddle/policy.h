/*
 * raddle/policy.h - the rules by which threads get their loops.
 *
 * A policy is a table of functions with a base to call, as a subclass of asyncio's
 * DefaultEventLoopPolicy is: copy the default's table, put your own functions in, call the base's
 * from them. RADDLE_POLICY in the environment picks the built-in base: "uring" or "epoll"; without
 * it, uring where the kernel allows it and epoll elsewhere.
 *
 *     static int logged_new_loop(const struct raddle_policy *policy, const struct
 * raddle_loop_options *o, raddle_loop **out)
 *     {
 *         int rc = policy->base->new_loop(policy->base, o, out);
 *         fprintf(stderr, "new loop: %s\n", rc ? raddle_strerror(rc) : raddle_loop_driver(*out));
 *         return rc;
 *     }
 */
#ifndef RADDLE_POLICY_H
#define RADDLE_POLICY_H

#include <stdint.h>

#include <raddle/loop.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a loop is made with. Zero is the default for every member. */
struct raddle_loop_options {
    const char
        *driver; /**< "uring", "epoll"; NULL: what the policy prefers and the kernel allows. */
    enum raddle_mobility mobility; /**< Of tasks that don't say. */
    uint64_t reserved[4];          /**< Zero. */
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
    /** In the child of a fork: the parent's loops, their tasks and their executors are gone from here,
     *  and the calling thread has no loop. Only what is allowed after fork() in such a process. */
    void (*after_fork_child)(const struct raddle_policy *policy);

    uint64_t reserved[4]; /**< Zero. */
};

/**
 * The built-in policy, that RADDLE_POLICY or the kernel chose: the end of every chain of bases. All
 * of its functions are set.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API const struct raddle_policy *raddle_default_policy(void);

/**
 * Sets the process's policy; NULL: the built-in one. Loops that exist stay as they are.
 *
 * Returns   0; -EINVAL: a reserved member is not zero, or the bases form a cycle
 * Context   Any thread; most useful before the first loop.
 * Since     0.1
 */
RADDLE_API int raddle_set_policy(const struct raddle_policy *policy);

/**
 * The process's policy.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API const struct raddle_policy *raddle_get_policy(void);

#ifdef __cplusplus
}
#endif

#endif
