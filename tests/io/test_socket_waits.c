/*
 * tests/io/test_socket_waits.c - what ends a wait at a socket: a peer, a cancellation, a deadline, or its turn.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/io/results.h"

TestSuite(socket_waits, .timeout = 30);

/* Accept and connect. */
static int meet(void *arg)
{
    struct results *r = arg;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                       from;
    socklen_t length = sizeof(to);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* blocking */
    int fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0), peer;

    if (bind(listener, (struct sockaddr *)&to, sizeof(to)) || listen(listener, 5) ||
        getsockname(listener, (struct sockaddr *)&to, &length))
        return -errno;
    note(r, raddle_fd_connect(fd, (struct sockaddr *)&to, sizeof(to)));
    length = sizeof(from);
    peer = raddle_fd_accept(listener, (struct sockaddr *)&from, &length);
    note(r, peer < 0 ? peer : 0);
    note(r, length == sizeof(from) && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    note(r, fcntl(peer, F_GETFD));
    note(r, !!(fcntl(peer, F_GETFL) & O_NONBLOCK));
    note(r, raddle_fd_poll(fd, POLLOUT));
    note(r, raddle_fd_poll(fd, POLLIN | POLLOUT));
    (void)raddle_fd_close(fd);
    (void)raddle_fd_close(peer);
    (void)raddle_fd_close(listener);
    return 0;
}

Test(socket_waits, connect_meets_accept)
{
    static const ssize_t expected[] = {0, 0, 1, FD_CLOEXEC, 1, POLLOUT, POLLOUT};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(meet, &r), 0);
    EXPECT_RESULTS(r, expected);
}

/* A listener whose backlog is full answers later, or never. */
static int connect_slowly(void *arg)
{
    struct results *r = arg;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(to);
    int listener = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    struct raddle_scope scope;
    int fds[3], rc;

    if (bind(listener, (struct sockaddr *)&to, sizeof(to)) || listen(listener, 0) ||
        getsockname(listener, (struct sockaddr *)&to, &length))
        return -errno;
    for (int i = 0; i < 3; i++) {
        fds[i] = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
        raddle_scope_enter(&scope, raddle_in(RADDLE_MS(30)), 0);
        rc = raddle_fd_connect(fds[i], (struct sockaddr *)&to, sizeof(to));
        note(r, raddle_scope_leave(&scope, rc));
    }
    rc = raddle_fd_accept(listener, NULL, NULL);
    (void)raddle_fd_close(rc);
    (void)raddle_fd_close(fds[2]); /* all that can be done after a connect was cancelled */
    fds[2] = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    note(r, raddle_fd_connect(fds[2], (struct sockaddr *)&to, sizeof(to)));
    for (int i = 0; i < 3; i++)
        (void)raddle_fd_close(fds[i]);
    (void)raddle_fd_close(listener);
    return 0;
}

Test(socket_waits, connect_waits_to_its_end_or_a_deadline)
{
    struct results r = {.count = 0};

    cr_assert_eq(in_task(connect_slowly, &r), 0);
    cr_assert_eq(r.got[0], 0);
    cr_assert_eq(r.got[2], -ETIMEDOUT);
    cr_assert_eq(r.got[3], 0);
}

static int connect_to_nobody(void *arg)
{
    struct results *r = arg;
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/tmp/raddle-test-nobody"};
    struct sockaddr_in wrong = {.sin_family = AF_APPLETALK};
    int fd = raddle_fd_socket(AF_UNIX, SOCK_STREAM, 0);
    int tcp = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);

    note(r, raddle_fd_connect(fd, (struct sockaddr *)&to, sizeof(to)));
    note(r, raddle_fd_connect(tcp, (struct sockaddr *)&wrong, sizeof(wrong)));
    note(r, raddle_fd_connect(tcp, (struct sockaddr *)&to, 1));
    (void)raddle_fd_close(fd);
    (void)raddle_fd_close(tcp);
    return 0;
}

Test(socket_waits, connect_tells_what_went_wrong)
{
    static const ssize_t expected[] = {-ENOENT, -EAFNOSUPPORT, -EINVAL};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(connect_to_nobody, &r), 0);
    EXPECT_RESULTS(r, expected);
}

/* Cancelling before, and deadlines during. */
static int cancelled_before(void *arg)
{
    struct results *r = arg;
    struct raddle_scope scope;
    int pair[2], rc;
    char c = 'x';

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || write(pair[0], "a", 1) != 1)
        return -errno;
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "test");
    note(r, raddle_fd_recv(pair[1], &c, 1, 0)); /* though there is a byte */
    note(r, raddle_fd_recv(pair[1], &c, 1, MSG_DONTWAIT));
    note(r, raddle_fd_send(pair[1], &c, 1, 0)); /* though there is room */
    note(r, raddle_fd_poll(pair[1], POLLIN));
    note(r, raddle_fd_close(pair[0])); /* all the same */
    rc = raddle_scope_leave(&scope, -ECANCELED);
    note(r, rc);
    note(r, raddle_fd_recv(pair[1], &c, 1, 0)); /* nothing was lost */
    note(r, raddle_fd_recv(pair[1], &c, 1, 0));
    (void)raddle_fd_close(pair[1]);
    return 0;
}

Test(socket_waits, a_cancelled_task_moves_nothing_and_still_closes)
{
    static const ssize_t expected[] = {-ECANCELED, -ECANCELED, -ECANCELED, -ECANCELED, 0, 0, 1, 0};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(cancelled_before, &r), 0);
    EXPECT_RESULTS(r, expected);
}

static int deadline_of_now(void *arg)
{
    struct results *r = arg;
    struct raddle_scope scope;
    int pair[2];
    char c = 'x';

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || write(pair[0], "a", 1) != 1)
        return -errno;
    for (int i = 0; i < 3; i++) {
        raddle_scope_enter(&scope, i == 0 ? raddle_now() : i == 1 ? raddle_in(0) : 1, 0);
        note(r, raddle_scope_leave(&scope, (int)raddle_fd_recv(pair[1], &c, 1, 0)));
    }
    note(r, raddle_fd_recv(pair[1], &c, 1, 0)); /* nothing was lost */
    (void)raddle_fd_close(pair[0]);
    (void)raddle_fd_close(pair[1]);
    return 0;
}

Test(socket_waits, a_deadline_that_has_passed_when_it_is_set_moves_nothing)
{
    static const ssize_t expected[] = {-ETIMEDOUT, -ETIMEDOUT, -ETIMEDOUT, 1};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(deadline_of_now, &r), 0);
    EXPECT_RESULTS(r, expected);
}

static int past_deadlines(void *arg)
{
    struct results *r = arg;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    char *full = calloc(1, FAR);
    int pair[2], pipes[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || pipe2(pipes, O_CLOEXEC) ||
        bind(listener, (struct sockaddr *)&to, sizeof(to)) || listen(listener, 5) || !full) {
        free(full);
        return -ENOMEM;
    }
    for (int i = 0; i < 6; i++) {
        struct raddle_scope scope;
        ssize_t n = -1;

        raddle_scope_enter(&scope, raddle_in(RADDLE_MS(3)), 0);
        switch (i) {
        case 0:
            n = raddle_fd_recv(pair[0], full, 1, 0);
            break;
        case 1:
            n = raddle_fd_accept(listener, NULL, NULL);
            break;
        case 2:
            n = raddle_fd_poll(pair[0], POLLIN);
            break;
        case 3:
            n = raddle_fd_read(pipes[0], full, 1);
            break;
        case 4:
            while ((n = raddle_fd_send(pair[0], full, FAR, 0)) > 0)
                ;
            break;
        case 5:
            while ((n = raddle_fd_write(pipes[1], full, FAR)) > 0)
                ;
            break;
        default:
            break;
        }
        note(r, raddle_scope_leave(&scope, (int)n));
    }
    free(full);
    (void)raddle_fd_close(pair[0]);
    (void)raddle_fd_close(pair[1]);
    (void)raddle_fd_close(pipes[0]);
    (void)raddle_fd_close(pipes[1]);
    (void)raddle_fd_close(listener);
    return 0;
}

Test(socket_waits, a_deadline_ends_every_wait)
{
    struct results r = {.count = 0};

    cr_assert_eq(in_task(past_deadlines, &r), 0);
    cr_assert_eq(r.count, 6);
    for (unsigned i = 0; i < r.count; i++)
        cr_expect_eq(r.got[i], -ETIMEDOUT, "%u: %zd", i, r.got[i]);
}

/* Many that wait for one descriptor are served in the order in which they came. */
enum { READERS = 20 };

struct queue {
    int pair[2];
    unsigned served;
    unsigned char order[READERS];
};

static int read_one(void *arg)
{
    struct queue *q = arg;
    unsigned char byte;
    ssize_t n = raddle_fd_recv(q->pair[0], &byte, 1, 0);

    if (n == 1)
        q->order[q->served++] = byte;
    return n < 0 ? (int)n : 0;
}

static int queue_up(void *arg)
{
    struct queue *q = arg;
    struct raddle_group group;
    struct raddle_spawn_options pinned = {.mobility = RADDLE_PINNED};
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, q->pair) ? -errno : 0;

    if (rc < 0)
        return rc;
    rc = raddle_group_open(&group, NULL);
    for (int i = 0; i < READERS && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, read_one, q, &pinned);
    if (rc == 0)
        rc = raddle_sleep(RADDLE_MS(5));
    for (unsigned char i = 0; i < READERS && rc >= 0; i++)
        rc = (int)raddle_fd_send(q->pair[1], &i, 1, 0);
    rc = raddle_group_close(&group, rc < 0 ? rc : 0);
    (void)raddle_fd_close(q->pair[0]);
    (void)raddle_fd_close(q->pair[1]);
    return rc;
}

Test(socket_waits, each_of_many_readers_gets_one_byte)
{
    struct queue q = {.served = 0};
    bool seen[READERS] = {false};

    cr_assert_eq(in_task(queue_up, &q), 0);
    cr_assert_eq(q.served, READERS);
    for (unsigned i = 0; i < READERS; i++)
        seen[q.order[i]] = true;
    for (unsigned i = 0; i < READERS; i++)
        cr_assert(seen[i]);
}
