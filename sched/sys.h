/*
 * sched/sys.h - the one place where the library meets the kernel, the allocator and the clock.
 *
 * Every call returns its result or -errno and never touches the caller's errno: the functions are not
 * inline, because a compiler that inlines them may keep the address of one thread's errno across a
 * suspension after which the task runs on another. A test can fail, shorten or observe any of them
 * with rdl_sys_set_hook().
 *
 * What does not end with "retries" below hands EINTR on.
 */
#ifndef RDL_SCHED_SYS_H
#define RDL_SCHED_SYS_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* One name per call, for hooks. clang-format never agrees with itself about these lines. */
/* clang-format off */
#define RDL_SYS_CALLS(X)                                                                           \
    X(MALLOC) X(CALLOC) X(REALLOC) X(MMAP) X(MUNMAP) X(MPROTECT) X(MADVISE) X(THREAD_CREATE)       \
    X(CLOSE) X(READ) X(WRITE) X(READV) X(WRITEV) X(RECV) X(SEND) X(RECVMSG) X(SENDMSG)             \
    X(SOCKET) X(BIND) X(LISTEN) X(ACCEPT) X(CONNECT) X(SHUTDOWN) X(GETSOCKOPT) X(SETSOCKOPT)       \
    X(GETSOCKNAME) X(POLL) X(FCNTL) X(EPOLL_CREATE) X(EPOLL_CTL) X(EPOLL_WAIT) X(EVENTFD)          \
    X(URING_SETUP) X(URING_ENTER) X(URING_REGISTER) X(COMPLETION) X(CLOCK) X(SIGACTION)            \
    X(OPEN) X(UNLINK) X(FSTAT) X(LSTAT)
/* clang-format on */

enum rdl_sys_call {
#define RDL_SYS_ENUM(name) RDL_SYS_##name,
    RDL_SYS_CALLS(RDL_SYS_ENUM)
#undef RDL_SYS_ENUM
        RDL_SYS_COUNT
};

/*
 * Called before each call, from any thread. May lower *length of a transfer (NULL where there is
 * none). Returns 0 to let the call happen, or the -errno with which it is to fail instead.
 */
typedef int rdl_sys_hook_fn(enum rdl_sys_call call, size_t *length);

/* Tests only: NULL takes the hook away. */
void rdl_sys_set_hook(rdl_sys_hook_fn *hook);

/* Whether there is one: then a short transfer may be its doing, and proves nothing. */
bool rdl_sys_is_hooked(void);

/* For what is wrapped elsewhere (a ring's completions): the hook's verdict on one event. */
int rdl_sys_consult(enum rdl_sys_call call, size_t *length);

const char *rdl_sys_name(enum rdl_sys_call call);

/* Memory. NULL when there is none; free takes NULL. */
void *rdl_sys_malloc(size_t bytes);
void *rdl_sys_calloc(size_t count, size_t bytes);
void *rdl_sys_calloc_aligned(size_t alignment, size_t bytes); /* bytes a multiple of alignment */
void *rdl_sys_realloc(void *old, size_t bytes);
void rdl_sys_free(void *memory);
int rdl_sys_mmap(size_t bytes, int protection, int flags, void **out);
int rdl_sys_munmap(void *address, size_t bytes);
int rdl_sys_mprotect(void *address, size_t bytes, int protection);
int rdl_sys_madvise(void *address, size_t bytes, int advice);

/* A thread with all signals blocked but those that it raises itself (SIGSEGV and its like). stack_bytes 0: the system's default. */
int rdl_sys_thread_create(pthread_t *out, size_t stack_bytes, void *(*fn)(void *), void *arg);
int rdl_sys_thread_id(void);

/* Sleeps while *word is value; may return early. wake: one who sleeps on word, which it doesn't read: it may be gone,
 * and then somebody wakes for nothing. No hooks and no results, as there is nothing that a caller could do. */
void rdl_sys_futex_wait(const void *word, uint32_t value);
void rdl_sys_futex_wake(const void *word);

/* On how many CPUs a thread may run, by its affinity; 0: the calling one. At least 1. */
unsigned rdl_sys_cpus(pid_t thread);

/* CLOCK_MONOTONIC in nanoseconds, or what the calling thread has in its place. */
int64_t rdl_sys_now(void);

/* Asked first by every reading: true, with the time of a simulated world in *now_ns, or false. Set for good
 * by the first such world. */
typedef bool rdl_sys_clock_fn(int64_t *now_ns);
void rdl_sys_set_clock(rdl_sys_clock_fn *clock);

/* CLOCK_MONOTONIC, whatever is simulated. No hook. */
int64_t rdl_sys_real_now(void);

/* How many threads the process has; 0: there is no telling. No hook. */
unsigned rdl_sys_threads(void);

/* Descriptors. Everything that makes one makes it CLOEXEC and non-blocking. */
int rdl_sys_close(int fd); /* the descriptor is gone whatever it returns */
ssize_t rdl_sys_read(int fd, void *buffer, size_t bytes);
ssize_t rdl_sys_write(int fd, const void *buffer, size_t bytes);
ssize_t rdl_sys_readv(int fd, const struct iovec *iov, int count);
ssize_t rdl_sys_writev(int fd, const struct iovec *iov, int count);
int rdl_sys_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int rdl_sys_get_nonblock(int fd); /* 1, 0 or -errno */
int rdl_sys_set_nonblock(int fd, bool on);
int rdl_sys_get_cloexec(int fd); /* 1, 0 or -errno */
int rdl_sys_set_cloexec(int fd);
int rdl_sys_file_type(int fd); /* S_IFMT bits or -errno */
int rdl_sys_unlink(const char *path);
int rdl_sys_lstat(const char *path, struct stat *out);

/* Sockets. send and sendmsg add MSG_NOSIGNAL. */
int rdl_sys_socket(int family, int type, int protocol);
int rdl_sys_bind(int fd, const struct sockaddr *address, socklen_t length);
int rdl_sys_listen(int fd, int backlog);
int rdl_sys_accept(int fd, struct sockaddr *address, socklen_t *length);
int rdl_sys_connect(int fd, const struct sockaddr *address, socklen_t length);
int rdl_sys_shutdown(int fd, int how);
ssize_t rdl_sys_recv(int fd, void *buffer, size_t bytes, int flags);
ssize_t rdl_sys_send(int fd, const void *buffer, size_t bytes, int flags);
ssize_t rdl_sys_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t rdl_sys_sendmsg(int fd, const struct msghdr *message, int flags);
int rdl_sys_getsockopt(int fd, int level, int option, void *value, socklen_t *length);
int rdl_sys_setsockopt(int fd, int level, int option, const void *value, socklen_t length);
int rdl_sys_getsockname(int fd, struct sockaddr *address, socklen_t *length);

/* Waiting. */
int rdl_sys_epoll_create(void);
int rdl_sys_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
/* timeout_ns: 0 polls, negative waits for ever. */
int rdl_sys_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns);
int rdl_sys_eventfd(void);
/* Adds one to its counter. No hook and no result: it can't fail in a way that a caller could handle. */
void rdl_sys_eventfd_post(int fd);

/* As rdl_sys_futex_wait(), at most for timeout_ns. */
void rdl_sys_futex_wait_for(const void *word, uint32_t value, int64_t timeout_ns);

/* Signals. */
int rdl_sys_sigaction(int signal, const struct sigaction *action, struct sigaction *old);

#endif
