/*
 * runtime/fork.c - what a fork does to loops: the child has none.
 *
 * The child of fork() has one thread, the caller's; loops, executors and the kernel side of every driver
 * are the parent's, and a child that touched a shared ring would submit into its parent. So before the fork
 * the locks that the child will need are taken, and in the child every loop is abandoned: its descriptors are
 * closed, its memory is left alone, descriptors forget the operations in flight on them, and the calling
 * thread has no loop. A task that forked goes on in the child as plain code: what would suspend returns
 * -EPERM. It may run a loop of its own, exec, or _exit.
 */
#include <errno.h>
#include <pthread.h>
#include <raddle/fork.h>

#include "io/fd.h"
#include "runtime/loop.h"
#include "runtime/monitor.h"
#include "runtime/report.h"
#include "sched/stack.h"
#include "sched/sys.h"

/* What the program has registered. Never freed, and newest is all that a fork needs: what is older is behind it. */
struct hook {
    struct hook *older, *newer; /* newer: under the lock until another is the newest */
    raddle_fork_fn *before, *parent, *child;
};

static pthread_mutex_t hooks_lock = PTHREAD_MUTEX_INITIALIZER;
static rdl_atomic(struct hook *) newest;
static struct hook *oldest; /* under hooks_lock until there is a newest */

/* The newest when this thread began to fork: the hooks of one fork are the same before and after. */
static _Thread_local struct hook *forking;

static void before(void)
{
    /* acquire pairs with the release of raddle_at_fork(). */
    forking = rdl_atomic_load_acquire(&newest);
    for (struct hook *hook = forking; hook; hook = hook->older)
        if (hook->before)
            hook->before();
    pthread_mutex_lock(&hooks_lock);
    rdl_errors_lock();
    rdl_raddle_loops_lock();
    rdl_stack_fork_lock();
}

static void call_hooks(bool in_child)
{
    struct hook *hook = forking ? oldest : NULL;

    for (; hook; hook = hook == forking ? NULL : hook->newer) {
        raddle_fork_fn *fn = in_child ? hook->child : hook->parent;

        if (fn)
            fn();
    }
}

static void after_in_parent(void)
{
    rdl_stack_fork_unlock();
    rdl_raddle_loops_unlock();
    rdl_errors_unlock();
    pthread_mutex_unlock(&hooks_lock);
    call_hooks(false);
}

static void after_in_child(void)
{
    rdl_stack_fork_unlock();
    rdl_raddle_loops_abandon();
    rdl_raddle_loops_unlock();
    rdl_fd_after_fork();
    rdl_monitor_after_fork();
    rdl_errors_unlock();
    pthread_mutex_unlock(&hooks_lock);
    rdl_policy_after_fork_child();
    call_hooks(true);
}

static int install_result;

static void install(void)
{
    install_result = -pthread_atfork(before, after_in_parent, after_in_child);
}

int rdl_fork_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install);
    return install_result;
}

int raddle_at_fork(raddle_fork_fn *at_before, raddle_fork_fn *in_parent, raddle_fork_fn *in_child)
{
    struct hook *hook;
    int rc = at_before || in_parent || in_child ? rdl_fork_install() : -EINVAL;

    if (rc < 0)
        return rc;
    hook = rdl_sys_calloc(1, sizeof(*hook));
    if (!hook)
        return -ENOMEM;
    hook->before = at_before;
    hook->parent = in_parent;
    hook->child = in_child;
    pthread_mutex_lock(&hooks_lock);
    hook->older = rdl_atomic_load_relaxed(&newest);
    if (hook->older)
        hook->older->newer = hook;
    else
        oldest = hook;
    rdl_atomic_store_release(&newest, hook);
    pthread_mutex_unlock(&hooks_lock);
    return 0;
}
