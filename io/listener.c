/*
 * io/listener.c - sockets that listen on one address.
 *
 * TCP. Each loop has a socket of its own (SO_REUSEPORT), so that the kernel spreads connections
 * evenly and they stay where they were accepted. But with SO_REUSEPORT a second server of the same
 * user would bind happily, and take half of the connections of the first: a port in use has to be
 * an error. So the first socket is bound and listens without it, one of which fails if anybody has the
 * port, and gets SO_REUSEPORT after that (the kernel looks at the option at each later bind, and makes
 * the group when the second socket listens). It is the first loop's socket, not a probe that would be
 * closed: the port is never free in between, and port 0 is chosen once. A later process of the same user
 * that asks for SO_REUSEPORT can still join: that is what the option is for, and other users can't.
 *
 * SO_REUSEADDR lets a server restart while connections of its predecessor linger in TIME_WAIT. On Linux
 * it lets two bind, but not two listen. A listen that will fail looks, while the kernel checks, like one that has
 * not: of two that listen at the same instant both can fail, and the second socket of the one that listens can find
 * the port taken by the other's attempt. So who could bind and not listen begins again. A bind fails because of
 * one that listens, or tries to and isn't disturbed by us: of servers that start at the same instant, one gets the
 * port.
 *
 * Unix. One socket: there is nothing to spread them. A path that a dead server has left behind is
 * taken over, after a connect to it was refused; a path that isn't a socket, or where somebody
 * listens, is not. Two servers that start at the same moment over the same dead path can each think
 * so; the later wins, as with any unlink.
 *
 * Stop. A connection is complete, for the client, when it is in the backlog; to close the socket
 * would reset it. So backlogs are emptied by accept first. While one socket of several is closed,
 * new connections go to the others; after the last one they are refused. What completes between the
 * last accept and the close is reset: a few microseconds, if no task is waiting in accept any more.
 */
#define _GNU_SOURCE
#include "io/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <raddle/io.h>
#include <sched.h>
#include <sys/stat.h>

#include "io/fd.h"
#include "io/op.h"
#include "sched/sys.h"

enum {
    DEFAULT_BACKLOG = 4096,
    MAX_SOCKETS = 1024,
    PORT_TRIES = 64,
};

struct rdl_listener {
    struct rdl_address address;
    char text[RDL_ADDRESS_TEXT];
    bool owns_path; /* the file is this one, and is unlinked at the end */
    dev_t device;
    ino_t inode;
    unsigned count;
    int backlog; /* of each socket */
    int fds[];   /* -1: closed */
};

static int set(int fd, int level, int option, int value)
{
    return rdl_sys_setsockopt(fd, level, option, &value, sizeof(value));
}

/* A TCP socket that is bound; shared: with SO_REUSEPORT from the start. A descriptor or -errno. */
static int bind_tcp(const struct rdl_address *address, bool shared)
{
    int fd = rdl_sys_socket(address->at.any.sa_family, SOCK_STREAM, 0);
    int rc;

    if (fd < 0)
        return fd;
    rc = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && address->at.any.sa_family == AF_INET6)
        rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !address->everywhere);
    if (rc == 0 && shared)
        rc = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0)
        rc = rdl_sys_bind(fd, &address->at.any, address->length);
    if (rc < 0) {
        (void)rdl_sys_close(fd);
        return rc;
    }
    /* Accepted connections inherit it: small answers don't wait for acknowledgements. */
    (void)set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

/* The first socket, which has the port from here on. A descriptor or -errno. */
static int claim_port(const struct rdl_address *address, int backlog)
{
    int fd, rc = -EADDRINUSE;

    /* A rival is at it; or the kernel chose the port of a socket which is bound and doesn't listen yet. */
    for (int i = 0; rc == -EADDRINUSE && i < PORT_TRIES; i++) {
        fd = bind_tcp(address, false);
        if (fd < 0)
            return fd;
        rc = rdl_sys_listen(fd, backlog);
        if (rc == 0)
            return fd;
        (void)rdl_sys_close(fd);
        (void)sched_yield();
    }
    return rc;
}

/* One more socket on the port that is ours. What takes it is a rival's attempt, which will soon have failed. */
static int share_port(const struct rdl_address *address, int backlog)
{
    int fd, rc = -EADDRINUSE;

    for (int i = 0; rc == -EADDRINUSE && i < PORT_TRIES; i++) {
        if (i)
            (void)sched_yield();
        rc = fd = bind_tcp(address, true);
        if (fd < 0)
            continue;
        rc = rdl_sys_listen(fd, backlog);
        if (rc == 0)
            return fd;
        (void)rdl_sys_close(fd);
    }
    return rc;
}

static int open_tcp(struct rdl_listener *l, unsigned sockets)
{
    socklen_t length = sizeof(l->address.at);
    int fd = claim_port(&l->address, l->backlog);
    int rc;

    if (l->address.everywhere && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
        rdl_address_narrow(&l->address);
        fd = claim_port(&l->address, l->backlog);
    }
    if (fd < 0)
        return fd;
    l->fds[l->count++] = fd;
    rc = rdl_sys_getsockname(fd, &l->address.at.any, &length);
    if (rc == 0 && sockets > 1)
        rc = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    while (rc == 0 && l->count < sockets) {
        fd = share_port(&l->address, l->backlog);
        if (fd < 0)
            return fd;
        l->fds[l->count++] = fd;
    }
    return rc;
}

/* Is the file at the path of a listener that is dead? */
static bool is_stale(const struct rdl_address *address)
{
    struct stat file;
    int fd, rc;

    if (rdl_sys_lstat(address->at.un.sun_path, &file) < 0 || !S_ISSOCK(file.st_mode))
        return false;
    fd = rdl_sys_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return false;
    rc = rdl_sys_connect(fd, &address->at.any, address->length);
    (void)rdl_sys_close(fd);
    return rc == -ECONNREFUSED;
}

static int open_unix(struct rdl_listener *l)
{
    const char *path = l->address.at.un.sun_path;
    struct stat file;
    int fd = rdl_sys_socket(AF_UNIX, SOCK_STREAM, 0);
    int rc;

    if (fd < 0)
        return fd;
    l->fds[l->count++] = fd;
    rc = rdl_sys_bind(fd, &l->address.at.any, l->address.length);
    if (rc == -EADDRINUSE && *path && is_stale(&l->address)) {
        (void)rdl_sys_unlink(path);
        rc = rdl_sys_bind(fd, &l->address.at.any, l->address.length);
    }
    if (rc == 0 && *path && rdl_sys_lstat(path, &file) == 0) {
        l->owns_path = true;
        l->device = file.st_dev;
        l->inode = file.st_ino;
    }
    return rc == 0 ? rdl_sys_listen(fd, l->backlog) : rc;
}

static void remove_path(struct rdl_listener *l)
{
    struct stat file;

    /* Somebody else may have put a socket of their own there. */
    if (l->owns_path && rdl_sys_lstat(l->address.at.un.sun_path, &file) == 0 &&
        file.st_dev == l->device && file.st_ino == l->inode)
        (void)rdl_sys_unlink(l->address.at.un.sun_path);
    l->owns_path = false;
}

int rdl_listener_open(const char *text, const struct rdl_listener_options *options,
                      struct rdl_listener **out)
{
    unsigned sockets = options && options->sockets ? options->sockets : 1;
    int backlog = options && options->backlog ? options->backlog : DEFAULT_BACKLOG;
    struct rdl_address address;
    struct rdl_listener *l;
    int rc = rdl_address_parse(text, &address);

    if (rc < 0)
        return rc;
    if (sockets > MAX_SOCKETS || backlog < 0)
        return -EINVAL;
    l = rdl_sys_calloc(1, sizeof(*l) + sockets * sizeof(l->fds[0]));
    if (!l)
        return -ENOMEM;
    l->address = address;
    l->backlog = backlog;
    rc = address.at.any.sa_family == AF_UNIX ? open_unix(l) : open_tcp(l, sockets);
    if (rc < 0)
        goto close_sockets;
    for (unsigned i = 0; i < l->count; i++)
        rdl_fd_born(l->fds[i], address.at.any.sa_family == AF_UNIX ? RDL_FD_UNKNOWN : RDL_FD_TCP);
    (void)rdl_address_format(&l->address, l->text, sizeof(l->text));
    *out = l;
    return 0;
close_sockets:
    remove_path(l);
    for (unsigned i = 0; i < l->count; i++)
        (void)rdl_sys_close(l->fds[i]);
    rdl_sys_free(l);
    return rc;
}

unsigned rdl_listener_sockets(const struct rdl_listener *listener)
{
    return listener->count;
}

const char *rdl_listener_address(const struct rdl_listener *listener)
{
    return listener->text;
}

/* accept(2) hands on what went wrong with the connection before: it is the next one's turn. */
static bool is_passing(int result)
{
    switch (result) {
    case -ECONNABORTED:
    case -EPROTO:
    case -ENOPROTOOPT:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
    case -ENONET:
    case -ETIMEDOUT:
    case -ECONNRESET:
    case -EOPNOTSUPP:
    case -EPERM: /* a firewall's word about one connection */
        return true;
    default:
        return false;
    }
}

int rdl_listener_accept(struct rdl_listener *listener, unsigned index)
{
    int rc;

    do {
        rc = raddle_fd_accept(listener->fds[index % listener->count], NULL, NULL);
    } while (is_passing(rc));
    return rc;
}

int rdl_listener_try_accept(struct rdl_listener *listener, unsigned index)
{
    bool tcp = listener->address.at.any.sa_family != AF_UNIX;
    ssize_t n;

    do {
        struct rdl_op op = {.code = RDL_OP_ACCEPT, .fd = listener->fds[index % listener->count]};
        n = rdl_op_try(&op);
    } while (is_passing((int)n));
    if (n >= 0)
        rdl_fd_born((int)n, tcp ? RDL_FD_TCP : RDL_FD_UNKNOWN);
    return (int)n;
}

void rdl_listener_stop(struct rdl_listener *listener, void (*take)(int fd, void *arg), void *arg)
{
    remove_path(listener); /* nobody new finds a unix socket from here on */
    for (unsigned i = 0; i < listener->count; i++) {
        int fd, left = listener->backlog;

        /* No more than can have been waiting: others may go on connecting. */
        while (take && left-- > 0 && (fd = rdl_listener_try_accept(listener, i)) >= 0)
            take(fd, arg);
        (void)raddle_fd_close(listener->fds[i]);
        listener->fds[i] = -1;
    }
}

void rdl_listener_close(struct rdl_listener *listener)
{
    if (!listener)
        return;
    if (listener->count && listener->fds[0] >= 0)
        rdl_listener_stop(listener, NULL, NULL);
    rdl_sys_free(listener);
}
