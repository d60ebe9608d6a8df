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

typedef struct raddle_stream raddle_stream;

/**
 * Makes a stream of a connected socket, a pipe end or a terminal, which it owns from now on.
 *
 * Returns   0; -ENOMEM; -EBADF; -EINVAL. On failure fd stays the caller's.
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_stream_from_fd(int fd, raddle_stream **out);

/**
 * Connects to an address: "tcp:127.0.0.1:7000", "tcp:[::1]:7000", "unix:/run/app.sock".
 *
 * Returns   0; -EINVAL: not an address; what socket(2) and connect(2) say; -ECANCELED
 * Context   Inside a task.
 * Cancel    Cancellation point: the connection is given up.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_connect(const char *address, raddle_stream **out);

/**
 * Reads what is there, at least one byte.
 *
 * Returns   the count; 0 at the end of the stream (or for bytes = 0); -EBUSY: another task reads;
 *           what raddle/io.h says
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_read(raddle_stream *stream, void *buffer, size_t bytes);

/**
 * Writes all of it.
 *
 * Returns   bytes; or a negative result, when nothing or only a part was sent: after a part every
 * later write fails with -EPIPE, because what follows would be garbage to the peer Cancel
 * Cancellation point. Since     0.1
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_write_all(raddle_stream *stream, const void *buffer,
                                                     size_t bytes);

/**
 * Tells the peer that no more will be written; reading goes on.
 *
 * Returns   0; what shutdown(2) says
 * Context   Inside a task. No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_shutdown_write(raddle_stream *stream);

/**
 * Closes the connection and frees stream, also when it fails; NULL does nothing. Other tasks that
 * use stream at that moment are ended with RADDLE_ECLOSED and waited for. Must not be called twice.
 *
 * Returns   0 or what raddle_fd_close() says
 * Cancel    No cancellation point: a cancelled task closes all the same.
 * Since     0.1
 */
RADDLE_API int raddle_stream_close(raddle_stream *stream);

/**
 * The same, but a TCP peer sees a reset instead of an orderly end, and unsent data is dropped.
 *
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
