/*
 * runtime/rwlock.c - the read-write lock: one line, of which a writer or a run of readers is let in.
 *
 * A newcomer is let in only when nobody waits. Whoever makes room, by unlocking or by giving up its place at
 * the head of the line, lets in from the head whom there is room for.
 */
#include <errno.h>
#include <raddle/rwlock.h>

#include "runtime/deadlock.h"
#include "runtime/debug.h"
#include "runtime/describe.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "runtime/waiter.h"
#include "sched/loop.h"

enum wants { READ, WRITE };

struct rdl_rwlock {
    struct rdl_queue queue;
    struct rdl_held held; /* the writer's */
    /* rdl_owner_id() of the writer, 0: none. Changed under the queue's lock; whoever it names may read it
     * without. */
    rdl_atomic(uintptr_t) writer;
    size_t readers; /* under the queue's lock */
    bool abandoned; /* a writer ended, and no other has been told. Under the queue's lock */
};

static_assert(sizeof(struct rdl_rwlock) <= sizeof(struct raddle_rwlock),
              "fits what users compile in");

static struct rdl_rwlock *of(struct raddle_rwlock *lock)
{
    return (struct rdl_rwlock *)(void *)lock;
}

/* The lock held: lets one in, if there is room. -EBUSY, or what it is told. */
static int let_in(struct rdl_rwlock *l, size_t wants, uintptr_t who)
{
    bool abandoned = l->abandoned;

    if (rdl_atomic_load_relaxed(&l->writer) || (wants == WRITE && l->readers))
        return -EBUSY;
    if (wants == WRITE) {
        rdl_atomic_store_relaxed(&l->writer, who);
        l->abandoned = false;
    } else {
        l->readers++;
    }
    return abandoned ? -EOWNERDEAD : 0;
}

/* The lock held, and released. */
static void serve(struct rdl_rwlock *l)
{
    struct rdl_waiter *first;
    int rc = 0;

    while (rc != -EBUSY && (first = rdl_queue_first(&l->queue))) {
        rc = let_in(l, first->wants, first->owner);
        if (rc != -EBUSY)
            rdl_queue_grant(&l->queue, rc);
    }
    rdl_queue_release(&l->queue);
}

static void abandon(struct rdl_held *held, const char *who)
{
    struct rdl_rwlock *l =
        (struct rdl_rwlock *)(void *)((char *)held - offsetof(struct rdl_rwlock, held));

    const char *site = rdl_describe_site(rdl_atomic_load_relaxed(&held->site));

    if (who)
        rdl_report(
            "task %s ended while it held a read-write lock to write, which it had locked at %s",
            who, site);
    else
        rdl_report(
            "a thread ended while it held a read-write lock to write, which it had locked at %s",
            site);
    rdl_lock_acquire(&l->queue.lock);
    l->abandoned = true;
    rdl_atomic_store_relaxed(&l->writer, 0);
    serve(l);
}

static bool is_mine(struct rdl_rwlock *l, uintptr_t me)
{
    return rdl_atomic_load_relaxed(&l->writer) == me;
}

/* Has been let in, and was told rc. */
static int entered(struct rdl_rwlock *l, struct rdl_fiber *fiber, enum wants wants,
                   const char *site, int rc)
{
    if (wants == WRITE)
        rdl_held_link(fiber, &l->held, site, abandon);
    return rc;
}

static const char *name_of(enum wants wants)
{
    return wants == WRITE ? "a lock, to write" : "a lock, to read";
}

/* The sleep of who has joined the line, in the graph. */
static __attribute__((noinline)) int sleep_watched(struct rdl_rwlock *l, struct rdl_waiter *waiter,
                                                   const char *site)
{
    struct rdl_blocked blocked = {.by = RDL_BLOCKED_BY_LOCK,
                                  .how = waiter->how,
                                  .fiber = waiter->fiber,
                                  .site = site,
                                  .what = name_of((enum wants)waiter->wants),
                                  .owner = &l->writer,
                                  .held = &l->held};
    int rc = rdl_deadlock_sleep(&blocked, waiter);

    if (rc < 0)
        serve(l);
    rdl_deadlock_leave(&blocked);
    return rc;
}

static int sleep_in_line(struct rdl_rwlock *l, struct rdl_waiter *waiter, const char *site)
{
    if (rdl_debug_checks())
        return sleep_watched(l, waiter, site);
    if (rdl_waiter_sleep(waiter, name_of((enum wants)waiter->wants)))
        return 0;
    serve(l);
    return -ECANCELED;
}

static int lock_it(struct rdl_rwlock *l, enum wants wants, const char *site)
{
    struct rdl_waiter waiter; /* not zeroed: most calls don't wait */
    struct rdl_fiber *fiber;
    int rc;

    if (!l)
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (rc < 0)
        return rc;
    waiter.wants = wants;
    waiter.owner = rdl_owner_id(fiber);
    if (is_mine(l, waiter.owner)) {
        if (rdl_debug_checks())
            rdl_deadlock_report_own(name_of(wants), site, &l->held);
        return -EDEADLK;
    }
    rdl_lock_acquire(&l->queue.lock);
    rc = rdl_queue_first(&l->queue) ? -EBUSY : let_in(l, wants, waiter.owner);
    if (rc != -EBUSY) {
        rdl_lock_release(&l->queue.lock);
        return entered(l, fiber, wants, site, rc);
    }
    rdl_waiter_join(&waiter, &l->queue, fiber, RDL_PARK_CANCELLABLE);
    rdl_lock_release(&l->queue.lock);
    rc = sleep_in_line(l, &waiter, site);
    return rc < 0 ? rc : entered(l, fiber, wants, site, waiter.result);
}

static int try_it(struct rdl_rwlock *l, enum wants wants, const char *site)
{
    struct rdl_fiber *fiber = rdl_fiber_self();
    int rc;

    if (!l)
        return -EINVAL;
    rdl_lock_acquire(&l->queue.lock);
    rc = rdl_queue_first(&l->queue) ? -EBUSY : let_in(l, wants, rdl_owner_id(fiber));
    rdl_lock_release(&l->queue.lock);
    return rc == -EBUSY ? rc : entered(l, fiber, wants, site, rc);
}

int raddle_rwlock_read_at(struct raddle_rwlock *lock, const char *site)
{
    return lock_it(of(lock), READ, site);
}

int raddle_rwlock_write_at(struct raddle_rwlock *lock, const char *site)
{
    return lock_it(of(lock), WRITE, site);
}

int raddle_rwlock_try_read(struct raddle_rwlock *lock)
{
    return try_it(of(lock), READ, NULL);
}

int raddle_rwlock_try_write_at(struct raddle_rwlock *lock, const char *site)
{
    return try_it(of(lock), WRITE, site);
}

int raddle_rwlock_unlock(struct raddle_rwlock *lock)
{
    struct rdl_fiber *fiber = rdl_fiber_self();
    struct rdl_rwlock *l = of(lock);
    bool mine;

    if (!l)
        return -EINVAL;
    mine = is_mine(l, rdl_owner_id(fiber));
    if (mine)
        rdl_held_unlink(fiber, &l->held);
    rdl_lock_acquire(&l->queue.lock);
    if (!mine && !l->readers) {
        rdl_lock_release(&l->queue.lock);
        if (rdl_debug_checks())
            rdl_deadlock_report_stranger("raddle_rwlock_unlock", &l->held);
        return -EPERM;
    }
    if (mine)
        rdl_atomic_store_relaxed(&l->writer, 0);
    else
        l->readers--;
    serve(l);
    return 0;
}
