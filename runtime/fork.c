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

#include "io/fd.h"
#include "runtime/loop.h"
#include "runtime/monitor.h"
#include "sched/stack.h"

static void before(void)
{
    rdl_raddle_loops_lock();
    rdl_stack_fork_lock();
}

static void after_in_parent(void)
{
    rdl_stack_fork_unlock();
    rdl_raddle_loops_unlock();
}

static void after_in_child(void)
{
    rdl_stack_fork_unlock();
    rdl_raddle_loops_abandon();
    rdl_raddle_loops_unlock();
    rdl_fd_after_fork();
    rdl_monitor_after_fork();
    rdl_policy_after_fork_child();
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
