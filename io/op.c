/*
 * io/op.c - the way of every operation: check, enter, submit, park, leave, result.
 *
 * Who ends it, and what the caller sees. The driver's result stands whenever the operation happened
 * or failed by itself, whoever fired the wait: a completion beats a cancellation. Only -ECANCELED
 * from the driver says that the operation did not happen, and then somebody had asked for its end,
 * or nobody had (a poke that was meant for a scope outside a shield, a thread that left): the
 * scopes and the entry know, and if neither does, the operation begins again.
 *
 * -EINTR is the same: a call that was interrupted has not happened.
 */
#define _GNU_SOURCE
#include "io/op.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <raddle/error.h>
#include <stddef.h>
#include <string.h>

#include "io/fd.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/pageout.h"
#include "sched/planted.h"
#include "sched/sys.h"

static_assert(sizeof(struct rdl_op) <= 256, "it lies on the stack of every task that waits");
static_assert(offsetof(struct rdl_op, header) <= RDL_PAGING_OP_BYTES, "a poll has no header");

/* What the kernel moves at most in one call (MAX_RW_COUNT); a ring's length has 32 bits. */
static const size_t MAX_BYTES = 0x7ffff000;

static const char *const names[RDL_OP_CODES] = {
    "read",    "write",   "readv",  "writev",  "recv", "send",
    "recvmsg", "sendmsg", "accept", "connect", "poll",
};

const char *rdl_op_name(enum rdl_op_code code)
{
    return names[code];
}

static size_t sum(const struct iovec *iov, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

size_t rdl_op_wanted(const struct rdl_op *op)
{
    switch (op->code) {
    case RDL_OP_READ:
    case RDL_OP_WRITE:
    case RDL_OP_RECV:
    case RDL_OP_SEND:
        return op->size.bytes;
    case RDL_OP_READV:
    case RDL_OP_WRITEV:
        return sum(op->at.iov, op->size.bytes);
    case RDL_OP_RECVMSG:
        return sum(op->at.message->msg_iov, op->at.message->msg_iovlen);
    case RDL_OP_SENDMSG:
        return sum(op->at.words->msg_iov, op->at.words->msg_iovlen);
    default:
        return 0;
    }
}

/* connect(2) says that it goes on; a poll says when it is over, SO_ERROR how. Unix sockets answer
 * -EAGAIN when the listener's backlog is full, and no event would tell when it isn't. */
static ssize_t perform_connect(struct rdl_op *op)
{
    struct pollfd fd = {.fd = op->fd, .events = POLLOUT};
    int error = 0, rc;
    socklen_t length = sizeof(error);

    if (!op->connecting) {
        rc = rdl_sys_connect(op->fd, op->at.peer, op->size.length);
        if (rc != -EINPROGRESS && rc != -EINTR)
            return rc;
        op->connecting = true; /* an interrupted one goes on, too */
    }
    rc = rdl_sys_poll(&fd, 1, 0);
    if (rc == 0)
        return RDL_OP_WAIT;
    if (rc > 0)
        rc = rdl_sys_getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return rc < 0 ? rc : -error;
}

static ssize_t perform_poll(struct rdl_op *op)
{
    struct pollfd fd = {.fd = op->fd, .events = (short)op->events};
    int rc = rdl_sys_poll(&fd, 1, 0);

    if (rc < 0)
        return rc;
    if (fd.revents & POLLNVAL)
        return -EBADF;
    return rc ? fd.revents : RDL_OP_WAIT;
}

static ssize_t perform_once(struct rdl_op *op)
{
    int flags = op->flags | MSG_DONTWAIT;

    switch (op->code) {
    case RDL_OP_READ:
        return rdl_sys_read(op->fd, op->at.buffer, op->size.bytes);
    case RDL_OP_WRITE:
        return rdl_sys_write(op->fd, op->at.data, op->size.bytes);
    case RDL_OP_READV:
        return rdl_sys_readv(op->fd, op->at.iov, (int)op->size.bytes);
    case RDL_OP_WRITEV:
        return rdl_sys_writev(op->fd, op->at.iov, (int)op->size.bytes);
    case RDL_OP_RECV:
        return rdl_sys_recv(op->fd, op->at.buffer, op->size.bytes, flags);
    case RDL_OP_SEND:
        return rdl_sys_send(op->fd, op->at.data, op->size.bytes, flags);
    case RDL_OP_RECVMSG:
        return rdl_sys_recvmsg(op->fd, op->at.message, flags);
    case RDL_OP_SENDMSG:
        return rdl_sys_sendmsg(op->fd, op->at.words, flags);
    case RDL_OP_ACCEPT:
        return rdl_sys_accept(op->fd, op->at.address, op->size.length_out);
    default:
        return -EINVAL;
    }
}

ssize_t rdl_op_perform(struct rdl_op *op)
{
    ssize_t n;

    if (op->code == RDL_OP_CONNECT)
        return perform_connect(op);
    do {
        n = op->code == RDL_OP_POLL ? perform_poll(op) : perform_once(op);
    } while (n == -EINTR && !RDL_PLANTED(INTERRUPT));
    return n == -EAGAIN ? RDL_OP_WAIT : n;
}

static uint32_t readiness_of(const struct rdl_op *op)
{
    switch (op->code) {
    case RDL_OP_RECV:
    case RDL_OP_RECVMSG:
        return op->flags & MSG_ERRQUEUE ? POLLERR : op->flags & MSG_OOB ? POLLPRI : POLLIN;
    case RDL_OP_READ:
    case RDL_OP_READV:
    case RDL_OP_ACCEPT:
        return POLLIN;
    case RDL_OP_POLL:
        return op->events;
    default:
        return POLLOUT;
    }
}

/* The same operation as its socket call, which takes flags and raises no SIGPIPE. */
static void as_socket_call(struct rdl_op *op)
{
    union {
        const struct iovec *given;
        struct iovec *wanted; /* msghdr's is not const, though nobody writes there */
    } iov;

    switch (op->code) {
    case RDL_OP_READ:
        op->code = RDL_OP_RECV;
        break;
    case RDL_OP_WRITE:
        op->code = RDL_OP_SEND;
        break;
    case RDL_OP_READV:
    case RDL_OP_WRITEV:
        iov.given = op->at.iov;
        op->header = (struct msghdr){.msg_iov = iov.wanted, .msg_iovlen = op->size.bytes};
        if (op->code == RDL_OP_READV) {
            op->code = RDL_OP_RECVMSG;
            op->at.message = &op->header;
        } else {
            op->code = RDL_OP_SENDMSG;
            op->at.words = &op->header;
        }
        break;
    default:
        break;
    }
}

/*
 * What op is, as the kind of its descriptor makes it. 0 or -errno. The operation has entered, so that what is
 * found out is about this descriptor and not about another of the same number.
 */
static int settle(struct rdl_op *op)
{
    bool sized = op->code == RDL_OP_READ || op->code == RDL_OP_WRITE || op->code == RDL_OP_RECV ||
                 op->code == RDL_OP_SEND;
    int kind;

    if (op->settled)
        return 0;
    if (sized && op->size.bytes > MAX_BYTES)
        op->size.bytes = MAX_BYTES;
    op->events = readiness_of(op);
    op->nothing = (op->code == RDL_OP_READ || op->code == RDL_OP_READV) && !rdl_op_wanted(op);
    kind = rdl_fd_kind(op->entry, op->fd);
    if (kind < 0)
        return kind;
    if (rdl_fd_is_socket(kind) && !op->nothing)
        as_socket_call(op);
    else if (op->code >= RDL_OP_RECV && op->code <= RDL_OP_CONNECT)
        return -ENOTSOCK; /* a ring that polls first would wait before it says so */
    op->settled = true;
    /* The two calls that have no flag for "don't wait". */
    if (op->code == RDL_OP_ACCEPT || op->code == RDL_OP_CONNECT)
        return rdl_fd_unblock(op->entry, op->fd);
    return 0;
}

/* One attempt that doesn't wait, from any thread: its result or RDL_OP_WAIT. */
static ssize_t attempt_now(struct rdl_op *op)
{
    struct rdl_loop *loop = rdl_loop_current();
    int rc;

    op->ticket.wait = NULL;
    if (!rdl_fd_enter(op->entry, op))
        return op->entered ? RADDLE_ECLOSED : -EBADF;
    rc = settle(op);
    if (rc < 0)
        op->result = rc;
    else if (loop && loop->driver->ops->attempt)
        op->result = loop->driver->ops->attempt(loop->driver, op);
    else
        op->result = rdl_op_perform(op);
    (void)rdl_fd_leave(op->entry, op);
    return op->result;
}

ssize_t rdl_op_try(struct rdl_op *op)
{
    ssize_t n = rdl_fd_find(op->fd, &op->entry);

    if (n == 0)
        n = attempt_now(op);
    return n == RDL_OP_WAIT ? -EAGAIN : n;
}

/* One attempt. True: op->result stands. */
static bool attempt(struct rdl_op *op, struct rdl_fiber *self)
{
    struct rdl_driver *driver;
    bool waited = false, closed;
    int rc;

    op->ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
    if (!rdl_fd_enter(op->entry, op)) {
        (void)rdl_fiber_disarm(self, RDL_PARK_CANCELLABLE);
        op->result = op->entered ? RADDLE_ECLOSED : -EBADF;
        return true;
    }
    rc = settle(op);
    if (rc < 0) {
        op->result = rc;
    } else if (op->nothing) {
        op->result = rdl_op_perform(op); /* returns at once, which the socket calls wouldn't */
    } else {
        driver = rdl_loop_current()->driver;
        waited = !driver->ops->submit(driver, op);
    }
    if (waited) {
        rdl_fiber_attach(self, op);
        if (op->apart)
            rdl_paging_wait(rdl_loop_current(), self->paging);
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, names[op->code],
                             (uint64_t)(unsigned)op->fd);
        assert(op->place == RDL_OP_NOWHERE);
    } else {
        (void)rdl_fiber_disarm(self, RDL_PARK_CANCELLABLE);
    }
    closed = rdl_fd_leave(op->entry, op);
    if (!waited)
        rdl_fiber_charge(self);
    if (RDL_PLANTED(ACCEPT) && op->code == RDL_OP_ACCEPT && rdl_cancel_check(self) < 0)
        op->result = -ECANCELED;
    if (op->result != -ECANCELED && (op->result != -EINTR || RDL_PLANTED(INTERRUPT)))
        return true;
    rc = rdl_cancel_check(self);
    op->result = rc < 0 ? rc : RADDLE_ECLOSED;
    return rc < 0 || closed;
}

/* Is it input that a task may wait for for long? A socket's: reading from a pipe or a terminal may block the thread. */
static bool is_input(const struct rdl_op *op)
{
    int kind;

    switch (op->code) {
    case RDL_OP_POLL:
        return true;
    case RDL_OP_READ:
    case RDL_OP_READV:
    case RDL_OP_RECV:
    case RDL_OP_RECVMSG:
        kind = rdl_fd_ask(op->entry, op->fd);
        return kind >= 0 && rdl_fd_is_socket(kind);
    default:
        return false;
    }
}

/* Waits until op may go on, in an operation that isn't on the stack. Negative: it may not. */
static ssize_t wait_apart(const struct rdl_op *op, struct rdl_fiber *self)
{
    struct rdl_paging *paging = self->paging;
    struct rdl_op *wait = (struct rdl_op *)(void *)paging->op;

    memset(wait, 0, sizeof(paging->op));
    wait->code = RDL_OP_POLL;
    wait->fd = op->fd;
    wait->events = op->events;
    wait->fiber = self;
    wait->entry = op->entry;
    wait->entered = true; /* this descriptor, and no other of the number */
    wait->generation = op->generation;
    wait->apart = true;
    /* What the buffer holds is not needed, as it is to be written to; MSG_TRUNC may have none of that size. */
    paging->hole = paging->hole_end = NULL;
    if ((op->code == RDL_OP_READ || op->code == RDL_OP_RECV) && !(op->flags & MSG_TRUNC)) {
        paging->hole = op->at.buffer;
        paging->hole_end = paging->hole + op->size.bytes;
    }
    while (!attempt(wait, self))
        ;
    return wait->result;
}

/*
 * The way of input in a task whose stack may be paged out: nothing is in flight that writes into it. An attempt, and
 * when there is nothing yet a wait for readiness, by an operation that lies elsewhere; then again. What has to wait
 * even then (another task was quicker, or what is ready is an error that isn't input) waits as all others do.
 */
static ssize_t run_apart(struct rdl_op *op, struct rdl_fiber *self)
{
    ssize_t n = attempt_now(op);

    if (n == RDL_OP_WAIT) {
        n = wait_apart(op, self);
        if (n < 0)
            return n;
        n = attempt_now(op);
    }
    if (n != RDL_OP_WAIT) {
        rdl_fiber_charge(self);
        return n;
    }
    while (!attempt(op, self))
        ;
    return op->result;
}

ssize_t rdl_op_run(struct rdl_op *op)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    if (!self)
        return -EPERM;
    rc = rdl_cancel_check_coarsely(self, rdl_loop_now(rdl_loop_current()));
    if (rc == 0)
        rc = rdl_fd_find(op->fd, &op->entry);
    if (rc < 0)
        return rc;
    op->fiber = self;
    if (__builtin_expect(self->paging != NULL, 0) && is_input(op) && self->paging->alone(self))
        return run_apart(op, self);
    while (!attempt(op, self))
        ;
    return op->result;
}
