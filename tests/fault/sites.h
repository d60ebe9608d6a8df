/*
 * tests/fault/sites.h - included before every source of a second build of the library, which the fault sweep
 * links: each place that calls rdl_sys_*() is a record in a list that the linker makes.
 *
 * So the list of call sites is complete by construction, those that no run reaches included, and the library
 * that is shipped knows nothing of it. What allocates and gives back is counted on the way, and what the
 * kernel reports can be put into another order.
 *
 * Not listed: what has no hook or no failure (free, now, thread_id, eventfd_post).
 */
#ifndef TESTS_FAULT_SITES_H
#define TESTS_FAULT_SITES_H

#include "sched/sys.h"

#if RADDLE_HAVE_URING
#include <liburing.h>
#endif

struct fault_site {
    const char *call;
    const char *file;
    int line;
    unsigned index; /* in the list, once the sweep has numbered it */
};

/* The calling thread is about to make this call. */
void fault_at(const struct fault_site *site);

/* What is held. They return what they are given. */
void *fault_allocated(void *memory);
void *fault_freed(void *memory);
int fault_mapped(int rc, size_t bytes);
int fault_unmapped(int rc, size_t bytes);

/* What a driver may ask for at once, and what it got: another order, or less at a time. */
int fault_events_wanted(int max);
int fault_events(int rc, struct epoll_event *events);
#if RADDLE_HAVE_URING
int fault_completions(struct io_uring *ring, int rc);
#endif

#define FAULT_SITE(name)                                                                           \
    __extension__({                                                                                \
        static struct fault_site site_ = {name, __FILE__, __LINE__, 0};                            \
        static struct fault_site *const listed_ __attribute__((section("fault_sites"), used)) =    \
            &site_;                                                                                \
        fault_at(listed_);                                                                         \
    })

#define rdl_sys_consult(...) (FAULT_SITE("consult"), rdl_sys_consult(__VA_ARGS__))

#define rdl_sys_malloc(bytes) (FAULT_SITE("malloc"), fault_allocated(rdl_sys_malloc(bytes)))
#define rdl_sys_calloc(count, bytes)                                                               \
    (FAULT_SITE("calloc"), fault_allocated(rdl_sys_calloc(count, bytes)))
#define rdl_sys_calloc_aligned(alignment, bytes)                                                   \
    (FAULT_SITE("calloc_aligned"), fault_allocated(rdl_sys_calloc_aligned(alignment, bytes)))
#define rdl_sys_realloc(old, bytes)                                                                \
    __extension__({                                                                                \
        bool fresh_ = !(old);                                                                      \
        void *new_ = (FAULT_SITE("realloc"), rdl_sys_realloc(old, bytes));                         \
        fresh_ ? fault_allocated(new_) : new_;                                                     \
    })
#define rdl_sys_free(memory) rdl_sys_free(fault_freed(memory))
#define rdl_sys_mmap(bytes, protection, flags, out)                                                \
    (FAULT_SITE("mmap"), fault_mapped(rdl_sys_mmap(bytes, protection, flags, out), bytes))
#define rdl_sys_munmap(address, bytes)                                                             \
    (FAULT_SITE("munmap"), fault_unmapped(rdl_sys_munmap(address, bytes), bytes))
#define rdl_sys_mprotect(...) (FAULT_SITE("mprotect"), rdl_sys_mprotect(__VA_ARGS__))
#define rdl_sys_madvise(...)  (FAULT_SITE("madvise"), rdl_sys_madvise(__VA_ARGS__))

#define rdl_sys_thread_create(...) (FAULT_SITE("thread_create"), rdl_sys_thread_create(__VA_ARGS__))

#define rdl_sys_close(...)        (FAULT_SITE("close"), rdl_sys_close(__VA_ARGS__))
#define rdl_sys_read(...)         (FAULT_SITE("read"), rdl_sys_read(__VA_ARGS__))
#define rdl_sys_write(...)        (FAULT_SITE("write"), rdl_sys_write(__VA_ARGS__))
#define rdl_sys_readv(...)        (FAULT_SITE("readv"), rdl_sys_readv(__VA_ARGS__))
#define rdl_sys_writev(...)       (FAULT_SITE("writev"), rdl_sys_writev(__VA_ARGS__))
#define rdl_sys_poll(...)         (FAULT_SITE("poll"), rdl_sys_poll(__VA_ARGS__))
#define rdl_sys_get_nonblock(...) (FAULT_SITE("get_nonblock"), rdl_sys_get_nonblock(__VA_ARGS__))
#define rdl_sys_set_nonblock(...) (FAULT_SITE("set_nonblock"), rdl_sys_set_nonblock(__VA_ARGS__))
#define rdl_sys_get_cloexec(...)  (FAULT_SITE("get_cloexec"), rdl_sys_get_cloexec(__VA_ARGS__))
#define rdl_sys_set_cloexec(...)  (FAULT_SITE("set_cloexec"), rdl_sys_set_cloexec(__VA_ARGS__))
#define rdl_sys_file_type(...)    (FAULT_SITE("file_type"), rdl_sys_file_type(__VA_ARGS__))
#define rdl_sys_unlink(...)       (FAULT_SITE("unlink"), rdl_sys_unlink(__VA_ARGS__))
#define rdl_sys_lstat(...)        (FAULT_SITE("lstat"), rdl_sys_lstat(__VA_ARGS__))

#define rdl_sys_socket(...)      (FAULT_SITE("socket"), rdl_sys_socket(__VA_ARGS__))
#define rdl_sys_bind(...)        (FAULT_SITE("bind"), rdl_sys_bind(__VA_ARGS__))
#define rdl_sys_listen(...)      (FAULT_SITE("listen"), rdl_sys_listen(__VA_ARGS__))
#define rdl_sys_accept(...)      (FAULT_SITE("accept"), rdl_sys_accept(__VA_ARGS__))
#define rdl_sys_connect(...)     (FAULT_SITE("connect"), rdl_sys_connect(__VA_ARGS__))
#define rdl_sys_shutdown(...)    (FAULT_SITE("shutdown"), rdl_sys_shutdown(__VA_ARGS__))
#define rdl_sys_recv(...)        (FAULT_SITE("recv"), rdl_sys_recv(__VA_ARGS__))
#define rdl_sys_send(...)        (FAULT_SITE("send"), rdl_sys_send(__VA_ARGS__))
#define rdl_sys_recvmsg(...)     (FAULT_SITE("recvmsg"), rdl_sys_recvmsg(__VA_ARGS__))
#define rdl_sys_sendmsg(...)     (FAULT_SITE("sendmsg"), rdl_sys_sendmsg(__VA_ARGS__))
#define rdl_sys_getsockopt(...)  (FAULT_SITE("getsockopt"), rdl_sys_getsockopt(__VA_ARGS__))
#define rdl_sys_setsockopt(...)  (FAULT_SITE("setsockopt"), rdl_sys_setsockopt(__VA_ARGS__))
#define rdl_sys_getsockname(...) (FAULT_SITE("getsockname"), rdl_sys_getsockname(__VA_ARGS__))

#define rdl_sys_epoll_create(...) (FAULT_SITE("epoll_create"), rdl_sys_epoll_create(__VA_ARGS__))
#define rdl_sys_epoll_ctl(...)    (FAULT_SITE("epoll_ctl"), rdl_sys_epoll_ctl(__VA_ARGS__))
#define rdl_sys_epoll_wait(fd, events, max, timeout_ns)                                            \
    (FAULT_SITE("epoll_wait"),                                                                     \
     fault_events(rdl_sys_epoll_wait(fd, events, fault_events_wanted(max), timeout_ns), events))
#define rdl_sys_eventfd(...)   (FAULT_SITE("eventfd"), rdl_sys_eventfd(__VA_ARGS__))
#define rdl_sys_sigaction(...) (FAULT_SITE("sigaction"), rdl_sys_sigaction(__VA_ARGS__))

#define io_uring_submit_and_get_events(ring)                                                       \
    fault_completions(ring, io_uring_submit_and_get_events(ring))
#define io_uring_submit_and_wait(ring, count)                                                      \
    fault_completions(ring, io_uring_submit_and_wait(ring, count))
#define io_uring_submit_and_wait_timeout(ring, ...)                                                \
    fault_completions(ring, io_uring_submit_and_wait_timeout(ring, __VA_ARGS__))
#define io_uring_get_events(ring) fault_completions(ring, io_uring_get_events(ring))

#endif
