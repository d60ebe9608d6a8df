/*
 * tests/io/test_stream.c - streams over connections and pipes.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/listener.h"
#include "io/stream.h"
#include "sched/sys.h"

TestSuite(stream, .timeout = 30);

enum { MUCH = 1 << 20 };

Test(stream, only_what_has_bytes_becomes_a_stream)
{
    int directory = open("/", O_RDONLY | O_CLOEXEC), listening = socket(AF_INET, SOCK_STREAM, 0);
    raddle_stream *stream = NULL;

    cr_assert_eq(listen(listening, 1), 0);
    cr_assert_eq(raddle_stream_from_fd(-1, &stream), -EBADF);
    cr_assert_eq(raddle_stream_from_fd(999, &stream), -EBADF);
    cr_assert_eq(raddle_stream_from_fd(1 << 30, &stream), -EBADF);
    cr_assert_eq(raddle_stream_from_fd(directory, &stream), -EINVAL);
    cr_assert_eq(raddle_stream_from_fd(listening, &stream), -EINVAL);
    cr_assert_null(stream);
    cr_assert_eq(raddle_stream_close(NULL), 0);
    raddle_stream_abort(NULL);
}

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_CALLOC || call == RDL_SYS_MALLOC ? -ENOMEM : 0;
}

Test(stream, without_memory_the_descriptor_stays_the_callers)
{
    raddle_stream *stream = NULL;
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    rdl_sys_set_hook(no_memory);
    cr_assert_eq(raddle_stream_from_fd(pair[0], &stream), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(raddle_stream_from_fd(pair[0], &stream), 0);
    cr_assert_eq(raddle_stream_fd(stream), pair[0]);
    cr_assert_eq(raddle_read(stream, pair, 1), -EPERM);
    cr_assert_eq(raddle_write_all(stream, pair, 1), -EPERM);
    cr_assert_eq(raddle_stream_close(stream), 0);
    cr_assert_eq(fcntl(pair[0], F_GETFD), -1);
}

static int no_entry(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_MMAP ? -ENOMEM : 0;
}

/* As an accepted connection is, whose number is the first one of its size. */
Test(stream, without_memory_for_the_descriptors_entry_it_is_closed_all_the_same)
{
    raddle_stream *stream = NULL;
    int pair[2], high[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    for (int i = 0; i < 2; i++) {
        high[i] = fcntl(pair[i], F_DUPFD_CLOEXEC, 600);
        cr_assert_geq(high[i], 600);
        cr_assert_eq(rdl_stream_accepted(high[i], &stream), 0);
        rdl_sys_set_hook(no_entry);
        if (i)
            raddle_stream_abort(stream);
        else
            cr_assert_eq(raddle_stream_close(stream), 0);
        rdl_sys_set_hook(NULL);
        cr_assert_eq(fcntl(high[i], F_GETFD), -1);
        close(pair[i]);
    }
}

struct scene {
    struct rdl_listener *listener;
    raddle_stream *near, *far;
    int fd;
    ssize_t got[16];
    unsigned count;
    char *much;
};

static void note(struct scene *s, ssize_t result)
{
    s->got[s->count++] = result;
}

static int connect_tcp(struct scene *s)
{
    int rc = rdl_listener_open("tcp:127.0.0.1:0", NULL, &s->listener);

    if (rc < 0)
        return rc;
    rc = raddle_connect(rdl_listener_address(s->listener), &s->near);
    if (rc == 0)
        rc = s->fd = rdl_listener_accept(s->listener, 0);
    if (rc >= 0)
        rc = raddle_stream_from_fd(s->fd, &s->far);
    return rc;
}

static int talk(void *arg)
{
    struct scene *s = arg;
    int rc = connect_tcp(s), value = 0;
    socklen_t length = sizeof(value);
    char data[16];

    if (rc < 0)
        return rc;
    note(s, raddle_write_all(s->near, "hello", 5));
    note(s, raddle_read(s->far, data, sizeof(data)));
    note(s, memcmp(data, "hello", 5));
    note(s, raddle_read(s->far, data, 0));
    note(s, raddle_write_all(s->far, NULL, 0));
    note(s, raddle_shutdown_write(s->near));
    note(s, raddle_read(s->far, data, sizeof(data)));
    note(s, raddle_write_all(s->near, "x", 1));
    note(s, raddle_write_all(s->far, "still", 5));
    note(s, raddle_read(s->near, data, sizeof(data)));
    note(s, getsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &value, &length) == 0 && value);
    note(s, raddle_stream_close(s->near));
    note(s, raddle_stream_close(s->far));
    rdl_listener_close(s->listener);
    return 0;
}

Test(stream, both_sides_talk_and_half_a_close_leaves_the_other_half)
{
    static const ssize_t expected[] = {5, 5, 0, 0, 0, 0, 0, -EPIPE, 5, 5, 1, 0, 0};
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(talk, &s), 0);
    cr_assert_eq(s.count, 13);
    for (unsigned i = 0; i < s.count; i++)
        cr_expect_eq(s.got[i], expected[i], "%u: %zd, not %zd", i, s.got[i], expected[i]);
}

static int read_near(void *arg)
{
    struct scene *s = arg;
    char byte;

    note(s, raddle_read(s->near, &byte, 1));
    return 0;
}

static int write_near(void *arg)
{
    struct scene *s = arg;
    ssize_t n;

    while ((n = raddle_write_all(s->near, s->much, MUCH)) > 0)
        ;
    note(s, n);
    return 0;
}

static int second_near(void *arg)
{
    struct scene *s = arg;
    char byte = 0;

    note(s, raddle_read(s->near, &byte, 1));
    note(s, raddle_write_all(s->near, &byte, 1));
    return 0;
}

/* A reader and a writer wait, somebody else tries too, and the stream is closed under them. */
static int crowd(void *arg)
{
    struct scene *s = arg;
    struct raddle_group group;
    struct raddle_spawn_options pinned = {.mobility = RADDLE_PINNED};
    int pair[2];
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno : 0;

    s->much = calloc(1, MUCH);
    if (rc == 0)
        rc = raddle_stream_from_fd(pair[0], &s->near);
    if (rc == 0)
        rc = raddle_group_open(&group, NULL);
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, read_near, s, &pinned);
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, write_near, s, &pinned);
    if (rc == 0)
        rc = raddle_sleep(RADDLE_MS(10));
    second_near(s);
    note(s, raddle_shutdown_write(s->near));
    note(s, raddle_stream_close(s->near));
    note(s, fcntl(pair[0], F_GETFD));
    rc = raddle_group_close(&group, rc);
    (void)raddle_fd_close(pair[1]);
    free(s->much);
    return rc;
}

Test(stream, a_second_reader_or_writer_is_refused_and_a_close_ends_the_first)
{
    struct scene s = {.count = 0};
    ssize_t closed = 0;

    cr_assert_eq(in_task(crowd, &s), 0);
    cr_assert_eq(s.count, 7);
    cr_assert_eq(s.got[0], -EBUSY);
    cr_assert_eq(s.got[1], -EBUSY);
    cr_assert_eq(s.got[2], -EBUSY);
    /* The two users, then the close, then nothing is open; a user's last words may come late. */
    for (unsigned i = 3; i < 7; i++)
        closed += s.got[i] == RADDLE_ECLOSED;
    cr_assert_eq(closed, 2);
    cr_assert_eq(s.got[5] + s.got[6], -1);
}

static int cut_short(void *arg)
{
    struct scene *s = arg;
    struct raddle_scope scope;
    int pair[2];
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno : 0;

    s->much = calloc(1, MUCH);
    if (rc == 0)
        rc = raddle_stream_from_fd(pair[0], &s->near);
    if (rc < 0)
        return rc;
    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(5)), 0);
    rc = (int)raddle_write_all(s->near, s->much, MUCH); /* nobody reads */
    note(s, raddle_scope_leave(&scope, rc));
    note(s, raddle_write_all(s->near, "x", 1));
    raddle_stream_abort(s->near);
    (void)raddle_fd_close(pair[1]);
    free(s->much);
    return 0;
}

Test(stream, after_half_a_write_nothing_can_be_written)
{
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(cut_short, &s), 0);
    cr_assert_eq(s.got[0], -ETIMEDOUT);
    cr_assert_eq(s.got[1], -EPIPE);
}

static int refuse_whole(void *arg)
{
    struct scene *s = arg;
    struct raddle_scope scope;
    int pair[2];
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno : 0;
    char byte;

    if (rc == 0)
        rc = raddle_stream_from_fd(pair[0], &s->near);
    if (rc < 0)
        return rc;
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "test");
    note(s, raddle_write_all(s->near, "nothing", 7));
    rc = raddle_scope_leave(&scope, -ECANCELED);
    note(s, raddle_write_all(s->near, "y", 1));
    note(s, raddle_fd_read(pair[1], &byte, 1) == 1 && byte == 'y');
    (void)raddle_stream_close(s->near);
    (void)raddle_fd_close(pair[1]);
    return rc;
}

Test(stream, a_write_that_never_began_leaves_the_stream_whole)
{
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(refuse_whole, &s), 0);
    cr_assert_eq(s.got[0], -ECANCELED);
    cr_assert_eq(s.got[1], 1);
    cr_assert_eq(s.got[2], 1);
}

static int abort_it(void *arg)
{
    struct scene *s = arg;
    int rc = connect_tcp(s);
    char byte;

    if (rc < 0)
        return rc;
    raddle_stream_abort(s->near);
    note(s, raddle_read(s->far, &byte, 1));
    (void)raddle_stream_close(s->far);
    rdl_listener_close(s->listener);
    return 0;
}

Test(stream, an_abort_resets_a_tcp_peer)
{
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(abort_it, &s), 0);
    cr_assert_eq(s.got[0], -ECONNRESET);
}

static int connect_badly(void *arg)
{
    struct scene *s = arg;
    struct raddle_scope scope;
    int rc = rdl_listener_open("tcp:127.0.0.1:0", NULL, &s->listener);
    char address[RDL_ADDRESS_TEXT];

    if (rc < 0)
        return rc;
    snprintf(address, sizeof(address), "%s", rdl_listener_address(s->listener));
    rdl_listener_close(s->listener);
    note(s, raddle_connect("nonsense", &s->near));
    note(s, raddle_connect("tcp:*:80", &s->near));
    note(s, raddle_connect("udp:127.0.0.1:80", &s->near));
    note(s, raddle_connect(NULL, &s->near));
    note(s, raddle_connect(address, &s->near));
    note(s, raddle_connect("unix:/tmp/raddle-test-nobody", &s->near));
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "test");
    note(s, raddle_connect(address, &s->near));
    rc = raddle_scope_leave(&scope, -ECANCELED);
    note(s, s->near == NULL);
    return rc;
}

Test(stream, a_connection_that_fails_says_why)
{
    static const ssize_t expected[] = {-EINVAL,       -EINVAL, -EAFNOSUPPORT, -EINVAL,
                                       -ECONNREFUSED, -ENOENT, -ECANCELED,    1};
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(connect_badly, &s), 0);
    cr_assert_eq(s.count, 8);
    for (unsigned i = 0; i < s.count; i++)
        cr_expect_eq(s.got[i], expected[i], "%u: %zd, not %zd", i, s.got[i], expected[i]);
    cr_assert_eq(raddle_connect("tcp:127.0.0.1:1", &s.near), -EPERM);
}

static int pipes(void *arg)
{
    struct scene *s = arg;
    char data[8];
    int ends[2];
    int rc = pipe2(ends, O_CLOEXEC) ? -errno : raddle_stream_from_fd(ends[0], &s->near);

    if (rc == 0)
        rc = raddle_stream_from_fd(ends[1], &s->far);
    if (rc < 0)
        return rc;
    note(s, raddle_write_all(s->far, "through", 7));
    note(s, raddle_read(s->near, data, sizeof(data)));
    note(s, raddle_shutdown_write(s->far));
    note(s, raddle_stream_close(s->far));
    note(s, raddle_read(s->near, data, sizeof(data)));
    raddle_stream_abort(s->near);
    return 0;
}

Test(stream, a_pipe_is_a_stream_too)
{
    static const ssize_t expected[] = {7, 7, -ENOTSOCK, 0, 0};
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(pipes, &s), 0);
    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(s.got[i], expected[i], "%u: %zd, not %zd", i, s.got[i], expected[i]);
}
