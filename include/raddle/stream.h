/*
 * raddle/stream.h - a connection: bytes in, bytes out.
 *
 * One task may read while another writes. A second reader, or a second writer, gets -EBUSY.
 */
#ifndef RADDLE_STREAM_H
#define RADDLE_STREAM_H

#include <stddef.h>
#include <sys/types.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A connection, freed by raddle_stream_close() or raddle_stream_abort(). */
typedef struct raddle_stream raddle_stream;

/**
 * Makes a stream of a connected socket, a pipe end or a terminal, which it owns from now on.
 *
 * Returns   0 with *out written, or, with fd still the caller's,
 *           -EBADF   not an open descriptor
 *           -EINVAL  a directory, or a socket that listens
 *           -ENOMEM  no memory for it
 * Context   Any thread.
 * Lifetime  *out and with it fd are given back by raddle_stream_close().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_stream_from_fd(int fd, raddle_stream **out);

/**
 * Connects to an address: "tcp:127.0.0.1:7000", "tcp:[::1]:7000", "unix:/run/app.sock".
 *
 * Returns   0 with *out written, or
 *           -EINVAL                  not an address, or "tcp:*"
 *           -EAFNOSUPPORT, -ENAMETOOLONG, -ENODEV
 *                                    an address of another kind, too long, of no such zone
 *           -ECANCELED               a scope around the caller is cancelled or past its deadline
 *           -ECONNREFUSED, -EMFILE   and what else socket(2) and connect(2) say
 *           -ENOMEM                  no memory for it
 *           -EPERM                   outside a task
 * Context   Inside a task.
 * Lifetime  *out is the caller's, to give to raddle_stream_close().
 * Cancel    Cancellation point: the connection is given up.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_connect(const char *address, raddle_stream **out);

/**
 * Reads what is there, at least one byte.
 *
 * Returns   the count; 0 at the end of the stream (or for bytes = 0); -EBUSY: another task reads;
 *           what raddle/io.h says
 * Context   Inside a task.
 * Lifetime  buffer must live until this call returns.
 * Cancel    Cancellation point, but for bytes = 0.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_read(raddle_stream *stream, void *buffer, size_t bytes);

/**
 * Writes all of it.
 *
 * Returns   bytes; or, when nothing or only a part was sent,
 *           -EBUSY   another task writes
 *           -EPIPE   the peer is gone; or after raddle_shutdown_write(); or a part was sent before:
 *                    what follows would be garbage to the peer
 *           another  what raddle/io.h says, but a part may have been sent, also after -ECANCELED
 * Context   Inside a task.
 * Lifetime  buffer must live until this call returns.
 * Cancel    Cancellation point, but for bytes = 0.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_write_all(raddle_stream *stream, const void *buffer,
                                                     size_t bytes);

/**
 * Tells the peer that no more will be written; reading goes on.
 *
 * Returns   0; -EBUSY: another task writes; RADDLE_ECLOSED: another task closes stream; what
 *           shutdown(2) says, -ENOTSOCK for a pipe or a terminal
 * Context   Inside a task.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_shutdown_write(raddle_stream *stream);

/**
 * Closes the connection and frees stream, also when it fails, unless with -EPERM; NULL does
 * nothing. Other tasks that use stream at that moment are ended with RADDLE_ECLOSED and waited for.
 * Must not be called twice.
 *
 * Returns   0; -EPERM: outside a task while others use it, and nothing was done; what
 *           raddle_fd_close() says
 * Context   Inside a task; outside one when no other uses it.
 * Lifetime  stream is gone, its descriptor closed.
 * Cancel    No cancellation point: a cancelled task closes all the same.
 * Since     0.1
 */
RADDLE_API int raddle_stream_close(raddle_stream *stream);

/**
 * The same, but a TCP peer sees a reset instead of an orderly end, and unsent data is dropped.
 *
 * Context   Inside a task; outside one when no other uses it: it does nothing otherwise.
 * Lifetime  stream is gone, its descriptor closed.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_stream_abort(raddle_stream *stream);

/**
 * The descriptor, which stays the stream's.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API int raddle_stream_fd(const raddle_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
