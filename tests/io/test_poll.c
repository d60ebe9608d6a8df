/*
 * tests/io/test_poll.c - raddle_fd_poll() on a connection whose peer is half closed: what was not asked for
 * is no result, and no reason to ask the kernel again and again.
 *
 * A ring's poll always tells that the peer has shut down its side; epoll does when it is asked. What is
 * counted is how often the driver heard or asked while there was nothing to tell, not how long it took.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "sched/atomic.h"
#include "sched/loop.h"
#include "sched/sys.h"

TestSuite(poll, .timeout = 30);

enum { TURNS = 20, FEW = 4 };

struct half {
    int pair[2];
    short events;
    int result;
    rdl_atomic(bool) returned;
    bool waited, shut;
    unsigned seen; /* attempts, while there was nothing to tell */
};

static rdl_atomic(unsigned) attempts;

/* Of the loops: the monitor has a poll of its own. */
static int count_attempts(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if ((call == RDL_SYS_COMPLETION || call == RDL_SYS_POLL) && rdl_loop_current())
        (void)rdl_atomic_fetch_add_relaxed(&attempts, 1u);
    return 0;
}

static int poll_half(void *arg)
{
    struct half *h = arg;

    h->result = raddle_fd_poll(h->pair[0], h->events);
    rdl_atomic_store_release(&h->returned, true);
    return h->result;
}

/* A connection whose send buffer is full and whose peer has shut down its side. */
static int open_half(struct half *h)
{
    static const char data[4096];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, h->pair))
        return -errno;
    while (send(h->pair[0], data, sizeof(data), MSG_DONTWAIT) > 0)
        ;
    return errno == EAGAIN && shutdown(h->pair[1], SHUT_WR) == 0 ? 0 : -EIO;
}

static void drain(int fd)
{
    char data[4096];

    while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
        ;
}

/* Polls for a while in which nothing comes, then lets something come: room, an end or a cancellation. */
static int poll_in_vain(struct half *h, void (*then)(struct half *h, struct raddle_group *group))
{
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_group group;
    int rc = open_half(h);

    if (rc == 0)
        rc = raddle_group_open(&group, &collect);
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, poll_half, h, NULL);
    for (int i = 0; i < TURNS && rc == 0; i++)
        rc = raddle_sleep(RADDLE_MS(1));
    h->waited = !rdl_atomic_load_acquire(&h->returned);
    h->seen = rdl_atomic_load_relaxed(&attempts);
    then(h, &group);
    rc = raddle_group_close(&group, rc);
    if (!h->shut)
        (void)raddle_fd_close(h->pair[0]);
    (void)raddle_fd_close(h->pair[1]);
    return rc < 0 && rc != h->result ? rc : 0;
}

static void let_room_come(struct half *h, struct raddle_group *group)
{
    (void)group;
    drain(h->pair[1]);
}

static void let_close_come(struct half *h, struct raddle_group *group)
{
    (void)group;
    (void)raddle_fd_close(h->pair[0]);
    h->shut = true;
}

static void let_cancel_come(struct half *h, struct raddle_group *group)
{
    (void)h;
    raddle_group_cancel(group, "enough");
}

static int wait_for_room(void *arg)
{
    return poll_in_vain(arg, let_room_come);
}

static int wait_for_close(void *arg)
{
    return poll_in_vain(arg, let_close_come);
}

static int wait_for_cancel(void *arg)
{
    return poll_in_vain(arg, let_cancel_come);
}

static void check_half(raddle_task_fn *fn, short events, int wanted)
{
    static struct half h;

    h.events = events;
    rdl_sys_set_hook(count_attempts);
    cr_assert_eq(in_task(fn, &h), 0);
    rdl_sys_set_hook(NULL);
    cr_assert(h.waited, "poll returned %#x at once", (unsigned)h.result);
    cr_assert_leq(h.seen, FEW, "%u attempts in vain", h.seen);
    cr_assert_eq(h.result, wanted, "poll returned %d", h.result);
}

Test(poll, for_room_does_not_return_because_the_peer_is_half_closed)
{
    check_half(wait_for_room, POLLOUT, POLLOUT);
}

Test(poll, that_a_half_closed_peer_does_not_end_is_ended_by_a_close)
{
    check_half(wait_for_close, POLLOUT, RADDLE_ECLOSED);
}

Test(poll, that_a_half_closed_peer_does_not_end_is_ended_by_a_cancel)
{
    check_half(wait_for_cancel, POLLPRI, -ECANCELED);
}

static int ask_for_half(void *arg)
{
    struct half *h = arg;
    int rc = open_half(h);

    if (rc == 0)
        h->result = raddle_fd_poll(h->pair[0], POLLOUT | POLLRDHUP);
    (void)raddle_fd_close(h->pair[0]);
    (void)raddle_fd_close(h->pair[1]);
    return rc;
}

Test(poll, that_asks_for_it_is_told_that_the_peer_is_half_closed)
{
    struct half h = {0};

    cr_assert_eq(in_task(ask_for_half, &h), 0);
    cr_assert_eq(h.result, POLLRDHUP);
}
