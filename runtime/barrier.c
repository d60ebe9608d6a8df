/*
 * runtime/barrier.c - the barrier: the last to come grants to all that wait, each its number.
 *
 * The line is the round. Who leaves it, cancelled, was not there; numbers are given when the round is
 * complete. Those that have one are out of line, so a reset doesn't reach them, and who comes now is in the
 * next round, however many of the last one are still to be woken.
 */
#include <errno.h>
#include <limits.h>
#include <raddle/barrier.h>
#include <raddle/error.h>

#include "runtime/task.h"
#include "runtime/waiter.h"

struct rdl_barrier {
    uintptr_t parties; /* as RADDLE_BARRIER_INIT() sets it */
    struct rdl_queue queue;
    unsigned waiting; /* in line. Under the queue's lock */
    bool broken;      /* under the queue's lock */
};

static_assert(sizeof(struct rdl_barrier) <= sizeof(struct raddle_barrier),
              "fits what users compile in");
static_assert(offsetof(struct rdl_barrier, parties) == 0, "where RADDLE_BARRIER_INIT() puts it");

static struct rdl_barrier *of(struct raddle_barrier *barrier)
{
    return (struct rdl_barrier *)(void *)barrier;
}

static bool possible(uintptr_t parties)
{
    return parties > 0 && parties <= INT_MAX;
}

int raddle_barrier_init(struct raddle_barrier *barrier, unsigned parties)
{
    if (!barrier || !possible(parties))
        return -EINVAL;
    *barrier = (struct raddle_barrier)RADDLE_BARRIER_INIT(parties);
    return 0;
}

/* The lock held: sends all in line away, with RADDLE_EBROKEN or their numbers. */
static void send_away(struct rdl_barrier *b, bool complete)
{
    int number = 0;

    while (rdl_queue_first(&b->queue))
        rdl_queue_grant(&b->queue, complete ? number++ : RADDLE_EBROKEN);
    b->waiting = 0;
}

int raddle_barrier_wait(struct raddle_barrier *barrier)
{
    struct rdl_barrier *b = of(barrier);
    struct rdl_waiter waiter;
    struct rdl_fiber *fiber;
    int rc;

    if (!b || !possible(b->parties))
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (rc < 0)
        return rc;
    rdl_lock_acquire(&b->queue.lock);
    if (b->broken) {
        rdl_lock_release(&b->queue.lock);
        return RADDLE_EBROKEN;
    }
    if (b->waiting + 1 == b->parties) {
        rc = (int)b->waiting; /* now, as those that are woken may free it */
        send_away(b, true);
        rdl_queue_release(&b->queue);
        return rc;
    }
    b->waiting++;
    rdl_waiter_join(&waiter, &b->queue, fiber, RDL_PARK_CANCELLABLE);
    rdl_lock_release(&b->queue.lock);
    if (rdl_waiter_sleep(&waiter, "a barrier"))
        return waiter.result;
    b->waiting--;
    rdl_queue_release(&b->queue);
    return -ECANCELED;
}

void raddle_barrier_reset(struct raddle_barrier *barrier)
{
    struct rdl_barrier *b = of(barrier);

    rdl_lock_acquire(&b->queue.lock);
    b->broken = false;
    send_away(b, false);
    rdl_queue_release(&b->queue);
}

void raddle_barrier_abort(struct raddle_barrier *barrier)
{
    struct rdl_barrier *b = of(barrier);

    rdl_lock_acquire(&b->queue.lock);
    b->broken = true;
    send_away(b, false);
    rdl_queue_release(&b->queue);
}

unsigned raddle_barrier_waiting(struct raddle_barrier *barrier)
{
    struct rdl_barrier *b = of(barrier);
    unsigned waiting;

    rdl_lock_acquire(&b->queue.lock);
    waiting = b->waiting;
    rdl_lock_release(&b->queue.lock);
    return waiting;
}

bool raddle_barrier_broken(struct raddle_barrier *barrier)
{
    struct rdl_barrier *b = of(barrier);
    bool broken;

    rdl_lock_acquire(&b->queue.lock);
    broken = b->broken;
    rdl_lock_release(&b->queue.lock);
    return broken;
}
