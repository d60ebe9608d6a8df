/*
 * io/socket.c - the operations of raddle/io.h, each made into a struct rdl_op.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <raddle/io.h>

#include "io/fd.h"
#include "io/op.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/sys.h"

/* recv and its kind with the caller's flags: with MSG_DONTWAIT it doesn't wait, as the caller
 * says. */
static ssize_t run(struct rdl_op *op)
{
    struct rdl_fiber *self;
    ssize_t n;

    if (!(op->flags & MSG_DONTWAIT))
        return rdl_op_run(op);
    self = rdl_fiber_self();
    if (!self)
        return -EPERM;
    n = rdl_cancel_check(self);
    if (n == 0) {
        n = rdl_op_try(op);
        rdl_fiber_charge(self);
    }
    return n;
}

ssize_t raddle_fd_read(int fd, void *buffer, size_t bytes)
{
    struct rdl_op op = {.code = RDL_OP_READ, .fd = fd, .at.buffer = buffer, .size.bytes = bytes};

    return rdl_op_run(&op);
}

ssize_t raddle_fd_write(int fd, const void *buffer, size_t bytes)
{
    struct rdl_op op = {.code = RDL_OP_WRITE, .fd = fd, .at.data = buffer, .size.bytes = bytes};

    return rdl_op_run(&op);
}

static ssize_t vector(enum rdl_op_code code, int fd, const struct iovec *iov, int count)
{
    struct rdl_op op = {.code = code, .fd = fd, .at.iov = iov};

    if (count < 0 || count > IOV_MAX)
        return -EINVAL;
    op.size.bytes = (size_t)count;
    return rdl_op_run(&op);
}

ssize_t raddle_fd_readv(int fd, const struct iovec *iov, int count)
{
    return vector(RDL_OP_READV, fd, iov, count);
}

ssize_t raddle_fd_writev(int fd, const struct iovec *iov, int count)
{
    return vector(RDL_OP_WRITEV, fd, iov, count);
}

/* MSG_WAITALL on a byte stream: what the kernel's own does when it is interrupted half way, it says
 * how much there was. The error is seen by the next call. */
/* noinline: the frame of raddle_fd_recv() is that of every idle connection. */
static __attribute__((noinline)) ssize_t recv_all(int fd, void *buffer, size_t bytes, int flags)
{
    struct rdl_op op = {.code = RDL_OP_RECV, .fd = fd, .flags = flags & ~MSG_WAITALL};
    size_t got = 0;
    ssize_t n;

    /* One operation over and over: it goes on with its descriptor, not with a successor. */
    do {
        op.at.buffer = (char *)buffer + got;
        op.size.bytes = bytes - got;
        n = run(&op);
        if (n > 0)
            got += (size_t)n;
    } while (n > 0 && got < bytes);
    return got ? (ssize_t)got : n;
}

ssize_t raddle_fd_recv(int fd, void *buffer, size_t bytes, int flags)
{
    struct rdl_op op = {
        .code = RDL_OP_RECV, .fd = fd, .flags = flags, .at.buffer = buffer, .size.bytes = bytes};
    struct rdl_fd *entry;

    if (flags & MSG_WAITALL) {
        if (!(flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) && rdl_fd_find(fd, &entry) == 0) {
            int kind = rdl_fd_ask(entry, fd);
            if (kind == RDL_FD_TCP || kind == RDL_FD_STREAM)
                return recv_all(fd, buffer, bytes, flags);
        }
        op.flags &= ~MSG_WAITALL; /* means nothing to the others */
    }
    return run(&op);
}

ssize_t raddle_fd_send(int fd, const void *buffer, size_t bytes, int flags)
{
    struct rdl_op op = {
        .code = RDL_OP_SEND, .fd = fd, .flags = flags, .at.data = buffer, .size.bytes = bytes};

    return run(&op);
}

ssize_t raddle_fd_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct rdl_op op = {.code = RDL_OP_RECVMSG,
                        .fd = fd,
                        .flags = (flags & ~MSG_WAITALL) | MSG_CMSG_CLOEXEC,
                        .at.message = message};

    return run(&op);
}

ssize_t raddle_fd_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct rdl_op op = {.code = RDL_OP_SENDMSG, .fd = fd, .flags = flags, .at.words = message};

    return run(&op);
}

int raddle_fd_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    struct rdl_op op = {
        .code = RDL_OP_ACCEPT, .fd = fd, .at.address = address, .size.length_out = length};
    ssize_t n = rdl_op_run(&op);

    /* A TCP listener's are TCP; what others accept is asked when it matters. */
    if (n >= 0)
        rdl_fd_born((int)n, rdl_atomic_load_relaxed(&op.entry->kind) == RDL_FD_TCP
                                ? RDL_FD_TCP
                                : RDL_FD_UNKNOWN);
    return (int)n;
}

int raddle_fd_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct rdl_op op = {
        .code = RDL_OP_CONNECT, .fd = fd, .at.peer = address, .size.length = length};

    return (int)rdl_op_run(&op);
}

int raddle_fd_poll(int fd, short events)
{
    struct rdl_op op = {.code = RDL_OP_POLL, .fd = fd, .events = (uint16_t)events};

    return (int)rdl_op_run(&op);
}

int raddle_fd_socket(int family, int type, int protocol)
{
    int fd = rdl_sys_socket(family, type, protocol);

    if (fd >= 0)
        rdl_fd_born(fd, RDL_FD_UNKNOWN);
    return fd;
}
