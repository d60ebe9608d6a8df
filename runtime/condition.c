/*
 * runtime/condition.c - the condition: a notified waiter moves from its line to that of the mutex.
 *
 * It sleeps on there, and is woken when it owns the mutex. From the moment it is moved the wait can only
 * end that way; before, a cancellation may end it, and then it has not been notified. So as many waits
 * return 0 as there were notifications.
 *
 * Locks: the condition's, then the mutex's. Who notifies releases the mutex's last, and only then may any
 * of those it moved go, and the condition with them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <raddle/condition.h>

#include "runtime/mutex.h"
#include "runtime/task.h"

struct rdl_cond {
    struct rdl_queue queue;
    struct rdl_mutex *mutex; /* of those that wait. Under the queue's lock */
};

static_assert(sizeof(struct rdl_cond) <= sizeof(struct raddle_cond), "fits what users compile in");

static struct rdl_cond *of(struct raddle_cond *cond)
{
    return (struct rdl_cond *)(void *)cond;
}

/* The mutex is the caller's, and is again in the end. */
static int wait(struct rdl_cond *c, struct rdl_mutex *m, struct rdl_fiber *fiber)
{
    struct rdl_waiter waiter = {.owner = rdl_owner_id(fiber)};
    const char *site = rdl_atomic_load_relaxed(&m->held.site);
    int rc;

    rdl_lock_acquire(&c->queue.lock);
    if (rdl_queue_first(&c->queue) && c->mutex != m) {
        rdl_lock_release(&c->queue.lock);
        return -EINVAL;
    }
    c->mutex = m;
    rdl_waiter_join(&waiter, &c->queue, fiber, RDL_PARK_CANCELLABLE);
    rdl_lock_release(&c->queue.lock);
    rdl_mutex_unlock(m, fiber);
    if (rdl_waiter_sleep(&waiter, "a condition")) {
        rdl_mutex_received(m, fiber, site);
        return waiter.result;
    }
    rdl_queue_release(&c->queue);
    rc = rdl_mutex_lock(m, fiber, RDL_PARK_SHIELDED, site);
    return rc < 0 ? rc : -ECANCELED;
}

int raddle_cond_wait(struct raddle_cond *cond, struct raddle_mutex *mutex)
{
    struct rdl_mutex *m = (struct rdl_mutex *)(void *)mutex;
    struct rdl_fiber *fiber;
    int rc;

    if (!cond || !mutex)
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (!rdl_mutex_is_mine(m, fiber))
        return -EPERM;
    return rc < 0 ? rc : wait(of(cond), m, fiber);
}

int raddle_cond_wait_for(struct raddle_cond *cond, struct raddle_mutex *mutex,
                         raddle_predicate_fn *predicate, void *arg)
{
    struct rdl_mutex *m = (struct rdl_mutex *)(void *)mutex;
    struct rdl_fiber *fiber;
    int rc;

    if (!cond || !mutex || !predicate)
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (!rdl_mutex_is_mine(m, fiber))
        return -EPERM;
    while (rc == 0 && !predicate(arg))
        rc = raddle_cond_wait(cond, mutex);
    return rc;
}

size_t raddle_cond_notify(struct raddle_cond *cond, size_t count)
{
    struct rdl_cond *c = of(cond);
    struct rdl_mutex *m;
    size_t notified = 0;

    rdl_lock_acquire(&c->queue.lock);
    if (!count || !rdl_queue_first(&c->queue)) {
        rdl_lock_release(&c->queue.lock);
        return 0;
    }
    m = c->mutex; /* there while anybody waits with it */
    rdl_lock_acquire(&m->queue.lock);
    for (; notified < count && rdl_queue_first(&c->queue); notified++)
        rdl_mutex_take_over(m, &c->queue);
    rdl_lock_release(&c->queue.lock);
    rdl_queue_release(&m->queue);
    return notified;
}

size_t raddle_cond_notify_all(struct raddle_cond *cond)
{
    return raddle_cond_notify(cond, SIZE_MAX);
}
