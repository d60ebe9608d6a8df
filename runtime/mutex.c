/*
 * runtime/mutex.c - the mutex: handed from its owner to the first in line.
 *
 * It is never free while somebody waits: unlocking makes the first in line the owner, who owns it from then on,
 * asleep or awake. So nobody overtakes, and a hand-off can't be lost to a cancellation (see runtime/waiter.c).
 *
 * An owner links what it owns into a list of its own, and unlinks it; who was handed the mutex does so when it wakes.
 * A task or a thread that ends with something in its list abandons it: it goes to the next, with the news.
 */
#define _GNU_SOURCE
#include "runtime/mutex.h"

#include <errno.h>

#include "runtime/deadlock.h"
#include "runtime/debug.h"
#include "runtime/describe.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "sched/loop.h"

static_assert(sizeof(struct rdl_mutex) <= sizeof(struct raddle_mutex),
              "fits what users compile in");

static struct rdl_mutex *of(struct raddle_mutex *mutex)
{
    return (struct rdl_mutex *)(void *)mutex;
}

/* The lock held: what the new owner is told. */
static int news(struct rdl_mutex *m)
{
    bool abandoned = m->abandoned;

    m->abandoned = false;
    return abandoned ? -EOWNERDEAD : 0;
}

/* The lock held, and released: the owner goes, the next in line comes. */
static void hand_on(struct rdl_mutex *m)
{
    struct rdl_waiter *next = rdl_queue_first(&m->queue);

    rdl_atomic_store_relaxed(&m->owner, next ? next->owner : 0);
    if (next)
        rdl_queue_grant(&m->queue, news(m));
    rdl_queue_release(&m->queue);
}

static void abandon(struct rdl_held *held, const char *who)
{
    struct rdl_mutex *m =
        (struct rdl_mutex *)(void *)((char *)held - offsetof(struct rdl_mutex, held));

    const char *site = rdl_describe_site(rdl_atomic_load_relaxed(&held->site));

    if (who)
        rdl_report("task %s ended while it held a mutex, which it had locked at %s", who, site);
    else
        rdl_report("a thread ended while it held a mutex, which it had locked at %s", site);
    rdl_lock_acquire(&m->queue.lock);
    m->abandoned = true;
    hand_on(m);
}

void rdl_mutex_received(struct rdl_mutex *m, struct rdl_fiber *fiber, const char *site)
{
    rdl_held_link(fiber, &m->held, site, abandon);
}

bool rdl_mutex_is_mine(struct rdl_mutex *m, const struct rdl_fiber *fiber)
{
    return rdl_atomic_load_relaxed(&m->owner) == rdl_owner_id(fiber);
}

/* The sleep of who has joined the line, in the graph. */
static __attribute__((noinline)) int sleep_watched(struct rdl_mutex *m, struct rdl_waiter *waiter,
                                                   const char *site)
{
    struct rdl_blocked blocked = {.by = RDL_BLOCKED_BY_LOCK,
                                  .how = waiter->how,
                                  .fiber = waiter->fiber,
                                  .site = site,
                                  .what = "a mutex",
                                  .owner = &m->owner,
                                  .held = &m->held};
    int rc = rdl_deadlock_sleep(&blocked, waiter);

    if (rc < 0)
        rdl_queue_release(&m->queue);
    rdl_deadlock_leave(&blocked);
    return rc;
}

static int sleep_in_line(struct rdl_mutex *m, struct rdl_waiter *waiter, const char *site)
{
    if (rdl_debug_checks())
        return sleep_watched(m, waiter, site);
    if (rdl_waiter_sleep(waiter, "a mutex"))
        return 0;
    rdl_queue_release(&m->queue);
    return -ECANCELED;
}

int rdl_mutex_lock(struct rdl_mutex *m, struct rdl_fiber *fiber, enum rdl_park how,
                   const char *site)
{
    uintptr_t me = rdl_owner_id(fiber);
    struct rdl_waiter waiter;
    int rc;

    if (rdl_mutex_is_mine(m, fiber)) {
        if (rdl_debug_checks())
            rdl_deadlock_report_own("a mutex", site, &m->held);
        return -EDEADLK;
    }
    rdl_lock_acquire(&m->queue.lock);
    if (!rdl_atomic_load_relaxed(&m->owner)) {
        rdl_atomic_store_relaxed(&m->owner, me);
        rc = news(m);
        rdl_lock_release(&m->queue.lock);
    } else {
        waiter.owner = me;
        rdl_waiter_join(&waiter, &m->queue, fiber, how);
        rdl_lock_release(&m->queue.lock);
        rc = sleep_in_line(m, &waiter, site);
        if (rc < 0)
            return rc;
        rc = waiter.result;
    }
    rdl_mutex_received(m, fiber, site);
    return rc;
}

void rdl_mutex_unlock(struct rdl_mutex *m, struct rdl_fiber *fiber)
{
    rdl_held_unlink(fiber, &m->held);
    rdl_lock_acquire(&m->queue.lock);
    hand_on(m);
}

void rdl_mutex_take_over(struct rdl_mutex *m, struct rdl_queue *from)
{
    rdl_queue_move(from, &m->queue);
    if (rdl_atomic_load_relaxed(&m->owner))
        return;
    rdl_atomic_store_relaxed(&m->owner, rdl_queue_first(&m->queue)->owner);
    rdl_queue_grant(&m->queue, news(m));
}

int raddle_lock_at(struct raddle_mutex *mutex, const char *site)
{
    struct rdl_fiber *fiber;
    int rc;

    if (!mutex)
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    return rc < 0 ? rc : rdl_mutex_lock(of(mutex), fiber, RDL_PARK_CANCELLABLE, site);
}

int raddle_trylock_at(struct raddle_mutex *mutex, const char *site)
{
    struct rdl_fiber *fiber = rdl_fiber_self();
    uintptr_t me = rdl_owner_id(fiber);
    struct rdl_mutex *m = of(mutex);
    int rc = -EBUSY;

    if (!mutex)
        return -EINVAL;
    rdl_lock_acquire(&m->queue.lock);
    if (!rdl_atomic_load_relaxed(&m->owner)) {
        rdl_atomic_store_relaxed(&m->owner, me);
        rc = news(m);
    }
    rdl_lock_release(&m->queue.lock);
    if (rc != -EBUSY)
        rdl_mutex_received(m, fiber, site);
    return rc;
}

int raddle_unlock(struct raddle_mutex *mutex)
{
    struct rdl_fiber *fiber = rdl_fiber_self();

    if (!mutex)
        return -EINVAL;
    if (!rdl_mutex_is_mine(of(mutex), fiber)) {
        if (rdl_debug_checks())
            rdl_deadlock_report_stranger("raddle_unlock", &of(mutex)->held);
        return -EPERM;
    }
    rdl_mutex_unlock(of(mutex), fiber);
    return 0;
}

bool raddle_locked(struct raddle_mutex *mutex)
{
    return rdl_atomic_load_relaxed(&of(mutex)->owner) != 0;
}
