/*
 * tests/io/test_stray.c - -ECANCELED that comes from the kernel or a peer, and that no scope has caused: the operation
 * has not happened, and begins again, so that nobody takes it for the cancellation of a task.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "sched/sys.h"

TestSuite(stray, .timeout = 60);

enum { REFUSALS = 7 };

static rdl_atomic(int) refusals_left;

static bool is_operation(enum rdl_sys_call call)
{
    switch (call) {
    case RDL_SYS_RECV:
    case RDL_SYS_SEND:
    case RDL_SYS_READ:
    case RDL_SYS_WRITE:
    case RDL_SYS_POLL:
    case RDL_SYS_COMPLETION:
        return true;
    default:
        return false;
    }
}

/* The next few operations are cancelled by the kernel. */
static int cancelled_by_the_kernel(enum rdl_sys_call call, size_t *length)
{
    if (!is_operation(call) || (length && *length == sizeof(uint64_t))) /* the loop's own eventfd */
        return 0;
    if (rdl_atomic_load_relaxed(&refusals_left) <= 0)
        return 0;
    return rdl_atomic_fetch_sub_relaxed(&refusals_left, 1) > 0 ? -ECANCELED : 0;
}

static int sends_later(void *arg)
{
    int rc = raddle_sleep(RADDLE_MS(2));

    return rc < 0 ? rc : (int)raddle_fd_send(*(int *)arg, "x", 1, 0);
}

/* What is waited for is there already, or comes later; the first tries are cancelled in both cases. */
static void receives(int pair[2], bool later)
{
    struct raddle_group g;
    char byte = 0;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    if (later)
        EXPECT_EQ(raddle_spawn(&g, NULL, sends_later, &pair[1], NULL), 0);
    else
        EXPECT_EQ(raddle_fd_send(pair[1], "x", 1, 0), 1);
    rdl_atomic_store_relaxed(&refusals_left, REFUSALS);
    if (later)
        EXPECT_EQ(raddle_fd_poll(pair[0], POLLIN), POLLIN);
    rdl_atomic_store_relaxed(&refusals_left, REFUSALS);
    EXPECT_EQ(later ? raddle_fd_read(pair[0], &byte, 1) : raddle_fd_recv(pair[0], &byte, 1, 0), 1);
    EXPECT_EQ(byte, 'x');
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
}

static int operates(void *arg)
{
    bool *met = arg;
    int pair[2];

    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    receives(pair, false);
    receives(pair, true);
    rdl_atomic_store_relaxed(&refusals_left, REFUSALS);
    EXPECT_EQ(raddle_fd_send(pair[0], "xy", 2, 0), 2);
    EXPECT_EQ(raddle_fd_write(pair[0], "xy", 2), 2);
    *met = rdl_atomic_load_relaxed(&refusals_left) < REFUSALS;
    rdl_atomic_store_relaxed(&refusals_left, 0);
    EXPECT(!raddle_cancelled());
    EXPECT_EQ(raddle_fd_close(pair[0]), 0);
    EXPECT_EQ(raddle_fd_close(pair[1]), 0);
    return 0;
}

/* TC37 */
Test(stray, an_operation_that_the_kernel_has_cancelled_begins_again)
{
    bool met = false;

    rdl_sys_set_hook(cancelled_by_the_kernel);
    cr_assert_eq(in_task(operates, &met), 0);
    rdl_sys_set_hook(NULL);
    cr_assert(met);
    cr_assert_eq(test_failures(), 0);
}

/* One that is cancelled by the kernel again and again is still ended by its scope, and lets others run. */
static int cancels(void *arg)
{
    int rc = raddle_sleep(RADDLE_MS(2));

    raddle_scope_cancel(arg, "a task");
    return rc;
}

static int is_refused_for_ever(void *arg)
{
    struct raddle_scope scope;
    struct raddle_group g;
    int pair[2];
    char byte;

    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    EXPECT_EQ(write(pair[1], "x", 1), 1);
    for (int by_task = 0; by_task < 2; by_task++) {
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        raddle_scope_enter(&scope, by_task ? 0 : raddle_in(RADDLE_MS(2)), 0);
        if (by_task)
            EXPECT_EQ(raddle_spawn(&g, NULL, cancels, &scope,
                                   &(struct raddle_spawn_options){.mobility = RADDLE_PINNED}),
                      0);
        rdl_atomic_store_relaxed(&refusals_left, INT32_MAX);
        EXPECT_EQ(raddle_fd_recv(pair[0], &byte, 1, 0), -ECANCELED);
        rdl_atomic_store_relaxed(&refusals_left, 0);
        EXPECT_STR(raddle_cancel_reason(), by_task ? "a task" : "deadline");
        EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), by_task ? 0 : -ETIMEDOUT);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
    }
    EXPECT_EQ(raddle_fd_recv(pair[0], &byte, 1, 0), 1); /* it is still there */
    EXPECT_EQ(raddle_fd_close(pair[0]), 0);
    EXPECT_EQ(raddle_fd_close(pair[1]), 0);
    return 0;
}

/* TC37 */
Test(stray, one_that_is_cancelled_so_for_ever_ends_with_its_scope)
{
    rdl_sys_set_hook(cancelled_by_the_kernel);
    cr_assert_eq(in_task(is_refused_for_ever, NULL), 0);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(test_failures(), 0);
}
