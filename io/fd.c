/*
 * io/fd.c - descriptors in use, and closing one.
 *
 * The danger. A descriptor number is reused at once. An operation that starts while another task
 * closes the number, or an event that comes after, would reach a stranger's connection. And the
 * kernel doesn't end an operation in flight when its descriptor is closed: a ring keeps the file
 * open and goes on writing into the buffer.
 *
 * So every operation is counted in its entry, from before its first attempt until it has been
 * reaped, and close goes in this order:
 *
 *     1. closing is set: what comes now gets -EBADF
 *     2. the waits of all operations in the list are fired with RADDLE_ECLOSED; their loops cancel
 *        and reap them
 *     3. the last one to leave fires the closer
 *     4. the descriptor is taken out of every epoll instance that knows it. Closing it is not
 *        enough: a copy in another process keeps the registration alive, and no call could remove
 *        it any more
 *     5. the entry becomes that of a new descriptor: generation, kind, hints. Before close(2),
 *        because after it another thread may already have the number
 *     6. close(2)
 *
 * Between 5 and 6 an operation on the old descriptor could start, if some task goes on using what
 * another has already closed. No table can tell that from a use of the new one.
 *
 * Lifetime. An operation is on the stack of its task, which may leave as soon as the lock is
 * released: the closer copies tickets under the lock and fires them outside it. A ticket may be
 * stale by then and just loses. The closer's own ticket is copied in the same way.
 */
#define _GNU_SOURCE
#include "io/fd.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <raddle/error.h>
#include <raddle/io.h>

#include "io/op.h"
#include "io/table.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/sys.h"

enum {
    TICKETS_AT_ONCE = 16,
    WATCHES_AT_ONCE = 16,
};

static_assert(sizeof(struct rdl_fd) <= 64, "an entry is one cache line");

static struct rdl_table table = {.element_bytes = 64};

int rdl_fd_find(int fd, struct rdl_fd **out)
{
    void *entry;
    int rc;

    if (fd < 0)
        return -EBADF;
    entry = rdl_table_at(&table, (uint32_t)fd);
    if (!entry) {
        /* The size of a chunk goes by the number: first see that it is one of ours. */
        rc = rdl_sys_get_cloexec(fd);
        if (rc < 0)
            return rc;
        rc = rdl_table_reach(&table, (uint32_t)fd, &entry);
        if (rc < 0)
            return rc;
    }
    *out = entry;
    return 0;
}

bool rdl_fd_enter(struct rdl_fd *entry, struct rdl_op *op)
{
    bool open;

    rdl_lock_acquire(&entry->lock);
    /* An operation that was in before goes on with that descriptor or not at all: the number may be
     * another's by now. */
    open = !entry->closing && (!op->entered || op->generation == entry->generation);
    if (open) {
        op->entered = true;
        op->generation = entry->generation;
        op->closed = false;
        op->fd_prev = NULL;
        op->fd_next = entry->ops;
        if (entry->ops)
            entry->ops->fd_prev = op;
        entry->ops = op;
    }
    rdl_lock_release(&entry->lock);
    return open;
}

bool rdl_fd_leave(struct rdl_fd *entry, struct rdl_op *op)
{
    struct rdl_ticket closer = {0};
    bool closed;

    rdl_lock_acquire(&entry->lock);
    closed = op->closed;
    if (op->fd_prev)
        op->fd_prev->fd_next = op->fd_next;
    else
        entry->ops = op->fd_next;
    if (op->fd_next)
        op->fd_next->fd_prev = op->fd_prev;
    if (!entry->ops) {
        closer = entry->closer;
        entry->closer.wait = NULL;
    }
    rdl_lock_release(&entry->lock);
    if (closer.wait)
        (void)rdl_fiber_fire(closer, 0);
    return closed;
}

/* An enum rdl_fd_kind or -errno. */
static int ask(int fd)
{
    int domain = 0, type = 0, protocol = 0, rc;
    socklen_t length = sizeof(int);

    rc = rdl_sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
    if (rc == -ENOTSOCK) {
        rc = rdl_sys_file_type(fd);
        if (rc < 0)
            return rc;
        return rc == S_IFREG || rc == S_IFDIR || rc == S_IFBLK ? RDL_FD_FILE : RDL_FD_PIPE;
    }
    if (rc < 0)
        return rc;
    length = sizeof(int);
    if (rdl_sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM)
        return RDL_FD_SOCKET;
    length = sizeof(int);
    if ((domain == AF_INET || domain == AF_INET6) &&
        rdl_sys_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
        protocol == IPPROTO_TCP)
        return RDL_FD_TCP;
    return RDL_FD_STREAM;
}

int rdl_fd_ask(struct rdl_fd *entry, int fd)
{
    int kind = rdl_atomic_load_relaxed(&entry->kind);

    return kind == RDL_FD_UNKNOWN ? ask(fd) : kind;
}

int rdl_fd_kind(struct rdl_fd *entry, int fd)
{
    int kind = rdl_fd_ask(entry, fd);

    if (kind >= 0)
        rdl_fd_set_kind(entry, (enum rdl_fd_kind)kind);
    return kind;
}

void rdl_fd_set_kind(struct rdl_fd *entry, enum rdl_fd_kind kind)
{
    rdl_atomic_store_relaxed(&entry->kind, (uint8_t)kind);
}

int rdl_fd_unblock(struct rdl_fd *entry, int fd)
{
    int rc;

    if (rdl_atomic_load_relaxed(&entry->nonblocking))
        return 0;
    rc = rdl_sys_set_nonblock(fd, true);
    if (rc == 0)
        rdl_atomic_store_relaxed(&entry->nonblocking, true);
    return rc;
}

/* Under the lock: the number stands for something new. */
static void renew(struct rdl_fd *entry, enum rdl_fd_kind kind, bool nonblocking)
{
    entry->generation++;
    rdl_atomic_store_relaxed(&entry->more, false);
    rdl_atomic_store_relaxed(&entry->nonblocking, nonblocking);
    rdl_atomic_store_relaxed(&entry->kind, (uint8_t)kind);
    rdl_atomic_store_relaxed(&entry->own, false);
    rdl_atomic_store_relaxed(&entry->home, NULL);
}

void rdl_fd_born(int fd, enum rdl_fd_kind kind)
{
    struct rdl_fd_backing *stale = NULL;
    struct rdl_fd *entry;

    if (rdl_fd_find(fd, &entry) < 0)
        return; /* whoever uses it finds out why */
    rdl_lock_acquire(&entry->lock);
    if (rdl_atomic_load_relaxed(&entry->kind) != RDL_FD_UNKNOWN) {
        entry->watches = NULL; /* of a file that is gone */
        stale = entry->backing;
        entry->backing = NULL;
        renew(entry, kind, true);
    } else {
        rdl_atomic_store_relaxed(&entry->kind, (uint8_t)kind);
        rdl_atomic_store_relaxed(&entry->nonblocking, true);
    }
    rdl_atomic_store_relaxed(&entry->own, true);
    rdl_lock_release(&entry->lock);
    if (stale)
        stale->closed(stale, -1);
}

void rdl_fd_born_backed(struct rdl_fd *entry, struct rdl_fd_backing *backing)
{
    struct rdl_fd_backing *stale;

    rdl_lock_acquire(&entry->lock);
    stale = entry->backing;
    if (rdl_atomic_load_relaxed(&entry->kind) != RDL_FD_UNKNOWN) {
        entry->watches = NULL;
        renew(entry, RDL_FD_UNKNOWN, true);
    }
    rdl_atomic_store_relaxed(&entry->own, true);
    entry->backing = backing;
    rdl_lock_release(&entry->lock);
    if (stale)
        stale->closed(stale, -1);
}

struct each {
    void (*fn)(int fd, struct rdl_fd *entry, void *arg);
    void *arg;
};

static void each_own(uint32_t index, void *element, void *arg)
{
    const struct each *each = arg;
    struct rdl_fd *entry = element;

    if (rdl_atomic_load_relaxed(&entry->own) && !entry->backing)
        each->fn((int)index, entry, each->arg);
}

void rdl_fd_each_own(void (*fn)(int fd, struct rdl_fd *entry, void *arg), void *arg)
{
    struct each each = {fn, arg};

    rdl_table_each(&table, each_own, &each);
}

void rdl_fd_watch(struct rdl_fd *entry, struct rdl_fd_watch *watch)
{
    rdl_lock_acquire(&entry->lock);
    watch->generation = entry->generation;
    watch->next = entry->watches;
    entry->watches = watch;
    rdl_lock_release(&entry->lock);
}

bool rdl_fd_unwatch(struct rdl_fd *entry, struct rdl_fd_watch *watch)
{
    struct rdl_fd_watch **link;

    rdl_lock_acquire(&entry->lock);
    for (link = &entry->watches; *link && *link != watch; link = &(*link)->next)
        ;
    bool found = *link != NULL;
    if (found)
        *link = watch->next;
    rdl_lock_release(&entry->lock);
    return found;
}

/* Under the lock: puts mark into the list before op, NULL is the end; before is what precedes it. */
static void link_between(struct rdl_fd *entry, struct rdl_op *mark, struct rdl_op *before,
                         struct rdl_op *op)
{
    mark->fd_prev = before;
    mark->fd_next = op;
    if (before)
        before->fd_next = mark;
    else
        entry->ops = mark;
    if (op)
        op->fd_prev = mark;
}

static void unlink_mark(struct rdl_fd *entry, struct rdl_op *mark)
{
    if (mark->fd_prev)
        mark->fd_prev->fd_next = mark->fd_next;
    else
        entry->ops = mark->fd_next;
    if (mark->fd_next)
        mark->fd_next->fd_prev = mark->fd_prev;
}

/*
 * Ends the waits of all operations in flight: nobody enters any more. Operations leave while the lock is
 * released, so that none of them can say how far this has got. An operation of our own does, which
 * stands in the list before those that are left; it waits for nothing.
 */
static void fire_all(struct rdl_fd *entry)
{
    struct rdl_ticket tickets[TICKETS_AT_ONCE];
    struct rdl_op mark = {.closed = true}, *op, *before;
    unsigned count;

    rdl_lock_acquire(&entry->lock);
    link_between(entry, &mark, NULL, entry->ops);
    do {
        count = 0;
        before = mark.fd_prev;
        op = mark.fd_next;
        unlink_mark(entry, &mark);
        for (; op && count < TICKETS_AT_ONCE; before = op, op = op->fd_next) {
            op->closed = true;
            /* One that doesn't wait (rdl_op_try) leaves by itself. */
            if (op->ticket.wait)
                tickets[count++] = op->ticket;
        }
        if (count == TICKETS_AT_ONCE)
            link_between(entry, &mark, before, op);
        rdl_lock_release(&entry->lock);
        for (unsigned i = 0; i < count; i++)
            (void)rdl_fiber_fire(tickets[i], RADDLE_ECLOSED);
        if (count == TICKETS_AT_ONCE)
            rdl_lock_acquire(&entry->lock);
    } while (count == TICKETS_AT_ONCE);
}

static bool is_idle(struct rdl_fd *entry)
{
    bool idle;

    rdl_lock_acquire(&entry->lock);
    idle = entry->ops == NULL;
    rdl_lock_release(&entry->lock);
    return idle;
}

/* Waits until no operation is in flight. */
static void drain(struct rdl_fd *entry, struct rdl_fiber *self, int fd)
{
    while (!is_idle(entry)) {
        struct rdl_ticket ticket = rdl_fiber_arm(self, RDL_PARK_SHIELDED);
        bool idle;

        rdl_lock_acquire(&entry->lock);
        idle = entry->ops == NULL;
        if (!idle)
            entry->closer = ticket;
        rdl_lock_release(&entry->lock);
        if (idle)
            (void)rdl_fiber_disarm(self, RDL_PARK_SHIELDED);
        else
            (void)rdl_fiber_park(self, RDL_PARK_SHIELDED, "close", (uint64_t)(unsigned)fd);
    }
}

/* Takes the descriptor out of the epoll instances that know it. The number of an instance that was
 * destroyed meanwhile is one that doesn't know the descriptor, whatever it is now. */
static void unregister(struct rdl_fd *entry, int fd)
{
    int instances[WATCHES_AT_ONCE];
    unsigned count;

    do {
        count = 0;
        rdl_lock_acquire(&entry->lock);
        for (; entry->watches && count < WATCHES_AT_ONCE; entry->watches = entry->watches->next)
            instances[count++] = entry->watches->epoll_fd;
        rdl_lock_release(&entry->lock);
        for (unsigned i = 0; i < count; i++)
            (void)rdl_sys_epoll_ctl(instances[i], EPOLL_CTL_DEL, fd, NULL);
    } while (count == WATCHES_AT_ONCE);
}

/* Under the lock: is an operation in flight that waits, not just passes through? */
static bool is_waited_for(const struct rdl_fd *entry)
{
    const struct rdl_op *op = entry->ops;

    while (op && !op->ticket.wait)
        op = op->fd_next;
    return op != NULL;
}

int rdl_fd_close_begin(int fd, struct rdl_fd **out)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_fd *entry;
    int rc = rdl_fd_find(fd, &entry);

    if (rc < 0)
        return rc;
    rdl_lock_acquire(&entry->lock);
    rc = entry->closing ? -EBADF : !self && is_waited_for(entry) ? -EPERM : 0;
    if (rc == 0)
        entry->closing = true;
    rdl_lock_release(&entry->lock);
    if (rc < 0)
        return rc;
    if (self) {
        fire_all(entry);
        drain(entry, self, fd);
    } else {
        while (!is_idle(entry))
            sched_yield(); /* a system call that doesn't block: rdl_op_try(), or a driver's */
    }
    *out = entry;
    return 0;
}

int rdl_fd_close_end(int fd, struct rdl_fd *entry)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_fd_backing *backing = entry->backing;
    int rc;

    unregister(entry, fd);
    if (__builtin_expect(backing != NULL, 0))
        backing->closed(backing, fd);
    rdl_lock_acquire(&entry->lock);
    entry->backing = NULL;
    renew(entry, RDL_FD_UNKNOWN, false);
    entry->closing = false;
    rdl_lock_release(&entry->lock);
    rc = rdl_sys_close(fd);
    if (self)
        rdl_fiber_charge(self);
    return rc;
}

int raddle_fd_close(int fd)
{
    struct rdl_fd *entry;
    int rc = rdl_fd_close_begin(fd, &entry);

    if (rc == -ENOMEM)
        return rdl_sys_close(fd); /* then no operation has ever found its entry either */
    return rc < 0 ? rc : rdl_fd_close_end(fd, entry);
}

static void forget(uint32_t index, void *element, void *arg)
{
    struct rdl_fd *entry = element;

    (void)index;
    (void)arg;
    if (!entry->ops && !entry->watches && !entry->closing &&
        !rdl_atomic_load_relaxed(&entry->lock.held) && !rdl_atomic_load_relaxed(&entry->home))
        return;
    /* The lock may have been held by a thread that doesn't exist here. */
    rdl_atomic_store_relaxed(&entry->lock.held, 0u);
    entry->ops = NULL;
    entry->watches = NULL;
    entry->closer.wait = NULL;
    entry->closing = false;
    entry->generation++;
    entry->backing = NULL;
    rdl_atomic_store_relaxed(&entry->home, NULL);
}

void rdl_fd_after_fork(void)
{
    rdl_table_each(&table, forget, NULL);
}
