/*
 * raddle/bench_floor_epoll.c - an echo server written by hand on epoll: one thread, level-triggered, one
 * buffer for all connections, one receive and one send per event. What a peer doesn't take at once is
 * kept, and its connection then only writes.
 */
#define _GNU_SOURCE
#include "tools/raddle/bench_floor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 16 * 1024, EVENTS = 256 };

struct floor_conn {
    int fd;
    char *kept; /* not sent yet */
    size_t sent, size;
};

static void watch(int epoll, struct floor_conn *conn, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};

    (void)epoll_ctl(epoll, op, conn->fd, &event);
}

static void drop(struct floor_conn *conn)
{
    (void)close(conn->fd);
    free(conn->kept);
    free(conn);
}

static void accept_all(int epoll, int listener)
{
    int on = 1, fd;

    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was allocated is in the epoll instance */
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct floor_conn *conn = calloc(1, sizeof *conn);

        if (!conn) {
            (void)close(fd);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conn->fd = fd;
        watch(epoll, conn, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void write_kept(int epoll, struct floor_conn *conn)
{
    ssize_t n = send(conn->fd, conn->kept + conn->sent, conn->size - conn->sent, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN) {
        drop(conn);
        return;
    }
    conn->sent += n > 0 ? (size_t)n : 0;
    if (conn->sent < conn->size)
        return;
    free(conn->kept);
    conn->kept = NULL;
    watch(epoll, conn, EPOLL_CTL_MOD, EPOLLIN);
}

static void echo_once(int epoll, struct floor_conn *conn, char *buffer)
{
    ssize_t got = recv(conn->fd, buffer, BUFFER, 0), sent;

    if (got < 0 && errno == EAGAIN)
        return;
    sent = got > 0 ? send(conn->fd, buffer, (size_t)got, MSG_NOSIGNAL) : -1;
    if (got <= 0 || (sent < 0 && errno != EAGAIN)) {
        drop(conn);
        return;
    }
    if (sent == got)
        return;
    sent = sent < 0 ? 0 : sent;
    conn->size = (size_t)(got - sent);
    conn->sent = 0;
    conn->kept = malloc(conn->size);
    if (!conn->kept) {
        drop(conn);
        return;
    }
    memcpy(conn->kept, buffer + sent, conn->size);
    watch(epoll, conn, EPOLL_CTL_MOD, EPOLLOUT);
}

/* -errno of what failed. The process ends: descriptors are left to that. */
static int give_up(char *buffer)
{
    int rc = -errno;

    free(buffer);
    return rc;
}

int rdl_bench_floor_epoll(int listener)
{
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    char *buffer = malloc(BUFFER);
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (!buffer || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
        return give_up(buffer);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);

        if (count < 0 && errno != EINTR)
            return give_up(buffer);
        for (int i = 0; i < count; i++) {
            struct floor_conn *conn = events[i].data.ptr;

            if (!conn)
                accept_all(epoll, listener);
            else if (events[i].events & EPOLLOUT)
                write_kept(epoll, conn);
            else
                echo_once(epoll, conn, buffer);
        }
    }
}
