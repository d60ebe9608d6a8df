/*
 * tests/io/test_fd.c - closing descriptors that are in use, and using numbers again.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/fd.h"
#include "io/op.h"
#include "sched/loop.h"

TestSuite(fd, .timeout = 30);

enum { WAITERS = 40 };

struct scene {
    int pair[2];
    rdl_atomic(unsigned) closed, other;
    rdl_atomic(int) closes[2];
    int outside, result;
};

static int wait_for_close(void *arg)
{
    struct scene *s = arg;
    static rdl_atomic(unsigned) turn;
    char byte;
    ssize_t n;

    switch (rdl_atomic_fetch_add_relaxed(&turn, 1u) % 3) {
    case 0:
        n = raddle_fd_recv(s->pair[0], &byte, 1, 0);
        break;
    case 1:
        n = raddle_fd_poll(s->pair[0], POLLIN);
        break;
    default:
        n = raddle_fd_read(s->pair[0], &byte, 1);
        break;
    }
    if (n == RADDLE_ECLOSED)
        (void)rdl_atomic_fetch_add_relaxed(&s->closed, 1u);
    else
        (void)rdl_atomic_fetch_add_relaxed(&s->other, 1u);
    return 0;
}

/* How many operations on fd are in flight. */
static unsigned in_flight(int fd)
{
    struct rdl_fd *entry;
    unsigned count = 0;

    if (rdl_fd_find(fd, &entry) < 0)
        return 0;
    rdl_lock_acquire(&entry->lock);
    for (struct rdl_op *op = entry->ops; op; op = op->fd_next)
        count++;
    rdl_lock_release(&entry->lock);
    return count;
}

static int spawn_waiters(struct raddle_group *group, struct scene *s)
{
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->pair) ? -errno : 0;

    if (rc == 0)
        rc = raddle_group_open(group, NULL);
    for (int i = 0; i < WAITERS && rc == 0; i++)
        rc = raddle_spawn(group, NULL, wait_for_close, s, NULL);
    while (rc == 0 && in_flight(s->pair[0]) < WAITERS)
        rc = raddle_yield();
    return rc;
}

static int close_under_waiters(void *arg)
{
    struct scene *s = arg;
    struct raddle_group group;
    int rc = spawn_waiters(&group, s);

    if (rc == 0)
        s->result = raddle_fd_close(s->pair[0]);
    rc = raddle_group_close(&group, rc);
    (void)raddle_fd_close(s->pair[1]);
    return rc;
}

Test(fd, a_close_ends_every_wait_on_any_loop)
{
    struct scene s = {.result = 1};

    cr_assert_eq(in_task(close_under_waiters, &s), 0);
    cr_assert_eq(s.result, 0);
    cr_assert_eq(s.closed, WAITERS);
    cr_assert_eq(s.other, 0);
}

static int close_it(void *arg)
{
    struct scene *s = arg;
    int rc = raddle_fd_close(s->pair[0]);

    (void)rdl_atomic_fetch_add_relaxed(&s->closes[rc == 0 ? 0 : 1], rc == 0 ? 1 : rc);
    return 0;
}

static int close_twice(void *arg)
{
    struct scene *s = arg;
    struct raddle_group group;
    int rc = spawn_waiters(&group, s);

    for (int i = 0; i < 2 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, close_it, s, NULL);
    rc = raddle_group_close(&group, rc);
    (void)raddle_fd_close(s->pair[1]);
    return rc;
}

Test(fd, of_two_closers_one_closes_and_one_is_told)
{
    struct scene s = {.result = 1};

    cr_assert_eq(in_task(close_twice, &s), 0);
    cr_assert_eq(s.closes[0], 1);
    cr_assert_eq(s.closes[1], -EBADF);
    cr_assert_eq(s.closed, WAITERS);
}

static void *close_outside(void *arg)
{
    struct scene *s = arg;

    s->outside = raddle_fd_close(s->pair[0]);
    return NULL;
}

static int close_from_thread(void *arg)
{
    struct scene *s = arg;
    struct raddle_group group;
    pthread_t thread;
    int rc = spawn_waiters(&group, s);

    if (rc == 0 && pthread_create(&thread, NULL, close_outside, s) == 0)
        pthread_join(thread, NULL);
    (void)raddle_fd_close(s->pair[0]);
    rc = raddle_group_close(&group, rc);
    (void)raddle_fd_close(s->pair[1]);
    return rc;
}

Test(fd, outside_a_task_only_what_nobody_waits_for_can_be_closed)
{
    struct scene s = {.outside = 1};

    cr_assert_eq(in_task(close_from_thread, &s), 0);
    cr_assert_eq(s.outside, -EPERM);
    cr_assert_eq(s.closed, WAITERS);
}

/* Waits on fd for a moment, so that a driver knows it. */
static void get_known(int fd)
{
    struct raddle_scope scope;
    char byte;
    int rc;

    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(1)), RADDLE_QUIET);
    rc = (int)raddle_fd_recv(fd, &byte, 1, 0);
    rc = raddle_scope_leave(&scope, rc);
    (void)rc;
}

static int reuse_numbers(void *arg)
{
    int *wrong = arg;

    for (int i = 0; i < 50; i++) {
        int old[2], new[2], copy;
        char byte = 'n';

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, old))
            return -errno;
        get_known(old[0]);
        copy =
            fcntl(old[0], F_DUPFD_CLOEXEC, 100); /* keeps the file, and its registration, alive */
        *wrong += raddle_fd_close(old[0]) != 0;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, new))
            return -errno;
        *wrong += new[0] != old[0];
        *wrong += write(old[1], "old", 3) != 3; /* an event of the file that had the number */
        get_known(new[0]);
        *wrong += write(new[1], &byte, 1) != 1;
        byte = 0;
        *wrong += raddle_fd_recv(new[0], &byte, 1, 0) != 1 || byte != 'n';
        close(copy);
        *wrong += raddle_fd_close(old[1]) || raddle_fd_close(new[0]) || raddle_fd_close(new[1]);
    }
    return 0;
}

Test(fd, a_number_that_is_used_again_knows_nothing_of_its_past)
{
    int wrong = 0;

    cr_assert_eq(in_task(reuse_numbers, &wrong), 0);
    cr_assert_eq(wrong, 0);
}

/* One descriptor, read in turn on every loop. */
static int read_everywhere(void *arg)
{
    struct scene *s = arg;
    unsigned loops = raddle_loop_count();
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->pair) ? -errno : 0;
    char byte = 'x';

    for (unsigned i = 0; i < 200 && rc == 0; i++) {
        struct rdl_team *team = rdl_loop_current()->team;

        if (team)
            rc = raddle_move_to((raddle_loop *)(void *)team->loops[i % loops]);
        get_known(s->pair[0]);
        if (rc == 0 && (raddle_fd_send(s->pair[1], &byte, 1, 0) != 1 ||
                        raddle_fd_recv(s->pair[0], &byte, 1, 0) != 1))
            rc = -EIO;
    }
    s->result = raddle_fd_close(s->pair[0]);
    (void)raddle_fd_close(s->pair[1]);
    return rc;
}

Test(fd, a_descriptor_can_be_waited_for_on_one_loop_after_another)
{
    struct scene s = {.result = 1};

    cr_assert_eq(in_task(read_everywhere, &s), 0);
    cr_assert_eq(s.result, 0);
}

static int accept_reused(void *arg)
{
    int *wrong = arg;
    int pair[2], again[2];
    struct rdl_fd *entry;

    /* Closed behind the library's back: the worst that may happen to the next user is nothing. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    get_known(pair[0]);
    close(pair[0]);
    close(pair[1]);
    again[0] = raddle_fd_socket(AF_INET, SOCK_DGRAM, 0);
    again[1] = -1;
    *wrong += again[0] != pair[0];
    *wrong += rdl_fd_find(again[0], &entry) != 0 || rdl_fd_kind(entry, again[0]) != RDL_FD_SOCKET;
    *wrong += raddle_fd_poll(again[0], POLLOUT) != POLLOUT;
    *wrong += raddle_fd_close(again[0]) != 0;
    return 0;
}

Test(fd, a_number_that_we_get_from_the_kernel_starts_anew_whatever_was_closed)
{
    int wrong = 0;

    cr_assert_eq(in_task(accept_reused, &wrong), 0);
    cr_assert_eq(wrong, 0);
}

static int fork_while_waiting(void *arg)
{
    struct scene *s = arg;
    struct raddle_group group;
    int rc = spawn_waiters(&group, s);
    pid_t child;

    if (rc < 0)
        return rc;
    child = fork();
    if (child == 0) {
        rdl_fd_after_fork();
        _exit(in_flight(s->pair[0]) != 0);
    }
    if (child < 0 || waitpid(child, &s->outside, 0) != child)
        rc = -ECHILD;
    s->result = (int)in_flight(s->pair[0]);
    (void)raddle_fd_close(s->pair[0]);
    rc = raddle_group_close(&group, rc);
    (void)raddle_fd_close(s->pair[1]);
    return rc;
}

Test(fd, a_forked_child_forgets_the_parents_operations)
{
    struct scene s = {.outside = 1};

    cr_assert_eq(in_task(fork_while_waiting, &s), 0);
    cr_assert(WIFEXITED(s.outside) && WEXITSTATUS(s.outside) == 0);
    cr_assert_eq(s.result, WAITERS);
}
