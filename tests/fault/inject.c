/*
 * tests/fault/inject.c - the hook that makes a plan happen, and the errors that each call can have.
 *
 * The errors are those of the manual pages that say something about the machine or about the peer. Left out
 * is what only a bug of the caller's can bring (EBADF, EFAULT, ENOTSOCK), and -EAGAIN of a transfer: an
 * edge-triggered descriptor that says so without having been drained breaks its promise of an event.
 */
#define _GNU_SOURCE
#include "tests/fault/inject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many calls FAULT_BURST fails: then memory, or what it was, comes back. A server that is short of it
 * rests and tries again, for as long as it takes. */
enum { BURST = 16 };

extern struct fault_site *const __start_fault_sites[];
extern struct fault_site *const __stop_fault_sites[];

static struct fault_site *sites[FAULT_SITES]; /* in the order of the sources */
static struct fault_shared *shared;
static struct fault_plan plan;
static rdl_atomic(bool) active;
static rdl_atomic(long) blocks, mapped_bytes, refused_bytes;
static rdl_atomic(unsigned) turns;

static _Thread_local const struct fault_site *here;

unsigned fault_site_count(void)
{
    return (unsigned)(__stop_fault_sites - __start_fault_sites);
}

const struct fault_site *fault_site(unsigned index)
{
    return sites[index];
}

/* noinline: a task that moves must not take a thread's own variable along. */
__attribute__((noinline)) void fault_at(const struct fault_site *site)
{
    here = site;
    if (shared)
        rdl_atomic_fetch_add_relaxed(&shared->site[site->index].reached, 1u);
}

void *fault_allocated(void *memory)
{
    if (memory)
        rdl_atomic_fetch_add_relaxed(&blocks, 1l);
    return memory;
}

void *fault_freed(void *memory)
{
    if (memory)
        rdl_atomic_fetch_sub_relaxed(&blocks, 1l);
    return memory;
}

int fault_mapped(int rc, size_t bytes)
{
    if (rc == 0)
        rdl_atomic_fetch_add_relaxed(&mapped_bytes, (long)bytes);
    return rc;
}

int fault_unmapped(int rc, size_t bytes)
{
    if (rc == 0)
        rdl_atomic_fetch_sub_relaxed(&mapped_bytes, (long)bytes);
    else
        rdl_atomic_fetch_add_relaxed(&refused_bytes, (long)bytes);
    return rc;
}

struct fault_held fault_held(void)
{
    return (struct fault_held){
        .blocks = rdl_atomic_load_relaxed(&blocks),
        .mapped_bytes = rdl_atomic_load_relaxed(&mapped_bytes),
        .refused_bytes = rdl_atomic_load_relaxed(&refused_bytes),
    };
}

static bool is_on(enum fault_kind kind)
{
    return rdl_atomic_load_acquire(&active) && plan.kind == kind;
}

int fault_events_wanted(int max)
{
    return is_on(FAULT_DELAY) ? 1 : max;
}

int fault_events(int rc, struct epoll_event *events)
{
    if (rc < 2 || !is_on(FAULT_REORDER))
        return rc;
    for (int i = 0; i < rc / 2; i++) {
        struct epoll_event other = events[i];

        events[i] = events[rc - 1 - i];
        events[rc - 1 - i] = other;
    }
    rdl_atomic_fetch_add_relaxed(&shared->injected, 1u);
    return rc;
}

#if RADDLE_HAVE_URING
/* Those that are ready are the program's until it has advanced over them. Those of one request stay in order:
 * its last one says that it is. */
int fault_completions(struct io_uring *ring, int rc)
{
    unsigned ready = io_uring_cq_ready(ring);
    unsigned first = *ring->cq.khead, mask = ring->cq.ring_mask;

    if (ready < 2 || !is_on(FAULT_REORDER))
        return rc;
    for (unsigned i = 0; i < ready / 2; i++) {
        struct io_uring_cqe *a = &ring->cq.cqes[(first + i) & mask];
        struct io_uring_cqe *b = &ring->cq.cqes[(first + ready - 1 - i) & mask];
        struct io_uring_cqe other = *a;

        *a = *b;
        *b = other;
    }
    for (unsigned i = 0; i < ready; i++)
        for (unsigned j = ready - 1; j > i; j--) {
            struct io_uring_cqe *a = &ring->cq.cqes[(first + j - 1) & mask];
            struct io_uring_cqe *b = &ring->cq.cqes[(first + j) & mask];

            if (a->user_data == b->user_data && !(a->flags & IORING_CQE_F_MORE)) {
                struct io_uring_cqe other = *a;

                *a = *b;
                *b = other;
            }
        }
    rdl_atomic_fetch_add_relaxed(&shared->injected, 1u);
    return rc;
}
#endif

static bool is_interruptible(enum rdl_sys_call call)
{
    switch (call) {
    case RDL_SYS_READ:
    case RDL_SYS_WRITE:
    case RDL_SYS_READV:
    case RDL_SYS_WRITEV:
    case RDL_SYS_RECV:
    case RDL_SYS_SEND:
    case RDL_SYS_RECVMSG:
    case RDL_SYS_SENDMSG:
    case RDL_SYS_ACCEPT:
    case RDL_SYS_POLL:
    case RDL_SYS_EPOLL_WAIT:
    case RDL_SYS_URING_ENTER:
        return true;
    default:
        return false;
    }
}

static int verdict(enum rdl_sys_call call, unsigned number, size_t *length)
{
    switch (plan.kind) {
    case FAULT_ONCE:
        return call == plan.call && number == plan.number ? plan.error : 0;
    case FAULT_BURST:
        return call == plan.call && number - plan.number < BURST ? plan.error : 0;
    case FAULT_SHORT:
        if (!length || *length < 2)
            return 0;
        *length = 1;
        rdl_atomic_fetch_add_relaxed(&shared->injected, 1u);
        return 0;
    case FAULT_EINTR:
        /* Of two in a row one happens: nothing is interrupted for ever. */
        return is_interruptible(call) && number % 2 ? -EINTR : 0;
    case FAULT_DELAY:
        if (call == RDL_SYS_EPOLL_WAIT || call == RDL_SYS_URING_ENTER)
            return rdl_atomic_fetch_add_relaxed(&turns, 1u) % 3 ? -EINTR : 0;
        return 0;
    default:
        return 0;
    }
}

static int hook(enum rdl_sys_call call, size_t *length)
{
    unsigned number;
    int rc;

    /* F_GETFD has no error but EBADF: it is no point. */
    if (call == RDL_SYS_FCNTL && here && strcmp(here->call, "get_cloexec") == 0)
        return 0;
    number = rdl_atomic_fetch_add_relaxed(&shared->calls[call], 1u) + 1;
    rc = verdict(call, number, length);

    if (rc) {
        rdl_atomic_fetch_add_relaxed(&shared->injected, 1u);
        if (here)
            rdl_atomic_fetch_add_relaxed(&shared->site[here->index].failed, 1u);
    }
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct fault_site *one = *(struct fault_site *const *)a;
    const struct fault_site *other = *(struct fault_site *const *)b;
    int order = strcmp(one->file, other->file);

    return order ? order : one->line - other->line;
}

void fault_init(struct fault_shared *memory)
{
    unsigned count = fault_site_count();

    if (count > FAULT_SITES) {
        fprintf(stderr, "%u call sites: struct fault_shared has no room for them\n", count);
        exit(1);
    }
    memcpy(sites, __start_fault_sites, count * sizeof(sites[0]));
    qsort(sites, count, sizeof(sites[0]), by_place);
    for (unsigned i = 0; i < count; i++)
        sites[i]->index = i;
    shared = memory;
}

void fault_set(const struct fault_plan *next)
{
    rdl_atomic_store_release(&active, false);
    rdl_sys_set_hook(NULL);
    if (!next)
        return;
    plan = *next;
    for (unsigned i = 0; i < RDL_SYS_COUNT; i++)
        rdl_atomic_store_relaxed(&shared->calls[i], 0u);
    rdl_atomic_store_relaxed(&shared->injected, 0u);
    rdl_atomic_store_release(&active, true);
    rdl_sys_set_hook(hook);
}

#define ERRORS(name, ...)                                                                          \
    case RDL_SYS_##name: {                                                                         \
        static const int list[] = {__VA_ARGS__, 0};                                                \
        return list;                                                                               \
    }

const int *fault_errors(enum rdl_sys_call call)
{
    static const int none[] = {0};

    switch (call) {
        ERRORS(MALLOC, -ENOMEM)
        ERRORS(CALLOC, -ENOMEM)
        ERRORS(REALLOC, -ENOMEM)
        ERRORS(MMAP, -ENOMEM, -EAGAIN)
        ERRORS(MUNMAP, -ENOMEM)
        ERRORS(MPROTECT, -ENOMEM, -EACCES)
        ERRORS(MADVISE, -EINVAL, -ENOMEM, -EAGAIN)
        ERRORS(THREAD_CREATE, -EAGAIN, -EPERM)
        ERRORS(CLOSE, -EINTR, -EIO, -ENOSPC)
        ERRORS(READ, -EINTR, -EIO, -ECONNRESET)
        ERRORS(WRITE, -EINTR, -EIO, -ENOSPC, -EPIPE)
        ERRORS(READV, -EINTR, -EIO)
        ERRORS(WRITEV, -EINTR, -EIO, -EPIPE)
        ERRORS(RECV, -EINTR, -ECONNRESET, -ETIMEDOUT, -ENOMEM)
        ERRORS(SEND, -EINTR, -ECONNRESET, -EPIPE, -ENOBUFS)
        ERRORS(RECVMSG, -EINTR, -ECONNRESET, -ENOMEM)
        ERRORS(SENDMSG, -EINTR, -EPIPE, -ENOBUFS)
        ERRORS(SOCKET, -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EACCES, -EAFNOSUPPORT)
        ERRORS(BIND, -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -ENOMEM)
        ERRORS(LISTEN, -EADDRINUSE, -EOPNOTSUPP)
        ERRORS(ACCEPT, -EINTR, -ECONNABORTED, -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EPERM, -EPROTO)
        ERRORS(CONNECT, -ECONNREFUSED, -ETIMEDOUT, -ENETUNREACH, -EADDRNOTAVAIL, -EACCES, -EAGAIN,
               -EINTR)
        ERRORS(SHUTDOWN, -ENOTCONN)
        ERRORS(GETSOCKOPT, -ENOPROTOOPT, -EINVAL)
        ERRORS(SETSOCKOPT, -ENOPROTOOPT, -ENOMEM, -EINVAL)
        ERRORS(GETSOCKNAME, -ENOBUFS)
        ERRORS(POLL, -EINTR, -ENOMEM)
        ERRORS(FCNTL, -EPERM)
        ERRORS(EPOLL_CREATE, -EMFILE, -ENFILE, -ENOMEM)
        ERRORS(EPOLL_CTL, -ENOMEM, -ENOSPC)
        ERRORS(EPOLL_WAIT, -EINTR, -EBADF)
        ERRORS(EVENTFD, -EMFILE, -ENFILE, -ENODEV, -ENOMEM)
        ERRORS(URING_SETUP, -EPERM, -ENOSYS, -ENOMEM, -EMFILE, -ENFILE, -EINVAL)
        ERRORS(URING_ENTER, -EINTR, -EAGAIN, -EBUSY, -EPERM)
        ERRORS(URING_REGISTER, -EPERM, -ENOSYS, -ENOMEM, -EINVAL)
        ERRORS(COMPLETION, -EINTR, -ECANCELED, -ECONNRESET, -ENOMEM, -EIO)
        ERRORS(SIGACTION, -EINVAL)
        ERRORS(OPEN, -EMFILE, -ENFILE, -ENOENT)
        ERRORS(UNLINK, -EACCES, -ENOENT)
        ERRORS(FSTAT, -ENOMEM)
        ERRORS(LSTAT, -EACCES, -ENOENT)
    default:
        return none;
    }
}

int fault_burst_error(enum rdl_sys_call call)
{
    switch (call) {
    case RDL_SYS_MALLOC:
    case RDL_SYS_CALLOC:
    case RDL_SYS_REALLOC:
    case RDL_SYS_MMAP:
    case RDL_SYS_EPOLL_CTL:
    case RDL_SYS_URING_SETUP:
        return -ENOMEM;
    case RDL_SYS_SOCKET:
    case RDL_SYS_ACCEPT:
    case RDL_SYS_EPOLL_CREATE:
    case RDL_SYS_EVENTFD:
        return -EMFILE;
    case RDL_SYS_THREAD_CREATE:
    case RDL_SYS_URING_ENTER:
        return -EAGAIN;
    case RDL_SYS_COMPLETION:
        return -ECANCELED;
    default:
        return 0;
    }
}

bool fault_ends_process(const struct fault_plan *p)
{
    return (p->call == RDL_SYS_EPOLL_WAIT && p->error == -EBADF) ||
           (p->call == RDL_SYS_URING_ENTER && p->error == -EPERM);
}
