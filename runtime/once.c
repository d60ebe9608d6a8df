/*
 * runtime/once.c - done once: the first to come does it, and the first in line after one that failed.
 *
 * Who is granted MINE is at it from then on, and all who wait are granted OTHERS when it is done. So there is
 * always one that is at it while somebody waits.
 */
#include <errno.h>
#include <raddle/once.h>

#include "runtime/task.h"
#include "runtime/waiter.h"

enum { MINE, OTHERS }; /* with what a waiter is granted */

struct rdl_once {
    struct rdl_queue queue;
    /* rdl_owner_id() of who is at it; 0: nobody. Changed under the queue's lock; whoever it names may read it
     * without. */
    rdl_atomic(uintptr_t) runner;
    rdl_atomic(bool) done; /* set once, under the queue's lock, after result */
    int result;
};

static_assert(sizeof(struct rdl_once) <= sizeof(struct raddle_once), "fits what users compile in");

static struct rdl_once *of(struct raddle_once *once)
{
    return (struct rdl_once *)(void *)once;
}

/* The lock held, and released: it is done, and all may go on. */
static void finish(struct rdl_once *o, int result)
{
    o->result = result;
    /* release pairs with the acquire in raddle_once_done(). */
    rdl_atomic_store_release(&o->done, true);
    rdl_atomic_store_relaxed(&o->runner, 0);
    while (rdl_queue_first(&o->queue))
        rdl_queue_grant(&o->queue, OTHERS);
    rdl_queue_release(&o->queue);
}

/* The lock held, and released: it wasn't done, and the next in line is at it. */
static void hand_on(struct rdl_once *o)
{
    struct rdl_waiter *next = rdl_queue_first(&o->queue);

    rdl_atomic_store_relaxed(&o->runner, next ? next->owner : 0);
    if (next)
        rdl_queue_grant(&o->queue, MINE);
    rdl_queue_release(&o->queue);
}

static int run(struct rdl_once *o, raddle_once_fn *fn, void *arg)
{
    int rc = fn(arg);

    rdl_lock_acquire(&o->queue.lock);
    if (rc >= 0)
        finish(o, rc);
    else
        hand_on(o);
    return rc;
}

int raddle_once_run(struct raddle_once *once, raddle_once_fn *fn, void *arg)
{
    struct rdl_once *o = of(once);
    struct rdl_waiter waiter;
    struct rdl_fiber *fiber;
    int rc;

    if (!once || !fn)
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (rc < 0)
        return rc;
    waiter.owner = rdl_owner_id(fiber);
    if (rdl_atomic_load_relaxed(&o->runner) == waiter.owner)
        return -EDEADLK;
    rdl_lock_acquire(&o->queue.lock);
    if (rdl_atomic_load_relaxed(&o->done)) {
        rc = o->result;
        rdl_lock_release(&o->queue.lock);
        return rc;
    }
    if (!rdl_atomic_load_relaxed(&o->runner)) {
        rdl_atomic_store_relaxed(&o->runner, waiter.owner);
        rdl_lock_release(&o->queue.lock);
        return run(o, fn, arg);
    }
    rdl_waiter_join(&waiter, &o->queue, fiber, RDL_PARK_CANCELLABLE);
    rdl_lock_release(&o->queue.lock);
    if (!rdl_waiter_sleep(&waiter, "something done once")) {
        rdl_queue_release(&o->queue);
        return -ECANCELED;
    }
    return waiter.result == MINE ? run(o, fn, arg) : o->result;
}

bool raddle_once_done(struct raddle_once *once)
{
    return rdl_atomic_load_acquire(&of(once)->done);
}
