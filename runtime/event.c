/*
 * runtime/event.c - the event: set, it grants to all that wait at that moment, and to who comes later.
 *
 * A waiter takes the lock even when it sees that the event is set: whoever set it has then released it for
 * the last time, and the waiter may free the event.
 */
#include <errno.h>
#include <raddle/event.h>

#include "runtime/task.h"
#include "runtime/waiter.h"

struct rdl_event {
    struct rdl_queue queue;
    rdl_atomic(bool) set; /* changed under the queue's lock */
};

static_assert(sizeof(struct rdl_event) <= sizeof(struct raddle_event),
              "fits what users compile in");

static struct rdl_event *of(struct raddle_event *event)
{
    return (struct rdl_event *)(void *)event;
}

int raddle_event_wait(struct raddle_event *event)
{
    struct rdl_event *e = of(event);
    struct rdl_waiter waiter;
    struct rdl_fiber *fiber;
    int rc;

    if (!event)
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (rc < 0)
        return rc;
    rdl_lock_acquire(&e->queue.lock);
    if (rdl_atomic_load_relaxed(&e->set)) {
        rdl_lock_release(&e->queue.lock);
        return 0;
    }
    rdl_waiter_join(&waiter, &e->queue, fiber, RDL_PARK_CANCELLABLE);
    rdl_lock_release(&e->queue.lock);
    if (rdl_waiter_sleep(&waiter, "an event"))
        return 0;
    rdl_queue_release(&e->queue);
    return -ECANCELED;
}

void raddle_event_set(struct raddle_event *event)
{
    struct rdl_event *e = of(event);

    rdl_lock_acquire(&e->queue.lock);
    /* release pairs with the acquire in raddle_event_is_set(). */
    rdl_atomic_store_release(&e->set, true);
    while (rdl_queue_first(&e->queue))
        rdl_queue_grant(&e->queue, 0);
    rdl_queue_release(&e->queue);
}

void raddle_event_clear(struct raddle_event *event)
{
    struct rdl_event *e = of(event);

    rdl_lock_acquire(&e->queue.lock);
    rdl_atomic_store_relaxed(&e->set, false);
    rdl_queue_release(&e->queue);
}

bool raddle_event_is_set(struct raddle_event *event)
{
    return rdl_atomic_load_acquire(&of(event)->set);
}
