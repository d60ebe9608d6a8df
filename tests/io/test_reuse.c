/*
 * tests/io/test_reuse.c - a number that is closed and used again while an operation on its predecessor is
 * half way: between two parts of a receive, between two attempts, before it has begun to wait.
 *
 * Each gap is met for certain: by a time slice that is spent, or by a hook that stops the operation
 * there. tests/race/race_close.c races the same calls.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/op.h"
#include "sched/loop.h"
#include "sched/sys.h"

TestSuite(reuse, .timeout = 30);

/* A pair of sockets whose first end has the number fd, which is free. 0 or -errno. */
static int make_pair_at(int fd, int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    if (pair[0] == fd)
        return 0;
    /* The second end may have got it. */
    if (pair[1] == fd && (pair[1] = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1)) < 0)
        return -errno;
    if (dup3(pair[0], fd, O_CLOEXEC) < 0)
        return -errno;
    close(pair[0]);
    pair[0] = fd;
    return 0;
}

static bool is_idle(int fd)
{
    struct rdl_fd *entry;
    bool idle;

    if (rdl_fd_find(fd, &entry) < 0)
        return true;
    rdl_lock_acquire(&entry->lock);
    idle = entry->ops == NULL;
    rdl_lock_release(&entry->lock);
    return idle;
}

/* Between two parts of a receive of all bytes. */

struct parts {
    int old[2], new[2];
    bool started, calling, in_gap;
    int closed, made;
    ssize_t n, left;
    char bytes[2], rest;
};

/* Runs when the receiver yields: closes its descriptor, and makes one with bytes for somebody else. */
static int close_and_reuse(void *arg)
{
    struct parts *p = arg;
    int rc = 0;

    p->started = true;
    while (!p->calling && rc == 0)
        rc = raddle_yield();
    p->in_gap = is_idle(p->old[0]);
    p->closed = raddle_fd_close(p->old[0]);
    p->made = make_pair_at(p->old[0], p->new);
    if (p->made == 0 && write(p->new[1], "S", 1) != 1)
        p->made = -EIO;
    return rc;
}

static int receive_in_parts(void *arg)
{
    struct parts *p = arg;
    struct raddle_spawn_options pinned = {.mobility = RADDLE_PINNED};
    struct raddle_group group;
    struct rdl_fd *entry;
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->old) ? -errno : 0;

    if (rc == 0 && write(p->old[1], "a", 1) != 1)
        rc = -EIO;
    if (rc == 0)
        rc = rdl_fd_find(p->old[0], &entry);
    if (rc == 0)
        rc = raddle_group_open(&group, NULL);
    if (rc < 0)
        return rc;
    rc = raddle_spawn(&group, NULL, close_and_reuse, p, &pinned);
    while (rc == 0 && !p->started)
        rc = raddle_yield();
    /* The first byte is received at once, by either driver, and the charge for it yields. */
    rdl_atomic_store_relaxed(&entry->more, true);
    rdl_loop_current()->slice = 0;
    p->calling = true;
    p->n = raddle_fd_recv(p->old[0], p->bytes, 2, MSG_WAITALL);
    rc = raddle_group_close(&group, rc);
    p->left = recv(p->new[0], &p->rest, 1, MSG_DONTWAIT);
    (void)raddle_fd_close(p->old[1]);
    (void)raddle_fd_close(p->new[0]);
    (void)raddle_fd_close(p->new[1]);
    return rc;
}

Test(reuse, a_receive_of_all_bytes_goes_on_with_its_descriptor_or_not_at_all)
{
    struct parts p = {.closed = 1};

    cr_assert_eq(in_task(receive_in_parts, &p), 0);
    cr_assert(p.in_gap, "the receive was not between two parts");
    cr_assert_eq(p.closed, 0);
    cr_assert_eq(p.made, 0);
    cr_assert_eq(p.n, 1, "it received %zd bytes", p.n);
    cr_assert_eq(p.bytes[0], 'a');
    cr_assert_eq(p.left, 1, "the successor's byte is gone");
    cr_assert_eq(p.rest, 'S');
}

/* Between two attempts, which the entry alone has to tell apart. */
Test(reuse, an_operation_that_begins_again_is_refused_by_a_successor)
{
    struct rdl_op op = {.code = RDL_OP_RECV}, other = {.code = RDL_OP_RECV};
    struct rdl_fd *entry;
    int old[2], new[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, old), 0);
    op.fd = other.fd = old[0];
    cr_assert_eq(rdl_fd_find(old[0], &entry), 0);
    cr_assert(rdl_fd_enter(entry, &op));
    cr_assert_not(rdl_fd_leave(entry, &op));
    cr_assert(rdl_fd_enter(entry, &op), "its own descriptor takes it again");
    cr_assert_not(rdl_fd_leave(entry, &op));
    cr_assert_eq(raddle_fd_close(old[0]), 0);
    cr_assert_eq(make_pair_at(old[0], new), 0);
    cr_assert_not(rdl_fd_enter(entry, &op));
    cr_assert(rdl_fd_enter(entry, &other), "one that is new here is welcome");
    cr_assert_not(rdl_fd_leave(entry, &other));
    cr_assert_eq(raddle_fd_close(old[1]), 0);
    cr_assert_eq(raddle_fd_close(new[0]), 0);
    cr_assert_eq(raddle_fd_close(new[1]), 0);
}

/* While an operation finds out what its descriptor is. */

enum { DISARMED, ARMED, STOPPED, GO_ON };

struct questions {
    int (*open)(int pair[2]); /* makes the descriptor, and one beside it. 0 or -errno */
    raddle_task_fn *ask;      /* the operation that is stopped */
    int fd, peer, pipe[2];
    int closed, made, result;
    ssize_t n;
    char byte;
    int kind;
    bool nonblocking;
};

static rdl_atomic(int) stage;
static enum rdl_sys_call stopped_call;
static rdl_atomic(int) calls_before; /* of that kind, which go on */
static rdl_atomic(bool) is_closed;
static struct rdl_fd *stopped_entry;

/* Is the close waiting for an operation that is in the entry? */
static bool close_waits(void)
{
    bool waits;

    rdl_lock_acquire(&stopped_entry->lock);
    waits = stopped_entry->closing && stopped_entry->ops;
    rdl_lock_release(&stopped_entry->lock);
    return waits;
}

/* Holds such a call until another thread has closed the descriptor, or waits to. */
static int stop_there(enum rdl_sys_call call, size_t *length)
{
    int armed = ARMED;

    (void)length;
    if (call != stopped_call || rdl_atomic_fetch_sub_relaxed(&calls_before, 1) > 0 ||
        !rdl_atomic_cas_acq_rel(&stage, &armed, STOPPED))
        return 0;
    while (!rdl_atomic_load_acquire(&is_closed) && !close_waits())
        sched_yield();
    rdl_atomic_store_release(&stage, GO_ON);
    return 0;
}

static int close_and_make_pipe(void *arg)
{
    struct questions *q = arg;

    q->closed = raddle_fd_close(q->fd);
    q->made = pipe2(q->pipe, O_CLOEXEC) ? -errno : 0;
    if (q->made == 0 && q->pipe[0] != q->fd) {
        if (q->pipe[1] == q->fd)
            q->pipe[1] = fcntl(q->fd, F_DUPFD_CLOEXEC, q->fd + 1);
        q->made = dup3(q->pipe[0], q->fd, O_CLOEXEC) < 0 ? -errno : 0;
        close(q->pipe[0]);
        q->pipe[0] = q->fd;
    }
    rdl_atomic_store_release(&is_closed, true);
    return 0;
}

/* A loop of its own: it closes while the other one is held, whatever the number of loops is. */
static void *closer_loop(void *arg)
{
    struct questions *q = arg;
    raddle_loop *loop;
    int rc;

    while (rdl_atomic_load_acquire(&stage) < STOPPED)
        sched_yield();
    rc = raddle_new_loop(&loop);
    if (rc == 0) {
        rc = raddle_loop_run_until_complete(loop, close_and_make_pipe, q);
        (void)raddle_loop_close(loop);
    }
    if (rc < 0)
        q->closed = rc;
    rdl_atomic_store_release(&is_closed, true);
    return NULL;
}

static int ask_while_closed(void *arg)
{
    struct questions *q = arg;
    pthread_t thread;
    int pair[2], rc = q->open(pair);

    if (rc < 0)
        return rc;
    q->fd = pair[0];
    q->peer = pair[1];
    rc = rdl_fd_find(q->fd, &stopped_entry);
    if (rc < 0 || pthread_create(&thread, NULL, closer_loop, q) != 0)
        return -EAGAIN;
    rdl_atomic_store_release(&stage, ARMED);
    rdl_sys_set_hook(stop_there);
    rc = q->ask(q);
    rdl_sys_set_hook(NULL);
    pthread_join(thread, NULL);
    if (rdl_atomic_load_relaxed(&stage) != GO_ON || q->made < 0)
        return -EIO;
    q->kind = rdl_atomic_load_relaxed(&stopped_entry->kind);
    q->nonblocking = fcntl(q->pipe[0], F_GETFL) & O_NONBLOCK ||
                     rdl_atomic_load_relaxed(&stopped_entry->nonblocking);
    if (write(q->pipe[1], "y", 1) != 1)
        return -EIO;
    q->n = raddle_fd_read(q->pipe[0], &q->byte, 1);
    (void)raddle_fd_close(q->pipe[0]);
    (void)raddle_fd_close(q->pipe[1]);
    (void)raddle_fd_close(q->peer);
    return rc;
}

/* The successor is as if nobody had had the number before. */
static void check_successor(struct questions *q)
{
    cr_assert_eq(in_task(ask_while_closed, q), 0);
    cr_assert_eq(q->closed, 0);
    cr_assert_eq(q->kind, RDL_FD_UNKNOWN, "a kind, %d, was noted about the successor", q->kind);
    cr_assert_not(q->nonblocking, "the successor was made non-blocking, or is believed to be");
    cr_assert_eq(q->n, 1, "a read of the successor returned %zd", q->n);
    cr_assert_eq(q->byte, 'y');
    cr_assert(q->result == 1 || q->result == RADDLE_ECLOSED, "it returned %d", q->result);
}

static int open_readable(int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    return write(pair[1], "x", 1) == 1 ? 0 : -EIO;
}

static int read_it(void *arg)
{
    struct questions *q = arg;
    char byte;

    q->result = (int)raddle_fd_read(q->fd, &byte, 1);
    return 0;
}

Test(reuse, what_a_read_finds_out_is_not_noted_about_a_successor)
{
    struct questions q = {.open = open_readable, .ask = read_it, .closed = 1};

    stopped_call = RDL_SYS_GETSOCKOPT;
    calls_before = 1; /* that it is a socket is known by then */
    check_successor(&q);
}

static int open_listening(int pair[2])
{
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pair[1] = fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
    return pair[1] < 0 || listen(pair[0], 1) ? -errno : 0;
}

static int accept_it(void *arg)
{
    struct questions *q = arg;

    q->result = raddle_fd_accept(q->fd, NULL, NULL);
    return 0;
}

Test(reuse, an_accept_does_not_make_a_successor_non_blocking)
{
    struct questions q = {.open = open_listening, .ask = accept_it, .closed = 1};

    stopped_call = RDL_SYS_FCNTL;
    check_successor(&q);
}
