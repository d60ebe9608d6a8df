/*
 * raddle/fork.h - what a program does when its process forks.
 *
 * What becomes of loops is in raddle/policy.h: the child has none, and makes its own. So
 *
 *     static void in_child(void)
 *     {
 *         raddle_loop *loop;
 *
 *         if (raddle_new_loop(&loop) == 0)
 *             raddle_set_loop(loop);
 *     }
 *
 *     raddle_at_fork(NULL, NULL, in_child);
 *
 * gives every child a loop, as os.register_at_fork() does.
 */
#ifndef RADDLE_FORK_H
#define RADDLE_FORK_H

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What is called at a fork. */
typedef void raddle_fork_fn(void);

/**
 * Has functions called at every fork() from now on, in the thread that forks: before, in the reverse order of
 * their being registered; parent and child, after it, in that order. Each may be NULL. The loops of the parent
 * are as they were when parent is called, and gone when child is, so that both may make loops. A process that had
 * threads may do in its child what fork(2) allows, which with glibc includes to allocate memory.
 *
 * There is no taking back. What is registered by such a function is called from the next fork on.
 *
 * Returns   0; -ENOMEM: no memory for it; -EINVAL: all three are NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_at_fork(raddle_fork_fn *before, raddle_fork_fn *parent,
                              raddle_fork_fn *child);

#ifdef __cplusplus
}
#endif

#endif
