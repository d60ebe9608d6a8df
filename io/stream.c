/*
 * io/stream.c - a connection: bytes in, bytes out.
 *
 * The danger is close while others use the stream: a writer between two sends would go on with a
 * number that is a stranger's by then, and every user touches the stream once more after its
 * operation. So users are counted. Close says that it is closed, ends the operations in flight and
 * keeps new ones from starting (rdl_fd_close_begin), waits until the last user has left, and only
 * then gives up the number and the memory. The last user touches the stream for the last time when
 * it releases the lock; the closer's ticket, which it fires after that, may be stale.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <raddle/error.h>
#include <raddle/io.h>
#include <sys/stat.h>

#include "io/address.h"
#include "io/fd.h"
#include "io/stream.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/lock.h"
#include "sched/planted.h"
#include "sched/sys.h"

struct raddle_stream {
    int fd;
    struct rdl_lock lock;
    /* Under the lock. */
    bool reading, writing;
    bool closed;
    struct rdl_ticket closer; /* waits for the last user; no wait: nobody */

    bool broken; /* the writer's: a part was sent, or no more will be */
};

/* Marks one side as used. 0, -EBUSY or RADDLE_ECLOSED. */
static int enter(raddle_stream *stream, bool *side)
{
    int rc;

    rdl_lock_acquire(&stream->lock);
    rc = stream->closed ? RADDLE_ECLOSED : *side ? -EBUSY : 0;
    if (rc == 0)
        *side = true;
    rdl_lock_release(&stream->lock);
    return rc;
}

/* Returns the result that the user of that side gets. */
static ssize_t leave(raddle_stream *stream, bool *side, ssize_t result)
{
    struct rdl_ticket closer = {0};

    rdl_lock_acquire(&stream->lock);
    *side = false;
    /* The next operation of a loop came too late. */
    if (stream->closed && result == -EBADF)
        result = RADDLE_ECLOSED;
    if (!stream->reading && !stream->writing) {
        closer = stream->closer;
        stream->closer.wait = NULL;
    }
    rdl_lock_release(&stream->lock);
    if (closer.wait)
        (void)rdl_fiber_fire(closer, 0);
    return result;
}

ssize_t raddle_read(raddle_stream *stream, void *buffer, size_t bytes)
{
    int rc = enter(stream, &stream->reading);

    if (rc < 0)
        return rc;
    return leave(stream, &stream->reading, bytes ? raddle_fd_read(stream->fd, buffer, bytes) : 0);
}

static ssize_t write_all(raddle_stream *stream, const char *data, size_t bytes)
{
    size_t sent = 0;
    ssize_t n = 0;

    if (stream->broken)
        return -EPIPE;
    while (sent < bytes) {
        n = raddle_fd_write(stream->fd, data + sent, bytes - sent);
        if (n <= 0)
            break;
        sent += RDL_PLANTED(SHORT) ? bytes - sent : (size_t)n;
    }
    if (sent == bytes)
        return (ssize_t)bytes;
    stream->broken = sent > 0;
    return n < 0 ? n : -EIO; /* a device that takes nothing */
}

ssize_t raddle_write_all(raddle_stream *stream, const void *buffer, size_t bytes)
{
    int rc = enter(stream, &stream->writing);

    if (rc < 0)
        return rc;
    return leave(stream, &stream->writing, write_all(stream, buffer, bytes));
}

/* The caller has entered, which keeps the descriptor from being closed. */
static int shut_down(int fd, int how)
{
    struct rdl_fd *entry;

    if (rdl_fd_find(fd, &entry) == 0 && entry->backing)
        return entry->backing->shutdown(entry->backing, how);
    return rdl_sys_shutdown(fd, how);
}

int raddle_shutdown_write(raddle_stream *stream)
{
    int rc = enter(stream, &stream->writing);

    if (rc < 0)
        return rc;
    rc = shut_down(stream->fd, SHUT_WR);
    if (rc == 0)
        stream->broken = true;
    return (int)leave(stream, &stream->writing, rc);
}

/* Waits until nobody uses the stream. */
static void wait_for_users(raddle_stream *stream)
{
    struct rdl_fiber *self = rdl_fiber_self();
    bool used;

    do {
        struct rdl_ticket ticket = {0};

        if (self)
            ticket = rdl_fiber_arm(self, RDL_PARK_SHIELDED);
        rdl_lock_acquire(&stream->lock);
        used = stream->reading || stream->writing;
        if (used)
            stream->closer = ticket;
        rdl_lock_release(&stream->lock);
        if (!self)
            return; /* then nobody uses it, as no operation was in flight */
        if (used)
            (void)rdl_fiber_park(self, RDL_PARK_SHIELDED, "stream close",
                                 (uint64_t)(unsigned)stream->fd);
        else
            (void)rdl_fiber_disarm(self, RDL_PARK_SHIELDED);
    } while (used);
}

static int end(raddle_stream *stream, bool reset)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    struct rdl_fd *entry;
    int rc;

    rdl_lock_acquire(&stream->lock);
    if (!rdl_fiber_self() && (stream->reading || stream->writing)) {
        rdl_lock_release(&stream->lock);
        return -EPERM;
    }
    stream->closed = true;
    rdl_lock_release(&stream->lock);
    rc = rdl_fd_close_begin(stream->fd, &entry);
    if (rc == -EPERM) {
        /* In use, and this is no task that could wait for that. */
        rdl_lock_acquire(&stream->lock);
        stream->closed = false;
        rdl_lock_release(&stream->lock);
        return rc;
    }
    wait_for_users(stream);
    /* Without memory for an entry no operation has ever found one: the descriptor is closed all the same. */
    if (reset && (rc == -ENOMEM || (rc == 0 && rdl_fd_kind(entry, stream->fd) == RDL_FD_TCP)))
        (void)rdl_sys_setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (rc == 0)
        rc = rdl_fd_close_end(stream->fd, entry);
    else if (rc == -ENOMEM)
        rc = rdl_sys_close(stream->fd);
    rdl_sys_free(stream);
    return rc;
}

int raddle_stream_close(raddle_stream *stream)
{
    return stream ? end(stream, false) : 0;
}

void raddle_stream_abort(raddle_stream *stream)
{
    if (stream)
        (void)end(stream, true);
}

int raddle_stream_fd(const raddle_stream *stream)
{
    return stream->fd;
}

int rdl_stream_accepted(int fd, raddle_stream **out)
{
    raddle_stream *stream = rdl_sys_calloc(1, sizeof(*stream));

    if (!stream)
        return -ENOMEM;
    stream->fd = fd;
    *out = stream;
    return 0;
}

/* 0, -EINVAL for what has no bytes to give, -EBADF. */
static int check(int fd, int kind)
{
    int value = 1, rc;
    socklen_t length = sizeof(value);

    if (!rdl_fd_is_socket(kind)) {
        rc = rdl_sys_file_type(fd);
        return rc < 0 ? rc : rc == S_IFDIR ? -EINVAL : 0;
    }
    rc = rdl_sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length);
    if (rc == 0 && value)
        return -EINVAL;
    /* Small answers don't wait for acknowledgements. */
    value = 1;
    if (rc == 0 && kind == RDL_FD_TCP)
        (void)rdl_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value));
    return rc;
}

int raddle_stream_from_fd(int fd, raddle_stream **out)
{
    struct rdl_fd *entry;
    int rc = rdl_fd_find(fd, &entry);

    if (rc == 0)
        rc = rdl_fd_ask(entry, fd);
    if (rc >= 0)
        rc = check(fd, rc);
    return rc < 0 ? rc : rdl_stream_accepted(fd, out);
}

int raddle_connect(const char *text, raddle_stream **out)
{
    struct rdl_address address;
    int rc, fd;

    if (!rdl_fiber_self())
        return -EPERM;
    rc = rdl_address_parse(text, &address);
    if (rc == 0 && address.everywhere)
        rc = -EINVAL;
    if (rc < 0)
        return rc;
    fd = raddle_fd_socket(address.at.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    rc = raddle_fd_connect(fd, &address.at.any, address.length);
    if (rc == 0)
        rc = raddle_stream_from_fd(fd, out);
    if (rc < 0)
        (void)raddle_fd_close(fd);
    return rc;
}
