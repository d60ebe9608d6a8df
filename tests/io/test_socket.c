/*
 * tests/io/test_socket.c - the operations of raddle/io.h, what they refuse and what they move.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sched/atomic.h"
#include "sched/sys.h"
#include "tests/io/results.h"

TestSuite(socket, .timeout = 30);

/* Every operation outside a task. */
Test(socket, nothing_works_outside_a_task_but_socket_and_close)
{
    struct iovec iov = {0};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert_eq(raddle_fd_read(fd, NULL, 0), -EPERM);
    cr_assert_eq(raddle_fd_write(fd, "", 0), -EPERM);
    cr_assert_eq(raddle_fd_readv(fd, &iov, 1), -EPERM);
    cr_assert_eq(raddle_fd_writev(fd, &iov, 1), -EPERM);
    cr_assert_eq(raddle_fd_recv(fd, NULL, 0, 0), -EPERM);
    cr_assert_eq(raddle_fd_recv(fd, NULL, 0, MSG_DONTWAIT), -EPERM);
    cr_assert_eq(raddle_fd_send(fd, "", 0, 0), -EPERM);
    cr_assert_eq(raddle_fd_recvmsg(fd, &message, 0), -EPERM);
    cr_assert_eq(raddle_fd_sendmsg(fd, &message, 0), -EPERM);
    cr_assert_eq(raddle_fd_accept(fd, NULL, NULL), -EPERM);
    cr_assert_eq(raddle_fd_connect(fd, (struct sockaddr *)&to, sizeof(to)), -EPERM);
    cr_assert_eq(raddle_fd_poll(fd, POLLIN), -EPERM);
    cr_assert_eq(raddle_fd_close(fd), 0);
    cr_assert_eq(raddle_fd_close(fd), -EBADF);
    cr_assert_eq(raddle_fd_socket(AF_INET, 12345, 0), -EINVAL);
    cr_assert_eq(raddle_fd_socket(12345, SOCK_STREAM, 0), -EAFNOSUPPORT);
}

static int use_no_descriptor(void *arg)
{
    static const int numbers[] = {-1, 9999, 1 << 30};
    struct iovec iov = {.iov_base = &iov, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct sockaddr_in to = {.sin_family = AF_INET};
    bool *all = arg;

    *all = true;
    for (unsigned i = 0; i < 3; i++) {
        int fd = numbers[i];
        char c = 0;
        *all = *all && raddle_fd_read(fd, &c, 1) == -EBADF &&
               raddle_fd_write(fd, &c, 1) == -EBADF && raddle_fd_readv(fd, &iov, 1) == -EBADF &&
               raddle_fd_writev(fd, &iov, 1) == -EBADF && raddle_fd_recv(fd, &c, 1, 0) == -EBADF &&
               raddle_fd_send(fd, &c, 1, 0) == -EBADF &&
               raddle_fd_recvmsg(fd, &message, 0) == -EBADF &&
               raddle_fd_sendmsg(fd, &message, 0) == -EBADF &&
               raddle_fd_accept(fd, NULL, NULL) == -EBADF &&
               raddle_fd_connect(fd, (struct sockaddr *)&to, sizeof(to)) == -EBADF &&
               raddle_fd_poll(fd, POLLIN) == -EBADF && raddle_fd_close(fd) == -EBADF;
    }
    return 0;
}

Test(socket, what_is_not_open_is_ebadf)
{
    bool all = false;

    cr_assert_eq(in_task(use_no_descriptor, &all), 0);
    cr_assert(all);
}

static int use_wrongly(void *arg)
{
    struct results *r = arg;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct iovec iov = {0};
    int fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    int pipes[2], pair[2];
    char c = 0;

    if (fd < 0 || pipe2(pipes, O_CLOEXEC) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        return -errno;
    note(r, raddle_fd_recv(fd, &c, 1, 0));             /* not connected */
    note(r, raddle_fd_send(fd, &c, 1, 0));             /* not connected */
    note(r, raddle_fd_accept(fd, NULL, NULL));         /* not listening */
    note(r, raddle_fd_recv(pipes[0], &c, 1, 0));       /* no socket */
    note(r, raddle_fd_send(pipes[1], &c, 1, 0));       /* no socket */
    note(r, raddle_fd_accept(pipes[0], NULL, NULL));   /* no socket */
    note(r, raddle_fd_readv(pipes[0], &iov, -1));      /* no number */
    note(r, raddle_fd_writev(pipes[1], &iov, 100000)); /* too many */
    note(r, raddle_fd_read(pipes[1], &c, 1));          /* open for writing */
    note(r, raddle_fd_write(pipes[0], &c, 1));         /* open for reading */
    note(r, raddle_fd_connect(fd, (struct sockaddr *)&to, sizeof(to)));
    note(r, raddle_fd_close(pair[1]));
    note(r, raddle_fd_send(pair[0], &c, 1, 0)); /* nobody reads; no signal */
    note(r, raddle_fd_write(pair[0], &c, 1));   /* the same */
    note(r, raddle_fd_read(pair[0], &c, 1));
    note(r, raddle_fd_recv(fd, &c, 1, MSG_DONTWAIT | MSG_OOB));
    raddle_fd_close(pair[0]);
    raddle_fd_close(pipes[0]);
    raddle_fd_close(pipes[1]);
    raddle_fd_close(fd);
    return 0;
}

Test(socket, what_the_kernel_refuses_is_told_as_it_tells_it)
{
    static const ssize_t expected[] = {
        -ENOTCONN, -EPIPE, -EINVAL,       -ENOTSOCK, -ENOTSOCK, -ENOTSOCK, -EINVAL, -EINVAL,
        -EBADF,    -EBADF, -ECONNREFUSED, 0,         -EPIPE,    -EPIPE,    0,       -EINVAL};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(use_wrongly, &r), 0);
    cr_assert_eq(r.count, 16);
    EXPECT_RESULTS(r, expected);
}

/* Bytes through every pair of operations. */
struct transfer {
    int in, out;
    unsigned how;
    size_t total, received;
    bool wrong;
    int rc;
};

static unsigned char byte_at(size_t where)
{
    return (unsigned char)(where * 2654435761u >> 13);
}

static ssize_t send_some(unsigned how, int fd, char *data, size_t bytes)
{
    struct iovec iov[2] = {{.iov_base = data, .iov_len = bytes / 2},
                           {.iov_base = data + bytes / 2, .iov_len = bytes - bytes / 2}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    switch (how % 4) {
    case 0:
        return raddle_fd_send(fd, data, bytes, 0);
    case 1:
        return raddle_fd_write(fd, data, bytes);
    case 2:
        return raddle_fd_writev(fd, iov, 2);
    default:
        return raddle_fd_sendmsg(fd, &message, 0);
    }
}

static ssize_t receive_some(unsigned how, int fd, char *data, size_t bytes)
{
    struct iovec iov[2] = {{.iov_base = data, .iov_len = bytes / 2},
                           {.iov_base = data + bytes / 2, .iov_len = bytes - bytes / 2}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    switch (how % 4) {
    case 0:
        return raddle_fd_recv(fd, data, bytes, 0);
    case 1:
        return raddle_fd_read(fd, data, bytes);
    case 2:
        return raddle_fd_readv(fd, iov, 2);
    default:
        return raddle_fd_recvmsg(fd, &message, 0);
    }
}

static int send_all(void *arg)
{
    struct transfer *t = arg;
    char data[7000];
    size_t sent = 0;

    while (sent < t->total) {
        size_t now = t->total - sent < sizeof(data) ? t->total - sent : sizeof(data);
        for (size_t i = 0; i < now; i++)
            data[i] = (char)byte_at(sent + i);
        ssize_t n = send_some(t->how, t->out, data, now);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        sent += (size_t)n;
    }
    return raddle_fd_close(t->out);
}

static int receive_all(void *arg)
{
    struct transfer *t = arg;
    char data[5000];
    ssize_t n;

    while ((n = receive_some(t->how, t->in, data, sizeof(data))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            t->wrong |= (unsigned char)data[i] != byte_at(t->received + (size_t)i);
        t->received += (size_t)n;
    }
    (void)raddle_fd_close(t->in);
    return (int)n;
}

static int transfer(void *arg)
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    if (rc == 0)
        rc = raddle_spawn(&group, NULL, receive_all, arg, NULL);
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, send_all, arg, NULL);
    return raddle_group_close(&group, rc);
}

static void check_transfer(int in, int out, unsigned how, size_t total)
{
    struct transfer t = {.in = in, .out = out, .how = how, .total = total};
    const char *loops = getenv("RADDLE_TEST_LOOPS");
    struct raddle_run_options options = {.loops = loops ? (unsigned)atoi(loops) : 1};

    cr_assert_eq(raddle_run(transfer, &t, &options), 0);
    cr_assert_eq(t.received, total);
    cr_assert_not(t.wrong);
}

static void tcp_pair(int pair[2])
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(to);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(listener, (struct sockaddr *)&to, sizeof(to)), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&to, &length), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(pair[0], (struct sockaddr *)&to, sizeof(to)), 0);
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    cr_assert_geq(pair[1], 0);
    close(listener);
}

Test(socket, every_byte_arrives_through_every_operation_over_tcp)
{
    for (unsigned how = 0; how < 4; how++) {
        int pair[2];
        tcp_pair(pair);
        check_transfer(pair[0], pair[1], how, FAR);
    }
}

Test(socket, every_byte_arrives_through_every_operation_over_unix_sockets)
{
    for (unsigned how = 0; how < 4; how++) {
        int pair[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        check_transfer(pair[0], pair[1], how, FAR);
    }
}

Test(socket, every_byte_arrives_through_a_pipe_that_blocks_or_not)
{
    for (unsigned how = 0; how < 4; how++) {
        int pipes[2];
        cr_assert_eq(pipe2(pipes, O_CLOEXEC | (how & 1 ? O_NONBLOCK : 0)), 0);
        check_transfer(pipes[0], pipes[1], 1 + how / 2, FAR);
    }
}

/* Calls move a few bytes at a time, or are interrupted. */
static int grudging(enum rdl_sys_call call, size_t *length)
{
    static rdl_atomic(unsigned) calls;
    unsigned count;

    if (call != RDL_SYS_RECV && call != RDL_SYS_SEND && call != RDL_SYS_READ &&
        call != RDL_SYS_WRITE)
        return 0;
    if (*length == sizeof(uint64_t))
        return 0; /* an eventfd's, which takes no less */
    count = rdl_atomic_fetch_add_relaxed(&calls, 1u);
    if (count % 5 == 0)
        return -EINTR;
    if (*length > count % 97 + 1)
        *length = count % 97 + 1;
    return 0;
}

/* AB5 */
Test(socket, every_byte_arrives_when_calls_are_short_and_interrupted)
{
    int pair[2];

    rdl_sys_set_hook(grudging);
    tcp_pair(pair);
    check_transfer(pair[0], pair[1], 0, FAR / 16);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    check_transfer(pair[0], pair[1], 1, FAR / 16);
    cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
    check_transfer(pair[0], pair[1], 1, FAR / 16);
    rdl_sys_set_hook(NULL);
}

static int seqpackets(void *arg)
{
    struct results *r = arg;
    char data[100];
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return -errno;
    for (int i = 0; i < 3; i++)
        note(r, raddle_fd_send(pair[0], data, 10 + (size_t)i, 0));
    /* One packet each, though a short read. */
    for (int i = 0; i < 3; i++)
        note(r, raddle_fd_recv(pair[1], data, sizeof(data), 0));
    note(r, raddle_fd_recv(pair[1], data, sizeof(data), MSG_DONTWAIT));
    note(r, raddle_fd_close(pair[0]));
    note(r, raddle_fd_recv(pair[1], data, sizeof(data), 0));
    (void)raddle_fd_close(pair[1]);
    return 0;
}

Test(socket, a_packet_is_one_read_and_the_next_is_not_forgotten)
{
    static const ssize_t expected[] = {10, 11, 12, 10, 11, 12, -EAGAIN, 0, 0};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(seqpackets, &r), 0);
    cr_assert_eq(r.count, 9);
    EXPECT_RESULTS(r, expected);
}

/* A peer that sends in pieces, with the end or an urgent byte right behind. */
static int pieces(void *arg)
{
    struct results *r = arg;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(to);
    int listener = raddle_fd_socket(AF_INET, SOCK_STREAM, 0), peer;
    char data[100];
    int fd;

    if (listener < 0 || bind(listener, (struct sockaddr *)&to, sizeof(to)) || listen(listener, 5) ||
        getsockname(listener, (struct sockaddr *)&to, &length))
        return -errno;
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(peer, (struct sockaddr *)&to, sizeof(to)))
        return -errno;
    fd = raddle_fd_accept(listener, NULL, NULL);
    note(r, raddle_fd_recv(fd, data, 1, MSG_DONTWAIT));
    if (send(peer, "abc", 3, 0) != 3)
        return -errno;
    note(r, raddle_fd_recv(fd, data, 100, MSG_PEEK)); /* short, and not drained */
    note(r, raddle_fd_recv(fd, data, 100, 0));
    if (send(peer, "defg", 4, 0) != 4 || send(peer, "!", 1, MSG_OOB) != 1 ||
        send(peer, "hi", 2, 0) != 2)
        return -errno;
    note(r, raddle_fd_poll(fd, POLLPRI));
    note(r, raddle_fd_recv(fd, data, 100, 0)); /* up to the mark: short, and not drained */
    note(r, raddle_fd_recv(fd, data, 100, MSG_OOB));
    note(r, raddle_fd_recv(fd, data, 100, 0));
    if (send(peer, "end", 3, 0) != 3 || close(peer))
        return -errno;
    note(r, raddle_fd_poll(fd, POLLRDHUP) & POLLRDHUP);
    note(r, raddle_fd_recv(fd, data, 100, 0));
    note(r, raddle_fd_recv(fd, data, 100, 0)); /* the end came with the data */
    note(r, raddle_fd_recv(fd, data, 100, 0)); /* and stays */
    (void)raddle_fd_close(fd);
    (void)raddle_fd_close(listener);
    return 0;
}

Test(socket, a_short_read_does_not_hide_what_comes_behind)
{
    static const ssize_t expected[] = {-EAGAIN, 3, 3, POLLPRI, 4, 1, 2, POLLRDHUP, 3, 0, 0};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(pieces, &r), 0);
    cr_assert_eq(r.count, 11);
    EXPECT_RESULTS(r, expected);
}

static int wait_all(void *arg)
{
    struct results *r = arg;
    char data[16] = "";
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    note(r, raddle_fd_send(pair[0], "abcdefgh", 8, 0));
    note(r, raddle_fd_recv(pair[1], data, 3, MSG_WAITALL));
    note(r, raddle_fd_close(pair[0]));
    note(r, raddle_fd_recv(pair[1], data, 10, MSG_WAITALL)); /* what there is before the end */
    note(r, raddle_fd_recv(pair[1], data, 10, MSG_WAITALL));
    (void)raddle_fd_close(pair[1]);
    return 0;
}

Test(socket, waitall_waits_for_all_or_the_end)
{
    static const ssize_t expected[] = {8, 3, 0, 5, 0};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(wait_all, &r), 0);
    EXPECT_RESULTS(r, expected);
}

/* Descriptors over a unix socket. */
static int pass_descriptor(void *arg)
{
    struct results *r = arg;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(int))}};
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    int pair[2], fd = dup(0);

    if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    note(r, raddle_fd_sendmsg(pair[0], &message, 0));
    memset(&control, 0, sizeof(control));
    note(r, raddle_fd_recvmsg(pair[1], &message, 0));
    close(fd);
    memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
    note(r, fcntl(fd, F_GETFD));
    close(fd);
    (void)raddle_fd_close(pair[0]);
    (void)raddle_fd_close(pair[1]);
    return 0;
}

Test(socket, a_received_descriptor_is_cloexec)
{
    struct results r = {.count = 0};

    cr_assert_eq(in_task(pass_descriptor, &r), 0);
    cr_assert_eq(r.got[0], 1);
    cr_assert_eq(r.got[1], 1);
    cr_assert_eq(r.got[2], FD_CLOEXEC);
}

static int use_files(void *arg)
{
    struct results *r = arg;
    char name[] = "/tmp/raddle-test-XXXXXX", data[10];
    struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
    int fd = mkostemp(name, O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int count = eventfd(0, EFD_CLOEXEC);
    uint64_t one = 1;

    if (fd < 0 || null < 0 || count < 0 || unlink(name))
        return -errno;
    note(r, raddle_fd_write(fd, "hello", 5));
    note(r, raddle_fd_poll(fd, POLLIN));
    note(r, lseek(fd, 0, SEEK_SET));
    note(r, raddle_fd_read(fd, data, 2)); /* at the file's position */
    note(r, raddle_fd_readv(fd, &iov, 1));
    note(r, raddle_fd_read(fd, data, 2));
    note(r, raddle_fd_write(null, data, 5));
    note(r, raddle_fd_read(null, data, 5));
    note(r, raddle_fd_write(count, &one, sizeof(one)));
    note(r, raddle_fd_read(count, &one, sizeof(one)));
    (void)raddle_fd_close(fd);
    (void)raddle_fd_close(null);
    (void)raddle_fd_close(count);
    return 0;
}

Test(socket, files_devices_and_counters_can_be_read_and_written)
{
    static const ssize_t expected[] = {5, POLLIN, 0, 2, 3, 0, 5, 0, 8, 8};
    struct results r = {.count = 0};

    cr_assert_eq(in_task(use_files, &r), 0);
    cr_assert_eq(r.count, 10);
    EXPECT_RESULTS(r, expected);
}

static int nothing_to_move(void *arg)
{
    struct results *r = arg;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    note(r, raddle_fd_read(pair[0], NULL, 0));
    note(r, raddle_fd_write(pair[0], NULL, 0));
    note(r, raddle_fd_send(pair[0], NULL, 0, 0));
    note(r, raddle_fd_writev(pair[0], NULL, 0));
    (void)raddle_fd_close(pair[0]);
    (void)raddle_fd_close(pair[1]);
    return 0;
}

Test(socket, moving_nothing_returns_at_once)
{
    struct results r = {.count = 0};

    cr_assert_eq(in_task(nothing_to_move, &r), 0);
    for (unsigned i = 0; i < 4; i++)
        cr_expect_eq(r.got[i], 0, "%u: %zd", i, r.got[i]);
}
