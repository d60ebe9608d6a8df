/*
 * raddle/io.h - operations on descriptors that suspend the task instead of the thread.
 *
 * Each is the system call of its name, with the same arguments, and returns what that call would,
 * or -errno. It suspends the task until it can be done, and never blocks the loop (regular files on
 * epoll excepted: use raddle_run_in_executor() for these). It has no timeout of its own: enter a
 * scope with a deadline.
 *
 * Every one is a cancellation point, and one that was cancelled did not happen: no byte was read or
 * sent, no connection accepted. The exception is raddle_fd_connect(): after it was cancelled, the
 * socket can only be closed.
 *
 * All of them may also return
 *     -ECANCELED      a scope around the caller is cancelled or past its deadline
 *     -EBADF          not an open descriptor, or one that is being closed
 *     RADDLE_ECLOSED  it was closed by raddle_fd_close() while this call waited
 *     -EPERM          outside a task
 *     -ENOMEM         no memory to wait with
 *
 * From its first use here until raddle_fd_close() a descriptor is the library's: a plain close()
 * while operations are in flight leaves them hanging. Several tasks, on any loops, may use one
 * descriptor. Pipes and terminals are made non-blocking on first use.
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

/** read(2). Returns the count, 0 at the end of the file. Since 0.1 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_read(int fd, void *buffer, size_t bytes);
/** write(2). Returns the count, which may be short. Since 0.1 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_write(int fd, const void *buffer, size_t bytes);
/** readv(2). Since 0.1 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_readv(int fd, const struct iovec *iov, int count);
/** writev(2). Since 0.1 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_writev(int fd, const struct iovec *iov, int count);
/** recv(2). Since 0.1 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_recv(int fd, void *buffer, size_t bytes, int flags);
/** send(2), never with SIGPIPE. Returns the count, which may be short. Since 0.1 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_send(int fd, const void *buffer, size_t bytes,
                                                   int flags);
/** recvmsg(2). Received descriptors are CLOEXEC. Since 0.1 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_recvmsg(int fd, struct msghdr *message, int flags);
/** sendmsg(2), never with SIGPIPE. Since 0.1 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_fd_sendmsg(int fd, const struct msghdr *message,
                                                      int flags);

/** accept4(2) with SOCK_CLOEXEC and SOCK_NONBLOCK. Returns the new descriptor. Since 0.1 */
RADDLE_API RADDLE_NODISCARD int raddle_fd_accept(int fd, struct sockaddr *address,
                                                 socklen_t *length);
/** connect(2), to its end. Returns 0. Since 0.1 */
RADDLE_API RADDLE_NODISCARD int raddle_fd_connect(int fd, const struct sockaddr *address,
                                                  socklen_t length);
/**
 * Waits until one of events (POLLIN, POLLOUT, POLLPRI, POLLRDHUP) holds. Returns those that do,
 * with POLLERR and POLLHUP where they apply. Since 0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_fd_poll(int fd, short events);

/** socket(2) with SOCK_CLOEXEC and SOCK_NONBLOCK. No cancellation point; any thread. Since 0.1 */
RADDLE_API RADDLE_NODISCARD int raddle_fd_socket(int family, int type, int protocol);

/**
 * Closes a descriptor. Ends what waits on it, on any loop, with RADDLE_ECLOSED, and returns when
 * the kernel is done with these operations: the number may then be reused.
 *
 * Returns   0; -EBADF: not open, or another task is closing it; -EPERM: outside a task while
 * operations are in flight; what close(2) says, with the descriptor closed all the same Context
 * Inside a task; outside one when nothing waits on it. Cancel    No cancellation point: a cancelled
 * task closes all the same. Since     0.1
 */
RADDLE_API int raddle_fd_close(int fd);

#ifdef __cplusplus
}
#endif

#endif
