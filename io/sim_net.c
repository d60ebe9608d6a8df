/*
 * io/sim_net.c - the network of a simulated world: what an operation on a descriptor does there.
 *
 * What moves is simulated: connect, accept (sim_connect.c), and bytes. Reads and writes move less than they could,
 * as the options say; what is written comes to the other end in its time (sim_socket.c).
 *
 * Standard input, output and error are real, and the world stands still while one of them makes it wait: what
 * comes and goes there is no matter of chance. Every other descriptor is refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <raddle/sim.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/sim.h"
#include "io/sim_socket.h"
#include "sched/loop.h"
#include "sched/sys.h"

enum { SEGMENT_BYTES = 16384 }; /* at most */

/* Bytes. */

static size_t shorten(struct rdl_sim_world *world, size_t bytes)
{
    return bytes > 1 && rdl_sim_chance(world, world->options.shorts)
               ? 1 + (size_t)rdl_sim_below(world, bytes)
               : bytes;
}

/* Copies n bytes of what has arrived, and takes them unless peek. */
static void copy_in(struct rdl_sim_socket *s, const struct msghdr *to, size_t n, bool peek)
{
    struct rdl_sim_segment *segment = s->in;
    size_t used = segment ? segment->used : 0;

    for (size_t i = 0; i < to->msg_iovlen; i++) {
        const struct iovec *iov = &to->msg_iov[i];

        for (size_t filled = 0, piece; n && segment && filled < iov->iov_len; filled += piece) {
            struct rdl_sim_segment *next = segment->next;

            piece = segment->bytes - used;
            if (piece > iov->iov_len - filled)
                piece = iov->iov_len - filled;
            if (piece > n)
                piece = n;
            memcpy((char *)iov->iov_base + filled, segment->data + used, piece);
            used += piece;
            n -= piece;
            if (!peek) {
                segment->used = used;
                s->arrived -= piece;
            }
            if (used < segment->bytes)
                continue;
            if (!peek) {
                s->in = next;
                rdl_sys_free(segment);
            }
            segment = next;
            used = segment ? segment->used : 0;
        }
    }
}

static ssize_t take_error(struct rdl_sim_socket *s)
{
    ssize_t error = -s->error;

    s->error = 0;
    s->broken = true;
    return error;
}

static ssize_t receive(struct rdl_sim_socket *s, const struct msghdr *to, size_t wanted, int flags)
{
    size_t n = s->arrived < wanted ? s->arrived : wanted;

    if (s->state == RDL_SIM_CONNECTS)
        return RDL_OP_WAIT;
    if (s->state != RDL_SIM_CONNECTED)
        return -ENOTCONN;
    if (flags & (MSG_OOB | MSG_ERRQUEUE))
        return -ENOTSUP;
    if (n) {
        n = shorten(s->world, n);
        copy_in(s, to, n, flags & MSG_PEEK);
        if (s->peer)
            rdl_sim_changed(s->peer); /* there is room */
        return (ssize_t)n;
    }
    if (!wanted)
        return 0;
    if (s->error)
        return take_error(s);
    return s->ended || s->deaf || s->broken ? 0 : RDL_OP_WAIT;
}

static size_t room_for(const struct rdl_sim_socket *peer)
{
    size_t used = peer->arrived + peer->flying;

    return !peer->open || used < peer->window ? peer->window - (peer->open ? used : 0) : 0;
}

static ssize_t transmit(struct rdl_sim_socket *s, const struct msghdr *from, size_t wanted,
                        int flags)
{
    struct rdl_sim_segment *segment;
    size_t n, filled = 0;

    if (s->state == RDL_SIM_CONNECTS)
        return RDL_OP_WAIT;
    if (s->state != RDL_SIM_CONNECTED)
        return -EPIPE;
    if (flags & MSG_OOB)
        return -ENOTSUP;
    if (s->error)
        return take_error(s);
    if (s->shut || s->broken || !s->peer)
        return -EPIPE;
    if (!wanted)
        return 0;
    /* What nobody has accepted yet has a window, too. */
    n = room_for(s->peer);
    if (!n)
        return RDL_OP_WAIT;
    n = n < wanted ? n : wanted;
    n = shorten(s->world, n < SEGMENT_BYTES ? n : SEGMENT_BYTES);
    segment = rdl_sys_calloc(1, sizeof(*segment) + n);
    if (!segment)
        return -ENOBUFS;
    segment->data = (char *)(segment + 1);
    segment->bytes = n;
    for (size_t i = 0; i < from->msg_iovlen && filled < n; i++) {
        const struct iovec *iov = &from->msg_iov[i];
        size_t piece = iov->iov_len < n - filled ? iov->iov_len : n - filled;

        if (piece)
            memcpy(segment->data + filled, iov->iov_base, piece);
        filled += piece;
    }
    rdl_sim_send(segment, s, s->peer);
    return (ssize_t)n;
}

static ssize_t attempt_bytes(struct rdl_sim_socket *s, struct rdl_op *op)
{
    size_t wanted = rdl_op_wanted(op);
    union {
        const void *given;
        void *wanted; /* what is sent is not written to */
    } data;
    struct iovec iov = {.iov_len = wanted};
    struct msghdr one = {.msg_iov = &iov, .msg_iovlen = 1};

    switch (op->code) {
    case RDL_OP_RECV:
        iov.iov_base = op->at.buffer;
        return receive(s, &one, wanted, op->flags);
    case RDL_OP_SEND:
        data.given = op->at.data;
        iov.iov_base = data.wanted;
        return transmit(s, &one, wanted, op->flags);
    case RDL_OP_RECVMSG:
        op->at.message->msg_namelen = 0;
        op->at.message->msg_controllen = 0;
        op->at.message->msg_flags = 0;
        return receive(s, op->at.message, wanted, op->flags);
    default:
        if (op->at.words->msg_controllen)
            return -ENOTSUP; /* descriptors and credentials don't travel */
        return transmit(s, op->at.words, wanted, op->flags);
    }
}

static ssize_t attempt_poll(const struct rdl_sim_socket *s, const struct rdl_op *op)
{
    uint32_t found = 0;

    switch (s->state) {
    case RDL_SIM_UNUSED:
        found = POLLOUT | POLLHUP;
        break;
    case RDL_SIM_LISTENS:
        found = s->first ? POLLIN : 0;
        break;
    case RDL_SIM_CONNECTS:
        break;
    case RDL_SIM_CONNECTED:
        if (s->arrived || s->ended || s->deaf || s->error || s->broken)
            found |= POLLIN;
        if (s->error || s->broken || s->shut || (s->peer && room_for(s->peer)))
            found |= POLLOUT;
        if (s->ended || s->broken)
            found |= POLLRDHUP;
        if (s->error)
            found |= POLLERR;
        if (s->error || s->broken || (s->ended && s->shut))
            found |= POLLHUP;
        break;
    }
    found &= op->events | POLLERR | POLLHUP;
    return found ? (ssize_t)found : RDL_OP_WAIT;
}

/* Any operation. */

/* Standard input, output and error: blocks until it has been done. */
static ssize_t perform_standard(struct rdl_op *op)
{
    struct pollfd fd = {.fd = op->fd, .events = (short)op->events};
    ssize_t n;

    while ((n = rdl_op_perform(op)) == RDL_OP_WAIT)
        if (rdl_sys_poll(&fd, 1, -1) < 0)
            break; /* interrupted: it is tried again */
    return n == RDL_OP_WAIT ? -EINTR : n;
}

ssize_t rdl_sim_attempt(struct rdl_sim_world *world, struct rdl_op *op)
{
    struct rdl_sim_socket *s = (struct rdl_sim_socket *)(void *)op->entry->backing;
    int rc;

    if (!s) {
        if (!rdl_atomic_load_relaxed(&op->entry->own))
            return op->fd <= STDERR_FILENO ? perform_standard(op) : -ENOTSUP;
        rc = rdl_sim_adopt(world, op->fd, op->entry, &s);
        if (rc < 0)
            return rc;
    }
    if (s->world != world)
        return -ENOTSUP;
    rdl_sim_look_again(s, op->fd);
    switch (op->code) {
    case RDL_OP_CONNECT:
        return rdl_sim_attempt_connect(s, op);
    case RDL_OP_ACCEPT:
        return rdl_sim_attempt_accept(s, op);
    case RDL_OP_POLL:
        return attempt_poll(s, op);
    default:
        return attempt_bytes(s, op);
    }
}

int raddle_sim_cut_network(bool cut)
{
    struct rdl_sim_world *world = rdl_sim_here();

    if (!rdl_loop_current())
        return -EPERM;
    if (!world)
        return -ENOTSUP;
    world->cut = cut;
    return 0;
}
