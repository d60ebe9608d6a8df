/*
 * tests/fault/scenarios_fd.c - pipes, files and sockets by their descriptors, for the sweep.
 */
#define _GNU_SOURCE
#include "tests/fault/scenarios.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <raddle.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/loop.h"
#include "sched/pageout.h"

enum { BYTES = 300, CHUNK = 100 };

static int run(raddle_task_fn *fn, void *arg, unsigned loops)
{
    return raddle_run(fn, arg, &(struct raddle_run_options){.loops = loops});
}

/* --- streams and descriptors without a server --- */

struct pair {
    int near, far;
};

/* The far end: reads all that comes and sends it back, by the calls that streams don't use. */
static int returns_all(void *arg)
{
    const struct pair *pair = arg;
    char a[7], b[40];
    ssize_t n;

    for (;;) {
        struct iovec iov[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
        n = raddle_fd_readv(pair->far, iov, 2);
        if (n <= 0)
            return (int)n;
        if ((size_t)n <= sizeof(a)) {
            iov[0].iov_len = (size_t)n;
            iov[1].iov_len = 0;
        } else {
            iov[1].iov_len = (size_t)n - sizeof(a);
        }
        while (iov[0].iov_len + iov[1].iov_len) {
            n = raddle_fd_writev(pair->far, iov, 2);
            if (n < 0)
                return (int)n;
            for (unsigned i = 0; i < 2; i++) {
                size_t part = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;
                iov[i].iov_base = (char *)iov[i].iov_base + part;
                iov[i].iov_len -= part;
                n -= (ssize_t)part;
            }
        }
    }
}

static int talks(int fd)
{
    char text[BYTES], back[BYTES];
    size_t sent = 0, got = 0;
    struct iovec iov;
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;
    int rc;

    for (size_t i = 0; i < BYTES; i++)
        text[i] = fault_byte(i);
    while (got < BYTES) {
        if (sent < BYTES) {
            iov = (struct iovec){text + sent, BYTES - sent < CHUNK ? BYTES - sent : CHUNK};
            n = raddle_fd_sendmsg(fd, &message, 0);
            if (n < 0)
                return (int)n;
            sent += (size_t)n;
        }
        rc = raddle_fd_poll(fd, POLLIN);
        if (rc < 0)
            return rc;
        iov = (struct iovec){back + got, BYTES - got};
        n = raddle_fd_recvmsg(fd, &message, 0);
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
        got += (size_t)n;
    }
    return memcmp(text, back, BYTES) == 0 ? 0 : FAULT_WRONG;
}

static int talker(void *arg)
{
    const struct pair *pair = arg;
    int rc = talks(pair->near);

    /* The end for the far side, which may still be waiting. */
    shutdown(pair->near, SHUT_RDWR);
    return rc;
}

static int pairs(void *arg)
{
    struct pair pair;
    struct raddle_group g;
    int fds[2], rc;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    pair = (struct pair){fds[0], fds[1]};
    rc = raddle_group_open(&g, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, returns_all, &pair, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, talker, &pair, NULL);
    rc = raddle_group_close(&g, rc);
    for (unsigned i = 0; i < 2; i++)
        rc = fault_first(rc, raddle_fd_close(fds[i]));
    return rc;
}

static int scenario_pair(void)
{
    return run(pairs, NULL, 1);
}

/* A pipe: two streams, no sockets. */
static int fills(void *arg)
{
    char byte = 'x';

    for (int i = 0; i < 20; i++) {
        ssize_t n = raddle_write_all(arg, &byte, 1);
        if (n < 0)
            return (int)n;
        if (i % 5 == 0 && (n = raddle_yield()) < 0)
            return (int)n;
    }
    return 0;
}

static int reads_pipe(void *arg)
{
    raddle_stream *in = NULL, *out = NULL;
    struct raddle_group g;
    char buffer[64];
    size_t got = 0;
    ssize_t n = 0;
    int fds[2], rc;

    (void)arg;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    rc = raddle_stream_from_fd(fds[0], &in);
    if (rc == 0)
        rc = raddle_stream_from_fd(fds[1], &out);
    if (rc == 0) {
        rc = raddle_group_open(&g, NULL);
        if (rc == 0)
            rc = raddle_spawn(&g, NULL, fills, out, NULL);
        while (rc == 0 && got < 20 && (n = raddle_read(in, buffer, sizeof(buffer))) > 0)
            got += (size_t)n;
        rc = raddle_group_close(&g, fault_first(rc, n));
    }
    rc = fault_first(rc, out ? raddle_stream_close(out) : raddle_fd_close(fds[1]));
    return fault_first(rc, in ? raddle_stream_close(in) : raddle_fd_close(fds[0]));
}

static int scenario_pipe(void)
{
    return run(reads_pipe, NULL, 1);
}

static int uses_file(void *arg)
{
    int fd = *(int *)arg;
    char back[CHUNK];
    struct iovec iov[2] = {{back, 10}, {back + 10, CHUNK - 10}};
    size_t done = 0;
    ssize_t n;

    while (done < CHUNK) {
        char byte = fault_byte(done);
        n = done % 2 ? raddle_fd_write(fd, &byte, 1)
                     : raddle_fd_writev(fd, &(struct iovec){&byte, 1}, 1);
        if (n < 0)
            return (int)n;
        done += (size_t)n;
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    n = raddle_fd_readv(fd, iov, 2);
    if (n < 0)
        return (int)n;
    for (done = (size_t)n; done < CHUNK; done += (size_t)n)
        if ((n = raddle_fd_read(fd, back + done, CHUNK - done)) <= 0)
            return n < 0 ? (int)n : FAULT_WRONG;
    for (size_t i = 0; i < CHUNK; i++)
        if (back[i] != fault_byte(i))
            return FAULT_WRONG;
    return raddle_fd_poll(fd, POLLIN) < 0 ? -EIO : 0;
}

static int scenario_file(void)
{
    int fd = memfd_create("fault", MFD_CLOEXEC), rc;

    if (fd < 0)
        return FAULT_WRONG;
    rc = run(uses_file, &fd, 1);
    rc = fault_first(rc, raddle_fd_close(fd));
    return rc;
}

/* Reads of nothing, options of a descriptor, a stream that is none. */
static int asks_oddly(void *arg)
{
    raddle_stream *stream = NULL;
    char byte;
    int fds[2], fd, rc;
    ssize_t n;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    n = raddle_fd_read(fds[0], &byte, 0);
    rc = (int)n;
    if (rc == 0 && (n = raddle_fd_send(fds[0], "ab", 2, 0)) < 0)
        rc = (int)n;
    if (rc == 0 && (n = raddle_fd_recv(fds[1], &byte, 1, MSG_PEEK)) < 0)
        rc = (int)n;
    if (rc == 0 && (n = raddle_fd_recv(fds[1], &byte, 1, 0)) < 0)
        rc = (int)n;
    if (rc == 0)
        rc = raddle_stream_from_fd(fds[0], &stream);
    if (stream)
        raddle_stream_abort(stream);
    else
        rc = fault_first(rc, raddle_fd_close(fds[0]));
    rc = fault_first(rc, raddle_fd_close(fds[1]));

    fd = raddle_fd_socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return fault_first(rc, fd);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rc = fault_first(rc, raddle_fd_connect(fd, (struct sockaddr *)&to, sizeof(to)));
    return fault_first(rc, raddle_fd_close(fd));
}

static int scenario_odd(void)
{
    return run(asks_oddly, NULL, 1);
}

/* --- one descriptor, several loops, and its close under those who wait --- */

static int waits_to_read(void *arg)
{
    char byte;
    ssize_t n = raddle_fd_read(*(int *)arg, &byte, 1);

    return n < 0 && n != RADDLE_ECLOSED && n != -EBADF ? (int)n : 0;
}

static int closes_under_them(void *arg)
{
    struct raddle_group g;
    int fds[2], rc, closed;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    rc = raddle_group_open(&g, NULL);
    for (unsigned i = 0; i < 3 && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, waits_to_read, &fds[0], NULL);
    if (rc == 0)
        rc = raddle_sleep(RADDLE_US(300));
    closed = raddle_fd_close(fds[0]);
    rc = raddle_group_close(&g, fault_first(rc, closed));
    return fault_first(rc, raddle_fd_close(fds[1]));
}

static int scenario_close(void)
{
    return run(closes_under_them, NULL, 2);
}

/* A descriptor whose reader moves: the loop that it leaves lets go of it. */
static int reads_and_moves(void *arg)
{
    struct rdl_team *team = raddle_running_loop()->base.team;
    int fd = *(int *)arg;
    char byte;

    for (unsigned i = 0; i < 8; i++) {
        ssize_t n = raddle_fd_read(fd, &byte, 1);
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
        int rc = raddle_move_to(rdl_raddle_loop(team->loops[i % team->count]));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int feeds(void *arg)
{
    for (unsigned i = 0; i < 8; i++) {
        int rc = raddle_sleep(RADDLE_US(150));
        ssize_t n = rc < 0 ? rc : raddle_fd_write(*(int *)arg, "x", 1);
        if (n < 0)
            return (int)n;
    }
    return 0;
}

static int moves_with_descriptor(void *arg)
{
    struct raddle_group g;
    int fds[2], rc;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    rc = raddle_group_open(&g, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, reads_and_moves, &fds[0], NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, feeds, &fds[1], NULL);
    rc = raddle_group_close(&g, rc);
    for (unsigned i = 0; i < 2; i++)
        rc = fault_first(rc, raddle_fd_close(fds[i]));
    return rc;
}

static int scenario_carried(void)
{
    return run(moves_with_descriptor, NULL, 2);
}

/* Long enough for the driver to know the descriptor. */
static int reads_for_a_moment(int fd)
{
    struct raddle_spawn_options here = {.mobility = RADDLE_PINNED};
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    if (rc < 0)
        return rc;
    rc = raddle_spawn(&g, NULL, waits_to_read, &fd, &here);
    for (unsigned i = 0; i < 3; i++)
        (void)raddle_yield();
    raddle_group_cancel(&g, "that was the moment");
    return raddle_group_close(&g, rc);
}

/* The same number for one socket after another, and at last for one that epoll knows by that number already:
 * a copy was kept, and the library not told. */
static int reuses(void *arg)
{
    int fds[2], kept, fd, rc = 0;

    (void)arg;
    for (unsigned i = 0; i < 3 && rc == 0; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
            return -errno;
        rc = reads_for_a_moment(fds[0]);
        rc = fault_first(rc, raddle_fd_close(fds[0]));
        close(fds[1]);
    }
    if (rc < 0)
        return rc;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    rc = reads_for_a_moment(fds[0]);
    kept = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
    close(fds[0]);
    fd = raddle_fd_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && dup3(kept, fd, O_CLOEXEC) == fd)
        rc = fault_first(rc, reads_for_a_moment(fd));
    close(kept);
    close(fds[1]);
    return fault_first(rc, fd < 0 ? fd : raddle_fd_close(fd));
}

static int scenario_reuse(void)
{
    return run(reuses, NULL, 1);
}

/* More at once than a ring's queue takes. */
static int sends_one(void *arg)
{
    ssize_t n = raddle_fd_send(*(int *)arg, "x", 1, 0);

    return n < 0 ? (int)n : 0;
}

static int storms(void *arg)
{
    struct raddle_group g;
    char bytes[100];
    size_t got = 0, sent = 0;
    ssize_t n = 0;
    int fds[2], rc;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    rc = raddle_group_open(&g, NULL);
    for (; sent < 40 && rc == 0; sent += rc == 0)
        rc = raddle_spawn(&g, NULL, sends_one, &fds[1], NULL);
    while (rc == 0 && got < sent && (n = raddle_fd_read(fds[0], bytes, sizeof(bytes))) > 0)
        got += (size_t)n;
    rc = raddle_group_close(&g, fault_first(rc, n));
    for (unsigned i = 0; i < 2; i++)
        rc = fault_first(rc, raddle_fd_close(fds[i]));
    return rc;
}

static int scenario_storm(void)
{
    return run(storms, NULL, 1);
}

/* A stack that is paged out, and comes back, while calls fail. */
static int keeps_its_words(void *arg)
{
    volatile char words[64] = "what is on the stack";
    char byte = 0;
    ssize_t n = 1;

    while (n > 0) {
        n = raddle_fd_recv(*(int *)arg, &byte, 1, 0);
        if (strcmp((const char *)(uintptr_t)words, "what is on the stack") != 0 ||
            (n > 0 && byte != 'x'))
            return FAULT_WRONG;
    }
    return (int)n;
}

static int pages_out(void *arg)
{
    const struct raddle_spawn_options options = {.page_out = true};
    struct raddle_group g;
    ssize_t n = 0;
    int fds[2], rc;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    rdl_paging_after_ns = 0;
    rc = raddle_group_open(&g, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, keeps_its_words, &fds[0], &options);
    for (int i = 0; i < 3 && rc == 0 && n >= 0; i++) {
        rc = raddle_sleep(RADDLE_MS(2));
        n = rc < 0 ? rc : raddle_fd_send(fds[1], "x", 1, 0);
    }
    rc = fault_first(rc, n);
    if (shutdown(fds[1], SHUT_WR) < 0)
        rc = fault_first(rc, -errno);
    rc = raddle_group_close(&g, rc);
    rdl_paging_after_ns = RADDLE_S(1);
    for (unsigned i = 0; i < 2; i++)
        rc = fault_first(rc, raddle_fd_close(fds[i]));
    return rc;
}

static int scenario_page_out(void)
{
    return run(pages_out, NULL, 1);
}

const struct fault_scenario fault_fd_scenarios[] = {
    {"pair", scenario_pair, false},         {"pipe", scenario_pipe, false},
    {"file", scenario_file, false},         {"odd", scenario_odd, false},
    {"close", scenario_close, false},       {"carried", scenario_carried, false},
    {"reuse", scenario_reuse, false},       {"storm", scenario_storm, false},
    {"page_out", scenario_page_out, false}, {NULL, NULL, false},
};
