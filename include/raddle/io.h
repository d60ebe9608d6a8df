/*
 * raddle/io.h - operations on descriptors that suspend the task instead of the thread.
 *
 * Each is the system call of its name, with the same arguments. It suspends the task until it can
 * be done, and never blocks the loop, except that epoll can't wait for regular files and block
 * devices: they are read and written in place, and the loop waits for the disk. Use
 * raddle_run_in_executor() for these. It has no timeout of its own: enter a scope with a deadline.
 *
 * From its first use here until raddle_fd_close() a descriptor is the library's: a plain close()
 * leaves operations in flight hanging, and later ones on a new descriptor of that number go wrong. Several tasks, on any loops, may use one
 * descriptor. A socket is made non-blocking when it accepts or connects here, and with epoll a pipe
 * or a terminal when it is first read or written: whoever shares it, even another process, sees it.
 *
 * What holds for each of them, unless it says otherwise:
 *
 * Returns   what the system call does, or its -errno, but never -EINTR, and -EAGAIN only with
 *           MSG_DONTWAIT; or
 *           -ECANCELED      a scope around the caller is cancelled or past its deadline; never because the
 *                           kernel has cancelled something by itself: then it begins again
 *           -EBADF          not an open descriptor, or one that is being closed
 *           RADDLE_ECLOSED  it was closed by raddle_fd_close() while this call waited
 *           -ENOTSOCK       not a socket, for the calls that take one
 *           -ENOMEM         no memory to wait with
 *           -EPERM          outside a task
 * Context   Inside a task.
 * Lifetime  What the arguments point to must live until the call returns: nobody touches it later.
 * Cancel    Cancellation point. One that was cancelled did not happen: no byte was read or sent, no
 *           connection accepted.
 * Since     0.1
 */
#ifndef RADDLE_IO_H
#define RADDLE_IO_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** read(2): the count, 0 at the end of the file. The rest as the head of this file says. */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_read(int fd, void *buffer, size_t bytes);
/** write(2): the count, which may be short. SIGPIPE as write(2) says for a pipe, never for a
 *  socket. The rest as the head of this file says. */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_write(int fd, const void *buffer, size_t bytes);
/** readv(2): as raddle_fd_read(); -EINVAL also for a count below 0 or above IOV_MAX. */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_readv(int fd, const struct iovec *iov, int count);
/** writev(2): as raddle_fd_write(); -EINVAL also for a count below 0 or above IOV_MAX. */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_writev(int fd, const struct iovec *iov, int count);
/**
 * recv(2): the count, 0 at the end of the stream. With MSG_WAITALL a stream is read until all bytes
 * are there; when it ends, fails or is cancelled half way, the count so far is returned, and the
 * next call tells why. The rest as the head of this file says.
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_recv(int fd, void *buffer, size_t bytes, int flags);
/** send(2), never with SIGPIPE: the count, which may be short. The rest as the head says. */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_send(int fd, const void *buffer, size_t bytes,
                                                   int flags);
/** recvmsg(2), without MSG_WAITALL: the count. Received descriptors are CLOEXEC. The rest as the
 *  head says. */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_recvmsg(int fd, struct msghdr *message, int flags);
/** sendmsg(2), never with SIGPIPE: the count, which may be short. The rest as the head says. */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_sendmsg(int fd, const struct msghdr *message,
                                                      int flags);

/** accept4(2) with SOCK_CLOEXEC and SOCK_NONBLOCK: the new descriptor, which is the caller's. The
 *  rest as the head says. */
RADDLE_API RADDLE_NODISCARD int raddle_fd_accept(int fd, struct sockaddr *address,
                                                 socklen_t *length);
/**
 * connect(2), to its end: 0. After it was cancelled the socket can only be closed. -EAGAIN: the
 * backlog of a Unix listener is full. The rest as the head says.
 */
RADDLE_API RADDLE_NODISCARD int raddle_fd_connect(int fd, const struct sockaddr *address,
                                                  socklen_t length);
/**
 * Waits until one of events (POLLIN, POLLOUT, POLLPRI, POLLRDHUP) holds: those that do, with
 * POLLERR and POLLHUP where they apply. The rest as the head says.
 */
RADDLE_API RADDLE_NODISCARD int raddle_fd_poll(int fd, short events);

/**
 * socket(2) with SOCK_CLOEXEC and SOCK_NONBLOCK.
 *
 * Returns   the new descriptor, or what socket(2) says
 * Context   Any thread.
 * Lifetime  The descriptor is the caller's, to give to raddle_fd_close().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_fd_socket(int family, int type, int protocol);

/**
 * Closes a descriptor. Ends what waits on it, on any loop, with RADDLE_ECLOSED, and returns when
 * the kernel is done with these operations: the number may then be reused.
 *
 * Returns   0, or
 *           -EBADF   not open, or another task is closing it
 *           -EPERM   outside a task while operations are in flight; nothing was done
 *           another  what close(2) says, with the descriptor closed all the same
 * Context   Inside a task; outside one when nothing waits on it.
 * Cancel    No cancellation point: a cancelled task closes all the same.
 * Since     0.1
 */
RADDLE_API int raddle_fd_close(int fd);

#ifdef __cplusplus
}
#endif

#endif
