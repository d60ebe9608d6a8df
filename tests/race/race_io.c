/*
 * tests/race/race_io.c - cancels, deadlines and closes race completions, from other loops, and
 * every byte, connection and descriptor is counted.
 *
 *     race_io [--rounds N] [--kind K]
 *
 * A victim begins one operation; something makes it complete, something else makes it end, at about
 * the same time. Whatever it returns must be the truth: a token it reports is gone, one it doesn't
 * report is still there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <raddle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/fd.h"
#include "tests/support/race_io.h"
#include "tests/support/counted.h"

static unsigned rounds;
static unsigned happened, ended; /* how the races went: both should be many */

/* What one victim does. */
struct victim {
    int fd;
    struct sockaddr_in to;
    ssize_t result;
};

static int recv_token(void *arg)
{
    struct victim *v = arg;
    char token;

    v->result = raddle_fd_recv(v->fd, &token, 1, 0);
    return (int)v->result;
}

static int read_token(void *arg)
{
    struct victim *v = arg;
    char token;

    v->result = raddle_fd_read(v->fd, &token, 1);
    return (int)v->result;
}

static int recv_by_deadline(void *arg)
{
    struct victim *v = arg;
    struct raddle_scope scope;
    char token;

    raddle_scope_enter(&scope, raddle_in(20 * 1000), 0);
    v->result = raddle_fd_recv(v->fd, &token, 1, 0);
    if (raddle_scope_leave(&scope, (int)v->result) == -ETIMEDOUT)
        v->result = -ECANCELED;
    return (int)v->result;
}

static int poll_in(void *arg)
{
    struct victim *v = arg;

    v->result = raddle_fd_poll(v->fd, POLLIN);
    return (int)v->result;
}

static int accept_one(void *arg)
{
    struct victim *v = arg;

    v->result = raddle_fd_accept(v->fd, NULL, NULL);
    return (int)v->result;
}

static int connect_one(void *arg)
{
    struct victim *v = arg;

    v->result = raddle_fd_connect(v->fd, (const struct sockaddr *)&v->to, sizeof(v->to));
    return (int)v->result;
}

/* How its tasks ended is known from what they left. */
static void close_group(struct raddle_group *group)
{
    int rc = raddle_group_close(group, 0);

    (void)rc;
}

static void race(unsigned round, raddle_task_fn *fn, struct victim *v, void (*complete)(void *),
                 void *arg)
{
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_group group;
    raddle_task *task;

    must(raddle_group_open(&group, &collect));
    must(raddle_spawn(&group, &task, fn, v, NULL));
    dawdle();
    if (round & 1)
        complete(arg);
    dawdle();
    (void)raddle_task_cancel(task, "race");
    if (!(round & 1))
        complete(arg);
    raddle_task_unref(task);
    close_group(&group);
    v->result >= 0 ? happened++ : ended++;
}

static void send_token(void *arg)
{
    char token = 't';

    must(send(*(int *)arg, &token, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno);
}

static void write_token(void *arg)
{
    char token = 't';

    must(write(*(int *)arg, &token, 1) == 1 ? 0 : -errno);
}

/* The victim's truth: with 1 the token is gone, without it is there. */
static void check_token(const char *what, struct victim *v, bool stream)
{
    char token;
    ssize_t left = stream ? recv(v->fd, &token, 1, MSG_DONTWAIT) : read(v->fd, &token, 1);

    if (v->result != 1 && v->result != -ECANCELED)
        fail("%s returned %zd", what, v->result);
    if ((left == 1) != (v->result != 1))
        fail("%s returned %zd, and %zd tokens were left", what, v->result, left);
}

static int race_bytes(const char *what, raddle_task_fn *fn, bool stream)
{
    int pair[2];

    if (stream)
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno : 0);
    else
        must(pipe2(pair, O_CLOEXEC | O_NONBLOCK) ? -errno : 0);
    for (unsigned i = 0; i < rounds; i++) {
        struct victim v = {.fd = pair[0]};
        race(i, fn, &v, stream ? send_token : write_token, &pair[1]);
        check_token(what, &v, stream);
    }
    must(raddle_fd_close(pair[0]));
    must(raddle_fd_close(pair[1]));
    return 0;
}

static void race_poll(void)
{
    int pair[2];
    char token;

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno : 0);
    for (unsigned i = 0; i < rounds; i++) {
        struct victim v = {.fd = pair[0]};
        race(i, poll_in, &v, send_token, &pair[1]);
        if (v.result != POLLIN && v.result != -ECANCELED)
            fail("poll returned %zd", v.result);
        if (recv(pair[0], &token, 1, MSG_DONTWAIT) != 1)
            fail("poll took the token");
    }
    must(raddle_fd_close(pair[0]));
    must(raddle_fd_close(pair[1]));
}

static void dial(void *arg)
{
    struct sockaddr_in *to = arg;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct linger reset = {.l_onoff = 1};

    must(fd < 0 ? -errno : 0);
    must(connect(fd, (struct sockaddr *)to, sizeof(*to)) ? -errno : 0);
    /* No TIME_WAIT: there are not enough ports for that many rounds. */
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ? -errno : 0);
    to->sin_zero[0] = 1;
    close(fd);
}

static int listen_somewhere(struct sockaddr_in *address)
{
    int fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    socklen_t length = sizeof(*address);

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(fd);
    must(bind(fd, (struct sockaddr *)address, length) ? -errno : 0);
    must(listen(fd, 64) ? -errno : 0);
    must(getsockname(fd, (struct sockaddr *)address, &length) ? -errno : 0);
    return fd;
}

static void race_accept(void)
{
    struct sockaddr_in address;
    int fd = listen_somewhere(&address);

    for (unsigned i = 0; i < rounds; i++) {
        struct victim v = {.fd = fd};
        int left;

        race(i, accept_one, &v, dial, &address);
        left = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (v.result < 0 && v.result != -ECANCELED)
            fail("accept returned %zd", v.result);
        if ((left >= 0) == (v.result >= 0))
            fail("accept returned %zd, and %d connections were left", v.result, left >= 0);
        must(v.result >= 0 ? raddle_fd_close((int)v.result) : close(left));
    }
    must(raddle_fd_close(fd));
}

static void nothing(void *arg)
{
    (void)arg;
}

static void race_connect(void)
{
    struct sockaddr_in address;
    int fd = listen_somewhere(&address);
    struct linger reset = {.l_onoff = 1};

    for (unsigned i = 0; i < rounds; i++) {
        struct victim v = {.fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0), .to = address};
        int peer;

        must(v.fd);
        must(setsockopt(v.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ? -errno : 0);
        race(i, connect_one, &v, nothing, NULL);
        if (v.result != 0 && v.result != -ECANCELED)
            fail("connect returned %zd", v.result);
        peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (v.result == 0 && peer < 0)
            fail("connect returned 0, and nobody came");
        if (peer >= 0)
            close(peer);
        must(raddle_fd_close(v.fd));
    }
    must(raddle_fd_close(fd));
}

/* Waits until an operation on fd has begun. */
static void wait_for_operation(int fd)
{
    struct rdl_fd *entry;
    bool begun = false;

    must(rdl_fd_find(fd, &entry));
    while (!begun) {
        rdl_lock_acquire(&entry->lock);
        begun = entry->ops != NULL;
        rdl_lock_release(&entry->lock);
        raddle_yield();
    }
}

/* Close races the completion. When the victim is known to have begun, the number is reused at once:
 * the victim must never get the token of the next one. */
static void race_close(void)
{
    for (unsigned i = 0; i < rounds; i++) {
        struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
        struct raddle_group group;
        struct victim v = {.result = 0};
        int pair[2], next[2];
        char token;

        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno : 0);
        v.fd = pair[0];
        must(raddle_group_open(&group, &collect));
        must(raddle_spawn(&group, NULL, recv_token, &v, NULL));
        dawdle();
        if (i & 1)
            send_token(&pair[1]);
        else
            wait_for_operation(v.fd);
        must(raddle_fd_close(pair[0]));
        if (!(i & 1)) {
            must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, next) ? -errno : 0);
            send_token(&next[1]);
        }
        close_group(&group);
        if (i & 1 ? v.result != 1 && v.result != RADDLE_ECLOSED && v.result != -EBADF
                  : v.result != RADDLE_ECLOSED)
            fail("recv on a closed descriptor returned %zd", v.result);
        v.result == 1 ? happened++ : ended++;
        must(raddle_fd_close(pair[1]));
        if (i & 1)
            continue;
        if (recv(next[0], &token, 1, MSG_DONTWAIT) != 1)
            fail("the token of the next descriptor is gone");
        must(raddle_fd_close(next[0]));
        must(raddle_fd_close(next[1]));
    }
}

static int read_stream(void *arg)
{
    char byte;
    ssize_t n = raddle_read(arg, &byte, 1);

    if (n != RADDLE_ECLOSED)
        fail("read on a closed stream returned %zd", n);
    return 0;
}

static int write_stream(void *arg)
{
    static const char data[64 << 20];
    ssize_t n = raddle_write_all(arg, data, sizeof(data));

    if (n != RADDLE_ECLOSED && n != (ssize_t)sizeof(data))
        fail("write on a closed stream returned %zd", n);
    return 0;
}

static rdl_atomic(bool) drunk;

static int drink(void *arg)
{
    char data[3000];

    while (raddle_fd_read(*(int *)arg, data, sizeof(data)) > 0)
        rdl_atomic_store_release(&drunk, true);
    return 0;
}

/* A stream is closed under its reader and its writer, who have both begun. */
static void race_stream(void)
{
    for (unsigned i = 0; i < rounds; i++) {
        struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
        struct raddle_group group;
        raddle_stream *stream;
        int pair[2];

        rdl_atomic_store_release(&drunk, false);
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno : 0);
        must(raddle_stream_from_fd(pair[0], &stream));
        must(raddle_group_open(&group, &collect));
        must(raddle_spawn(&group, NULL, read_stream, stream, NULL));
        wait_for_operation(pair[0]);
        must(raddle_spawn(&group, NULL, drink, &pair[1], NULL));
        must(raddle_spawn(&group, NULL, write_stream, stream, NULL));
        while (!rdl_atomic_load_acquire(&drunk))
            raddle_yield();
        dawdle();
        if (i & 1)
            raddle_stream_abort(stream);
        else
            must(raddle_stream_close(stream));
        close_group(&group);
        must(raddle_fd_close(pair[1]));
        ended++;
    }
}

static void race_recv(void)
{
    race_bytes("recv", recv_token, true);
}

static void race_recv_deadline(void)
{
    race_bytes("recv", recv_by_deadline, true);
}

static void race_read(void)
{
    race_bytes("read", read_token, true);
}

static void race_pipe(void)
{
    race_bytes("pipe", read_token, false);
}

static const struct {
    const char *name, *by;
    void (*race)(void);
    unsigned share; /* rounds are divided by it when all kinds run: these are slow */
} kinds[] = {
    {"recv", "cancel", race_recv, 1},       {"deadline", "recv", race_recv_deadline, 1},
    {"read", "cancel", race_read, 1},       {"pipe", "cancel", race_pipe, 1},
    {"poll", "cancel", race_poll, 1},       {"accept", "cancel", race_accept, 4},
    {"connect", "cancel", race_connect, 4}, {"close", "recv", race_close, 1},
    {"stream", "close", race_stream, 4},
};

static const char *wanted; /* NULL: all */
static unsigned total;

static int main_task(void *arg)
{
    unsigned raced = 0;

    (void)arg;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (wanted && strcmp(wanted, kinds[i].name) != 0)
            continue;
        rounds = wanted ? total : total / kinds[i].share;
        kinds[i].race();
        printf("%-8s %-7s %u rounds: %u happened, %u ended\n", kinds[i].name, kinds[i].by, rounds,
               happened, ended);
        test_counted(happened + ended, "races");
        fflush(stdout);
        happened = ended = 0;
        raced++;
    }
    if (!raced)
        fail("no kind is called %s", wanted);
    return 0;
}

int main(int argc, char **argv)
{
    total = 4000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--kind") == 0)
            wanted = argv[i + 1];
        else if (strcmp(argv[i], "--rounds") == 0)
            total = (unsigned)atoi(argv[i + 1]);
    }
    return run_counted(main_task);
}
