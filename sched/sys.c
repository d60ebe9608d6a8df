/*
 * sched/sys.c - system calls, allocation and the clock, each returning -errno and each open to a test.
 */
#define _GNU_SOURCE
#include "sched/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/annotate.h"
#include "sched/atomic.h"
#include "sched/planted.h"

static rdl_atomic(rdl_sys_hook_fn *) hook;
static rdl_atomic(rdl_sys_clock_fn *) simulated_clock;

void rdl_sys_set_hook(rdl_sys_hook_fn *fn)
{
    rdl_atomic_store_release(&hook, fn);
}

bool rdl_sys_is_hooked(void)
{
    return rdl_atomic_load_relaxed(&hook) != NULL;
}

/* acquire pairs with the release in rdl_sys_set_hook(): what the test prepared is seen. */
static inline int consult(enum rdl_sys_call call, size_t *length)
{
    rdl_sys_hook_fn *fn = rdl_atomic_load_acquire(&hook);

    return __builtin_expect(fn != NULL, 0) ? fn(call, length) : 0;
}

int rdl_sys_consult(enum rdl_sys_call call, size_t *length)
{
    return consult(call, length);
}

const char *rdl_sys_name(enum rdl_sys_call call)
{
    static const char *const names[] = {
#define RDL_SYS_NAME(name) #name,
        RDL_SYS_CALLS(RDL_SYS_NAME)
#undef RDL_SYS_NAME
    };

    return (unsigned)call < RDL_SYS_COUNT ? names[call] : "?";
}

/* Every function below begins with this: a test may decide that the call fails. */
#define CONSULT(call, length)                                                                      \
    do {                                                                                           \
        int verdict_ = consult(RDL_SYS_##call, (length));                                          \
        if (verdict_)                                                                              \
            return verdict_;                                                                       \
    } while (0)

static inline int result_of(int rc)
{
    return rc < 0 ? -errno : rc;
}

static inline ssize_t transfer_of(ssize_t n)
{
    return n < 0 ? -errno : n;
}

void *rdl_sys_malloc(size_t bytes)
{
    return consult(RDL_SYS_MALLOC, NULL) ? NULL : malloc(bytes);
}

void *rdl_sys_calloc(size_t count, size_t bytes)
{
    return consult(RDL_SYS_CALLOC, NULL) ? NULL : calloc(count, bytes);
}

void *rdl_sys_calloc_aligned(size_t alignment, size_t bytes)
{
    void *memory = consult(RDL_SYS_CALLOC, NULL) ? NULL : aligned_alloc(alignment, bytes);

    return memory ? memset(memory, 0, bytes) : NULL;
}

void *rdl_sys_realloc(void *old, size_t bytes)
{
    return consult(RDL_SYS_REALLOC, NULL) ? NULL : realloc(old, bytes);
}

void rdl_sys_free(void *memory)
{
    free(memory);
}

int rdl_sys_mmap(size_t bytes, int protection, int flags, void **out)
{
    CONSULT(MMAP, NULL);
    void *address = mmap(NULL, bytes, protection, flags, -1, 0);
    if (address == MAP_FAILED)
        return -errno;
    *out = address;
    return 0;
}

int rdl_sys_munmap(void *address, size_t bytes)
{
    CONSULT(MUNMAP, NULL);
    return result_of(munmap(address, bytes));
}

int rdl_sys_mprotect(void *address, size_t bytes, int protection)
{
    CONSULT(MPROTECT, NULL);
    return result_of(mprotect(address, bytes, protection));
}

int rdl_sys_madvise(void *address, size_t bytes, int advice)
{
    CONSULT(MADVISE, NULL);
    return result_of(madvise(address, bytes, advice));
}

int rdl_sys_thread_create(pthread_t *out, size_t stack_bytes, void *(*fn)(void *), void *arg)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    pthread_attr_t attr;
    sigset_t all, before;
    int rc;

    CONSULT(THREAD_CREATE, NULL);
    rc = pthread_attr_init(&attr);
    if (rc)
        return -rc;
    if (stack_bytes)
        rc = pthread_attr_setstacksize(&attr, stack_bytes);
    if (rc == 0) {
        /* The new thread inherits the mask: there is no moment at which a signal could reach it. */
        sigfillset(&all);
        /* What the thread does to itself: blocked, it would kill the process without a word. */
        for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
            sigdelset(&all, own[i]);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(out, &attr, fn, arg);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attr);
    return -rc;
}

int rdl_sys_thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

void rdl_sys_futex_wait(const void *word, uint32_t value)
{
    int before = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    errno = before;
}

void rdl_sys_futex_wake(const void *word)
{
    int before = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = before;
}

unsigned rdl_sys_cpus(pid_t thread)
{
    int before = errno;
    unsigned count = 1;

    /* Machines may have more CPUs than cpu_set_t has bits. */
    for (int cpus = 1024; cpus <= 1024 * 64; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
        if (!set)
            break;
        if (sched_getaffinity(thread, bytes, set) == 0) {
            count = (unsigned)CPU_COUNT_S(bytes, set);
            CPU_FREE(set);
            break;
        }
        CPU_FREE(set);
    }
    errno = before;
    return count ? count : 1;
}

void rdl_sys_set_clock(rdl_sys_clock_fn *fn)
{
    rdl_atomic_store_release(&simulated_clock, fn);
}

int64_t rdl_sys_real_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rdl_sys_now(void)
{
    rdl_sys_clock_fn *fn = rdl_atomic_load_relaxed(&simulated_clock);
    int64_t now_ns;

    (void)consult(RDL_SYS_CLOCK, NULL);
    if (__builtin_expect(fn != NULL, 0) && fn(&now_ns))
        return now_ns;
    return rdl_sys_real_now();
}

unsigned rdl_sys_threads(void)
{
    struct stat st;

    /* A folder for each, and the two that every folder has. */
    return stat("/proc/self/task", &st) == 0 && st.st_nlink > 2 ? (unsigned)st.st_nlink - 2 : 0;
}

int rdl_sys_close(int fd)
{
    int verdict = consult(RDL_SYS_CLOSE, NULL);
    int rc = result_of(close(fd));

    /* Linux has freed the number even when close() reports EINTR or EIO. */
    return verdict ? verdict : rc;
}

ssize_t rdl_sys_read(int fd, void *buffer, size_t bytes)
{
    CONSULT(READ, &bytes);
    return transfer_of(read(fd, buffer, bytes));
}

ssize_t rdl_sys_write(int fd, const void *buffer, size_t bytes)
{
    CONSULT(WRITE, &bytes);
    return transfer_of(write(fd, buffer, bytes));
}

ssize_t rdl_sys_readv(int fd, const struct iovec *iov, int count)
{
    CONSULT(READV, NULL);
    return transfer_of(readv(fd, iov, count));
}

ssize_t rdl_sys_writev(int fd, const struct iovec *iov, int count)
{
    CONSULT(WRITEV, NULL);
    return transfer_of(writev(fd, iov, count));
}

int rdl_sys_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    CONSULT(POLL, NULL);
    return result_of(poll(fds, count, timeout_ms));
}

int rdl_sys_get_nonblock(int fd)
{
    CONSULT(FCNTL, NULL);
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -errno : !!(flags & O_NONBLOCK);
}

int rdl_sys_set_nonblock(int fd, bool on)
{
    CONSULT(FCNTL, NULL);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return wanted == flags ? 0 : result_of(fcntl(fd, F_SETFL, wanted));
}

int rdl_sys_get_cloexec(int fd)
{
    CONSULT(FCNTL, NULL);
    int flags = fcntl(fd, F_GETFD);
    return flags < 0 ? -errno : !!(flags & FD_CLOEXEC);
}

int rdl_sys_set_cloexec(int fd)
{
    CONSULT(FCNTL, NULL);
    return result_of(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int rdl_sys_file_type(int fd)
{
    struct stat st;

    CONSULT(FSTAT, NULL);
    return fstat(fd, &st) < 0 ? -errno : (int)(st.st_mode & S_IFMT);
}

int rdl_sys_unlink(const char *path)
{
    CONSULT(UNLINK, NULL);
    return result_of(unlink(path));
}

int rdl_sys_lstat(const char *path, struct stat *out)
{
    CONSULT(LSTAT, NULL);
    return result_of(lstat(path, out));
}

int rdl_sys_socket(int family, int type, int protocol)
{
    CONSULT(SOCKET, NULL);
    return result_of(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

int rdl_sys_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    CONSULT(BIND, NULL);
    return result_of(bind(fd, address, length));
}

int rdl_sys_listen(int fd, int backlog)
{
    CONSULT(LISTEN, NULL);
    return result_of(listen(fd, backlog));
}

int rdl_sys_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    CONSULT(ACCEPT, NULL);
    return result_of(
        accept4(fd, address, length, SOCK_NONBLOCK | (RDL_PLANTED(CLOEXEC) ? 0 : SOCK_CLOEXEC)));
}

int rdl_sys_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    CONSULT(CONNECT, NULL);
    return result_of(connect(fd, address, length));
}

int rdl_sys_shutdown(int fd, int how)
{
    CONSULT(SHUTDOWN, NULL);
    return result_of(shutdown(fd, how));
}

ssize_t rdl_sys_recv(int fd, void *buffer, size_t bytes, int flags)
{
    CONSULT(RECV, &bytes);
    return transfer_of(recv(fd, buffer, bytes, flags));
}

ssize_t rdl_sys_send(int fd, const void *buffer, size_t bytes, int flags)
{
    CONSULT(SEND, &bytes);
    return transfer_of(send(fd, buffer, bytes, flags | MSG_NOSIGNAL));
}

ssize_t rdl_sys_recvmsg(int fd, struct msghdr *message, int flags)
{
    CONSULT(RECVMSG, NULL);
    return transfer_of(recvmsg(fd, message, flags | MSG_CMSG_CLOEXEC));
}

ssize_t rdl_sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
    CONSULT(SENDMSG, NULL);
    return transfer_of(sendmsg(fd, message, flags | MSG_NOSIGNAL));
}

int rdl_sys_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    CONSULT(GETSOCKOPT, NULL);
    return result_of(getsockopt(fd, level, option, value, length));
}

int rdl_sys_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    CONSULT(SETSOCKOPT, NULL);
    return result_of(setsockopt(fd, level, option, value, length));
}

int rdl_sys_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    CONSULT(GETSOCKNAME, NULL);
    return result_of(getsockname(fd, address, length));
}

int rdl_sys_epoll_create(void)
{
    CONSULT(EPOLL_CREATE, NULL);
    return result_of(epoll_create1(EPOLL_CLOEXEC));
}

int rdl_sys_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
    CONSULT(EPOLL_CTL, NULL);
    return result_of(epoll_ctl(epoll_fd, op, fd, event));
}

/* epoll_pwait2 (Linux 5.11) has nanoseconds; before it the timeout is rounded up, never early. */
int rdl_sys_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int64_t timeout_ns)
{
    static rdl_atomic(bool) no_pwait2;
    int64_t ms;

    CONSULT(EPOLL_WAIT, NULL);
#ifdef SYS_epoll_pwait2
    if (timeout_ns > 0 && !rdl_atomic_load_relaxed(&no_pwait2)) {
        struct timespec t = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
        long n = syscall(SYS_epoll_pwait2, epoll_fd, events, max, &t, NULL, 0);
        if (n >= 0) {
            RDL_MSAN_WRITTEN(events, (size_t)n * sizeof(*events));
            return (int)n;
        }
        /* EPERM: a seccomp filter that has never heard of it. */
        if (errno != ENOSYS && errno != EPERM)
            return -errno;
        rdl_atomic_store_relaxed(&no_pwait2, true);
    }
#endif
    ms = timeout_ns <= 0 ? timeout_ns : timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    if (ms > INT32_MAX)
        ms = INT32_MAX;
    return result_of(epoll_wait(epoll_fd, events, max, ms < 0 ? -1 : (int)ms));
}

int rdl_sys_eventfd(void)
{
    CONSULT(EVENTFD, NULL);
    return result_of(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void rdl_sys_eventfd_post(int fd)
{
    while (eventfd_write(fd, 1) < 0 && errno == EINTR)
        ;
}

void rdl_sys_futex_wait_for(const void *word, uint32_t value, int64_t timeout_ns)
{
    struct timespec t = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    int before = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &t, NULL, 0);
    errno = before;
}

int rdl_sys_sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    CONSULT(SIGACTION, NULL);
    return result_of(sigaction(signal, action, old));
}
