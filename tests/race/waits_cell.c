/*
 * tests/race/waits_cell.c - the descriptors of a cell, and their account.
 */
#define _GNU_SOURCE
#include "tests/race/waits.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rdl_atomic(uint64_t) next_token;

static void put(struct bag *bag, uint64_t token)
{
    waits_add(&bag->count, 1);
    waits_add(&bag->sum, token);
}

/* A token tells its cell, so that one in the wrong cell is seen. 0 is none. */
uint64_t waits_new_token(const struct cell *cell)
{
    return (uint64_t)(cell->number + 1) << 40 |
           (rdl_atomic_fetch_add_relaxed(&next_token, (uint64_t)1) & ((1ull << 40) - 1));
}

/* n bytes of tokens, or a failure, or the end. Zeros are what a channel was filled with. */
void waits_take(struct cell *cell, struct bag *bag, const uint64_t *tokens, ssize_t n)
{
    EXPECT(n > 0 && n % (ssize_t)sizeof(*tokens) == 0);
    for (ssize_t i = 0; i < n / (ssize_t)sizeof(*tokens); i++) {
        if (!tokens[i])
            continue;
        EXPECT_EQ(tokens[i] >> 40, cell->number + 1);
        put(bag, tokens[i]);
    }
}

void waits_must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    _Exit(1);
}

static void fill(int fd)
{
    static const uint64_t zeros[64];
    size_t bytes = sizeof(zeros);
    int flags = fcntl(fd, F_GETFL);

    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    for (; bytes; bytes = bytes > 8 ? 8 : 0)
        while (write(fd, zeros, bytes) > 0)
            ;
    (void)fcntl(fd, F_SETFL, flags);
}

void waits_open_cell(struct cell *cell, unsigned number)
{
    int small = 1;

    memset(cell, 0, sizeof(*cell));
    cell->number = number;
    waits_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, cell->pair) == 0 &&
                   socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, cell->full) == 0 &&
                   pipe2(cell->pipe, O_CLOEXEC) == 0 && pipe2(cell->jam, O_CLOEXEC) == 0,
               "descriptors of a cell");
    (void)setsockopt(cell->full[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    (void)fcntl(cell->jam[1], F_SETPIPE_SZ, 4096);
    (void)fcntl(cell->jam[0], F_SETFL, O_NONBLOCK);
    fill(cell->full[0]);
    fill(cell->jam[1]);
    cell->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cell->name = (struct sockaddr_un){.sun_family = AF_UNIX}; /* bound so, it gets a free name */
    cell->name_length = sizeof(cell->name);
    waits_must(
        bind(cell->listener, (struct sockaddr *)&cell->name, sizeof(sa_family_t)) == 0 &&
            listen(cell->listener, 16) == 0 &&
            getsockname(cell->listener, (struct sockaddr *)&cell->name, &cell->name_length) == 0,
        "a listener");
}

/* Takes out what is in full and jam. */
static void drain_channels(struct cell *cell)
{
    uint64_t tokens[256];
    ssize_t n;

    while ((n = recv(cell->full[1], tokens, sizeof(tokens), MSG_DONTWAIT)) > 0)
        waits_take(cell, &cell->drained, tokens, n);
    while ((n = read(cell->jam[0], tokens, sizeof(tokens))) > 0)
        waits_take(cell, &cell->drained, tokens, n);
}

/* Counts what is left in the cell's descriptors, and closes them. */
void waits_close_cell(struct cell *cell)
{
    struct pollfd backlog = {.fd = cell->listener, .events = POLLIN};
    int fds[] = {cell->pair[0], cell->pair[1], cell->pipe[0], cell->pipe[1], cell->full[0],
                 cell->full[1], cell->jam[0],  cell->jam[1],  cell->listener};
    uint64_t tokens[64];
    ssize_t n;

    while ((n = recv(cell->pair[0], tokens, sizeof(tokens), MSG_DONTWAIT)) > 0)
        waits_take(cell, &cell->received, tokens, n);
    (void)fcntl(cell->pipe[0], F_SETFL, O_NONBLOCK);
    while ((n = read(cell->pipe[0], tokens, sizeof(tokens))) > 0)
        waits_take(cell, &cell->received, tokens, n);
    drain_channels(cell);
    while (poll(&backlog, 1, 0) > 0) {
        int fd = accept(cell->listener, NULL, NULL);

        EXPECT(fd >= 0);
        (void)close(fd);
        waits_add(&cell->accepted, 1);
    }
    EXPECT_EQ(cell->received.count, cell->fed.count);
    EXPECT_EQ(cell->received.sum, cell->fed.sum);
    EXPECT_EQ(cell->drained.count, cell->sent.count);
    EXPECT_EQ(cell->drained.sum, cell->sent.sum);
    EXPECT_EQ(cell->accepted, cell->offered);
    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        EXPECT_EQ(raddle_fd_close(fds[i]), 0);
}

static void offer_connection(struct cell *cell)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&cell->name, cell->name_length) == 0)
        waits_add(&cell->offered, fd >= 0);
    if (fd >= 0)
        (void)close(fd);
}

static void send_token(struct cell *cell, int fd)
{
    uint64_t token = waits_new_token(cell);

    put(&cell->fed, token);
    EXPECT_EQ(write(fd, &token, sizeof(token)), sizeof(token));
}

void waits_feed(struct cell *cell, uint32_t *random)
{
    for (unsigned i = test_random(random) % 8; i; i--)
        send_token(cell, i & 1 ? cell->pair[1] : cell->pipe[1]);
    for (unsigned i = test_random(random) % 4; i; i--)
        offer_connection(cell);
    if (test_random(random) % 2)
        drain_channels(cell);
}

void waits_feed_one_each(struct cell *cell)
{
    send_token(cell, cell->pair[1]);
    send_token(cell, cell->pipe[1]);
    offer_connection(cell);
    drain_channels(cell);
}

int waits_receive(struct cell *cell, enum kind kind)
{
    uint64_t tokens[2] = {0};
    struct iovec parts[2] = {{&tokens[0], sizeof(tokens[0])}, {&tokens[1], sizeof(tokens[1])}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    ssize_t n;

    switch (kind) {
    case RECV:
        n = raddle_fd_recv(cell->pair[0], tokens, sizeof(tokens[0]), 0);
        break;
    case RECV_ALL:
        n = raddle_fd_recv(cell->pair[0], tokens, sizeof(tokens), MSG_WAITALL);
        break;
    case RECVMSG:
        n = raddle_fd_recvmsg(cell->pair[0], &message, 0);
        break;
    case READ:
        n = raddle_fd_read(cell->pipe[0], tokens, sizeof(tokens[0]));
        break;
    default:
        n = raddle_fd_readv(cell->pipe[0], parts, 2);
        break;
    }
    if (n >= 0)
        waits_take(cell, &cell->received, tokens, n);
    return (int)n;
}

int waits_transmit(struct cell *cell, enum kind kind)
{
    uint64_t token = waits_new_token(cell);
    struct iovec part = {&token, sizeof(token)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    switch (kind) {
    case SEND:
        n = raddle_fd_send(cell->full[0], &token, sizeof(token), 0);
        break;
    case SENDMSG:
        n = raddle_fd_sendmsg(cell->full[0], &message, 0);
        break;
    case WRITE:
        n = raddle_fd_write(cell->jam[1], &token, sizeof(token));
        break;
    default:
        n = raddle_fd_writev(cell->jam[1], &part, 1);
        break;
    }
    if (n >= 0)
        waits_take(cell, &cell->sent, &token, n);
    return (int)n;
}

int waits_accept(struct cell *cell)
{
    int fd = raddle_fd_accept(cell->listener, NULL, NULL);

    if (fd >= 0) {
        waits_add(&cell->accepted, 1);
        EXPECT_EQ(raddle_fd_close(fd), 0);
    }
    return fd;
}
