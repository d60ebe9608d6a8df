/*
 * io/epoll.c - the driver that waits with epoll.
 *
 * A descriptor is registered once, edge-triggered, for everything, with the instance of the loop on
 * which a task first had to wait for it. What an edge said is kept in ready; an operation is tried
 * when ready says that it may succeed, and waits when the kernel said that it would not. Everything
 * here runs on the loop's thread: an edge can't arrive between the attempt and the clearing of
 * ready, because it stays in the kernel until the next poll. Each instance sees every edge, so that
 * loops which share a descriptor need not know of each other.
 *
 * Invariant: when an operation is queued, ready doesn't have its bits, and an edge will come when
 * it can go on. Hence what may clear a bit: -EAGAIN, and a short read of TCP, after which nothing
 * was left. Not a short read of anything else (a datagram, a message, the boundary between two
 * credentials), not one that was told to leave the data, not one before an urgent byte, not one
 * after the peer's end was seen, for which no second edge comes.
 *
 * The event itself performs the operation: the task wakes with its result.
 *
 * Moving. A task that has moved waits at its new loop's instance, and becomes the descriptor's home
 * there. The old registration goes when its next event finds nobody waiting here.
 *
 * Files, which epoll refuses, are read and written in place, and block.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "io/driver.h"
#include "io/fd.h"
#include "io/op.h"
#include "io/table.h"
#include "io/wake.h"
#include "sched/fiber.h"
#include "sched/sys.h"

enum {
    EVENTS_AT_ONCE = 128,
};

#define EVERYTHING (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET)
#define ENDED      (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define READY_ALL  (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLERR)

/* data of the wake's registration: no descriptor is negative. */
#define WAKE UINT64_MAX

/* What this instance knows of one descriptor. */
struct slot {
    struct rdl_fd_watch watch; /* linked while registered; holds the generation */
    struct rdl_op_list waiting;
    uint8_t ready;   /* EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLERR */
    bool sticky;     /* the end or an urgent byte was seen: a short read proves nothing */
    bool registered; /* of the generation in watch */
};

struct epoll {
    struct rdl_io_driver head;
    struct rdl_table slots;
    struct rdl_wake wake;
    int fd;
};

static_assert(EPOLLIN == 0x001 && EPOLLPRI == 0x002 && EPOLLOUT == 0x004 && EPOLLERR == 0x008,
              "ready holds these bits, which poll(2) numbers alike");

static struct epoll *epoll_of(struct rdl_driver *driver)
{
    return (struct epoll *)(void *)driver;
}

static uint64_t data_of(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

static bool is_registered(const struct slot *slot, const struct rdl_op *op)
{
    return slot->registered && slot->watch.generation == op->entry->generation;
}

/* Has ready anything to say about it? poll(2) and connect(2) see for themselves. */
static bool goes_by_ready(const struct rdl_op *op)
{
    return op->code != RDL_OP_POLL && op->code != RDL_OP_CONNECT;
}

/* One attempt. False: it has to wait. */
static bool attempt(struct slot *slot, struct rdl_op *op)
{
    bool drained;

    op->result = rdl_op_perform(op);
    if (op->result == RDL_OP_WAIT) {
        if (goes_by_ready(op))
            slot->ready = (uint8_t)(slot->ready & ~op->events);
        return false;
    }
    drained = (op->code == RDL_OP_RECV || op->code == RDL_OP_RECVMSG) && op->events == EPOLLIN &&
              op->result > 0 && !slot->sticky && !(op->flags & MSG_PEEK) &&
              rdl_atomic_load_relaxed(&op->entry->kind) == RDL_FD_TCP &&
              (size_t)op->result < rdl_op_wanted(op) && !rdl_sys_is_hooked();
    if (drained)
        slot->ready = (uint8_t)(slot->ready & ~EPOLLIN);
    return true;
}

/* Does one that came earlier wait for the same? It goes first. */
static bool is_behind(const struct slot *slot, const struct rdl_op *op)
{
    for (const struct rdl_op *other = slot->waiting.first; other; other = other->next)
        if (other->events & op->events && goes_by_ready(other) && goes_by_ready(op))
            return true;
    return false;
}

/* 0, or -errno; -EPERM: it is a file. */
static int add(struct epoll *e, struct slot *slot, struct rdl_op *op)
{
    struct epoll_event event = {.events = EVERYTHING};
    int rc;

    slot->watch.epoll_fd = e->fd;
    rdl_fd_watch(op->entry, &slot->watch);
    event.data.u64 = data_of(op->fd, slot->watch.generation);
    rdl_driver_count(&e->head.counters.syscalls, 1);
    rc = rdl_sys_epoll_ctl(e->fd, EPOLL_CTL_ADD, op->fd, &event);
    if (rc == -EEXIST) /* known under an earlier generation; this looks for what is ready, too */
        rc = rdl_sys_epoll_ctl(e->fd, EPOLL_CTL_MOD, op->fd, &event);
    if (rc < 0)
        (void)rdl_fd_unwatch(op->entry, &slot->watch);
    slot->registered = rc == 0;
    slot->sticky = false;
    return rc;
}

static bool end_now(struct epoll *e, struct rdl_op *op, ssize_t result)
{
    op->result = result;
    rdl_driver_count(&e->head.counters.at_once, 1);
    return true;
}

/* A file, or a device without readiness: what it says is final. */
static bool perform_file(struct epoll *e, struct rdl_op *op)
{
    ssize_t n = rdl_op_perform(op);

    return end_now(e, op, n == RDL_OP_WAIT ? -EAGAIN : n);
}

static bool epoll_submit(struct rdl_driver *driver, struct rdl_op *op)
{
    struct epoll *e = epoll_of(driver);
    enum rdl_fd_kind kind = rdl_atomic_load_relaxed(&op->entry->kind);
    struct slot *slot;
    void *found;
    int rc;

    rdl_driver_count(&e->head.counters.submits, 1);
    if (kind == RDL_FD_FILE)
        return perform_file(e, op);
    rc = rdl_table_reach(&e->slots, (uint32_t)op->fd, &found);
    if (rc == 0 && kind == RDL_FD_PIPE && op->code != RDL_OP_POLL)
        rc = rdl_fd_unblock(op->entry, op->fd);
    if (rc < 0)
        return end_now(e, op, rc);
    slot = found;
    if (!is_registered(slot, op)) {
        slot->registered = false;
        slot->ready = READY_ALL; /* nothing is known */
    }
    if (!goes_by_ready(op) || (slot->ready & op->events && !is_behind(slot, op))) {
        if (attempt(slot, op))
            return end_now(e, op, op->result);
    }
    if (!slot->registered) {
        rc = add(e, slot, op);
        if (rc == -EPERM) {
            rdl_fd_set_kind(op->entry, RDL_FD_FILE);
            return perform_file(e, op);
        }
        if (rc < 0)
            return end_now(e, op, rc);
    }
    rdl_atomic_store_relaxed(&op->entry->home, driver);
    op->place = RDL_OP_QUEUED;
    rdl_op_append(&slot->waiting, op);
    return false;
}

static bool epoll_cancel(struct rdl_driver *driver, struct rdl_op *op)
{
    struct slot *slot = rdl_table_at(&epoll_of(driver)->slots, (uint32_t)op->fd);

    rdl_op_remove(&slot->waiting, op);
    op->place = RDL_OP_NOWHERE;
    op->result = -ECANCELED;
    return true;
}

/* Does what ready now allows. Returns how many operations have ended. */
static int serve(struct epoll *e, struct slot *slot)
{
    struct rdl_op *op, *next;
    int count = 0;

    for (op = slot->waiting.first; op; op = next) {
        next = op->next;
        if (goes_by_ready(op) && !(slot->ready & op->events))
            continue;
        if (!attempt(slot, op))
            continue;
        rdl_op_remove(&slot->waiting, op);
        op->place = RDL_OP_NOWHERE;
        rdl_fiber_complete(op->fiber, op);
        count++;
    }
    rdl_driver_count(&e->head.counters.completions, (uint64_t)count);
    return count;
}

/* An event for a descriptor for which nobody waits here: if others do elsewhere, this was the
 * last. */
static void let_go(struct epoll *e, struct slot *slot, int fd)
{
    struct rdl_op hold = {.fd = fd}; /* keeps the descriptor from being closed under the call */
    struct rdl_fd *entry;
    struct rdl_driver *home;

    if (rdl_fd_find(fd, &entry) < 0)
        return;
    home = rdl_atomic_load_relaxed(&entry->home);
    if (!home || home == &e->head.driver)
        return;
    if (!rdl_fd_enter(entry, &hold))
        return; /* the close does it */
    slot->registered = false;
    if (rdl_fd_unwatch(entry, &slot->watch)) {
        rdl_driver_count(&e->head.counters.syscalls, 1);
        (void)rdl_sys_epoll_ctl(e->fd, EPOLL_CTL_DEL, fd, NULL);
    }
    (void)rdl_fd_leave(entry, &hold);
}

static int handle(struct epoll *e, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    struct slot *slot = rdl_table_at(&e->slots, (uint32_t)fd);

    if (!slot || !slot->registered || slot->watch.generation != generation) {
        rdl_driver_count(&e->head.counters.stale, 1);
        return 0;
    }
    slot->ready |= event->events & READY_ALL;
    if (event->events & ENDED)
        slot->ready |= EPOLLIN;
    if (event->events & (EPOLLHUP | EPOLLERR))
        slot->ready |= EPOLLOUT;
    if (event->events & (ENDED | EPOLLPRI))
        slot->sticky = true;
    if (slot->waiting.first)
        return serve(e, slot);
    let_go(e, slot, fd);
    return 0;
}

static int epoll_poll(struct rdl_driver *driver, int64_t timeout_ns)
{
    struct epoll *e = epoll_of(driver);
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = 0, n;

    rdl_driver_count(&e->head.counters.syscalls, 1);
    n = rdl_sys_epoll_wait(e->fd, events, EVENTS_AT_ONCE, timeout_ns);
    if (n < 0)
        return n == -EINTR ? 0 : n;
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 == WAKE)
            rdl_wake_take(&e->wake);
        else
            count += handle(e, &events[i]);
    }
    return count;
}

static void epoll_wake(struct rdl_driver *driver)
{
    struct epoll *e = epoll_of(driver);

    if (rdl_wake_post(&e->wake))
        (void)rdl_atomic_fetch_add_relaxed(&e->head.counters.wakes, 1);
}

static int epoll_start(struct rdl_driver *driver)
{
    (void)driver; /* any thread may run an epoll instance */
    return 0;
}

static void unlink_slot(uint32_t index, void *element, void *arg)
{
    struct slot *slot = element;
    struct rdl_fd *entry;

    (void)arg;
    if (slot->registered && rdl_fd_find((int)index, &entry) == 0)
        (void)rdl_fd_unwatch(entry, &slot->watch);
}

static void free_memory(struct epoll *e)
{
    rdl_table_fini(&e->slots);
    rdl_wake_fini(&e->wake);
    (void)rdl_sys_close(e->fd);
    rdl_sys_free(e);
}

static void epoll_destroy(struct rdl_driver *driver)
{
    struct epoll *e = epoll_of(driver);

    /* No close must find a watch that is gone. */
    rdl_table_each(&e->slots, unlink_slot, NULL);
    free_memory(e);
}

static void epoll_abandon(struct rdl_driver *driver)
{
    /* Nothing is taken out of the instance, which is the parent's as well; the entries are
     * forgotten by rdl_fd_after_fork(). */
    free_memory(epoll_of(driver));
}

static const struct rdl_driver_ops ops = {
    .name = "epoll",
    .start = epoll_start,
    .submit = epoll_submit,
    .cancel = epoll_cancel,
    .poll = epoll_poll,
    .wake = epoll_wake,
    .destroy = epoll_destroy,
    .abandon = epoll_abandon,
};

int rdl_epoll_create(struct rdl_driver **out)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE};
    struct epoll *e = rdl_sys_calloc(1, sizeof(*e));
    int rc;

    if (!e)
        return -ENOMEM;
    e->head.driver.ops = &ops;
    e->slots.element_bytes = sizeof(struct slot);
    rc = rdl_sys_epoll_create();
    if (rc < 0)
        goto free_driver;
    e->fd = rc;
    rc = rdl_wake_init(&e->wake);
    if (rc < 0)
        goto close_instance;
    rc = rdl_sys_epoll_ctl(e->fd, EPOLL_CTL_ADD, e->wake.fd, &event);
    if (rc < 0)
        goto fini_wake;
    *out = &e->head.driver;
    return 0;
fini_wake:
    rdl_wake_fini(&e->wake);
close_instance:
    (void)rdl_sys_close(e->fd);
free_driver:
    rdl_sys_free(e);
    return rc;
}
