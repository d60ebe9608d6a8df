/*
 * runtime/latch.c - the latch: whoever takes the last of what is outstanding grants to all that wait.
 */
#include <errno.h>
#include <raddle/latch.h>

#include "runtime/task.h"
#include "runtime/waiter.h"

struct rdl_latch {
    size_t count; /* as RADDLE_LATCH_INIT() sets it; under the queue's lock */
    struct rdl_queue queue;
};

static_assert(sizeof(struct rdl_latch) <= sizeof(struct raddle_latch),
              "fits what users compile in");
static_assert(offsetof(struct rdl_latch, count) == 0, "where RADDLE_LATCH_INIT() puts it");

static struct rdl_latch *of(struct raddle_latch *latch)
{
    return (struct rdl_latch *)(void *)latch;
}

void raddle_latch_init(struct raddle_latch *latch, size_t count)
{
    *latch = (struct raddle_latch)RADDLE_LATCH_INIT(count);
}

int raddle_latch_add(struct raddle_latch *latch, size_t count)
{
    struct rdl_latch *l = of(latch);
    int rc = 0;

    if (!latch)
        return -EINVAL;
    rdl_lock_acquire(&l->queue.lock);
    if (count > SIZE_MAX - l->count)
        rc = -EOVERFLOW;
    else
        l->count += count;
    rdl_lock_release(&l->queue.lock);
    return rc;
}

int raddle_latch_done(struct raddle_latch *latch, size_t count)
{
    struct rdl_latch *l = of(latch);

    if (!latch)
        return -EINVAL;
    rdl_lock_acquire(&l->queue.lock);
    if (count > l->count) {
        rdl_lock_release(&l->queue.lock);
        return -EINVAL;
    }
    l->count -= count;
    while (!l->count && rdl_queue_first(&l->queue))
        rdl_queue_grant(&l->queue, 0);
    rdl_queue_release(&l->queue);
    return 0;
}

int raddle_latch_wait(struct raddle_latch *latch)
{
    struct rdl_latch *l = of(latch);
    struct rdl_waiter waiter;
    struct rdl_fiber *fiber;
    int rc;

    if (!latch)
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (rc < 0)
        return rc;
    rdl_lock_acquire(&l->queue.lock);
    if (!l->count) {
        rdl_lock_release(&l->queue.lock);
        return 0;
    }
    rdl_waiter_join(&waiter, &l->queue, fiber, RDL_PARK_CANCELLABLE);
    rdl_lock_release(&l->queue.lock);
    if (rdl_waiter_sleep(&waiter, "a latch"))
        return 0;
    rdl_queue_release(&l->queue);
    return -ECANCELED;
}

size_t raddle_latch_count(struct raddle_latch *latch)
{
    struct rdl_latch *l = of(latch);
    size_t count;

    rdl_lock_acquire(&l->queue.lock);
    count = l->count;
    rdl_lock_release(&l->queue.lock);
    return count;
}
