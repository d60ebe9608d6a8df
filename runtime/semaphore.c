/*
 * runtime/semaphore.c - the semaphore: permits, reserved for the first in line when they are given back.
 *
 * While somebody waits, value is what has come together for the first in line and doesn't suffice yet. It
 * is nobody else's. Whoever changes who is first, or how much there is, serves: grants to the first as long
 * as it suffices. The one that gives up in line does so, too, since who was behind it may want less.
 */
#include <errno.h>
#include <raddle/semaphore.h>

#include "runtime/task.h"
#include "runtime/waiter.h"

struct rdl_sem {
    size_t value, max; /* as RADDLE_SEM_INIT() sets them; value under the queue's lock */
    struct rdl_queue queue;
};

static_assert(sizeof(struct rdl_sem) <= sizeof(struct raddle_sem), "fits what users compile in");
static_assert(offsetof(struct rdl_sem, value) == 0 &&
                  offsetof(struct rdl_sem, max) == sizeof(uintptr_t),
              "where RADDLE_SEM_INIT() puts them");

static struct rdl_sem *of(struct raddle_sem *sem)
{
    return (struct rdl_sem *)(void *)sem;
}

int raddle_sem_init(struct raddle_sem *sem, size_t value, size_t max)
{
    if (!sem || (max && value > max))
        return -EINVAL;
    *sem = (struct raddle_sem)RADDLE_SEM_INIT(value, max);
    return 0;
}

/* The lock held, and released. */
static void serve(struct rdl_sem *s)
{
    struct rdl_waiter *first;

    while ((first = rdl_queue_first(&s->queue)) && first->wants <= s->value) {
        s->value -= first->wants;
        rdl_queue_grant(&s->queue, 0);
    }
    rdl_queue_release(&s->queue);
}

static bool possible(const struct rdl_sem *s, size_t count)
{
    return s && count && (!s->max || count <= s->max);
}

/* The lock held. */
static bool take(struct rdl_sem *s, size_t count)
{
    if (rdl_queue_first(&s->queue) || s->value < count)
        return false;
    s->value -= count;
    return true;
}

int raddle_sem_acquire(struct raddle_sem *sem, size_t count)
{
    struct rdl_sem *s = of(sem);
    struct rdl_waiter waiter;
    struct rdl_fiber *fiber;
    int rc;

    if (!possible(s, count))
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (rc < 0)
        return rc;
    rdl_lock_acquire(&s->queue.lock);
    if (take(s, count)) {
        rdl_lock_release(&s->queue.lock);
        return 0;
    }
    waiter.wants = count;
    rdl_waiter_join(&waiter, &s->queue, fiber, RDL_PARK_CANCELLABLE);
    rdl_lock_release(&s->queue.lock);
    if (rdl_waiter_sleep(&waiter, "a semaphore"))
        return 0;
    serve(s);
    return -ECANCELED;
}

int raddle_sem_try_acquire(struct raddle_sem *sem, size_t count)
{
    struct rdl_sem *s = of(sem);
    bool taken;

    if (!possible(s, count))
        return -EINVAL;
    rdl_lock_acquire(&s->queue.lock);
    taken = take(s, count);
    rdl_lock_release(&s->queue.lock);
    return taken ? 0 : -EAGAIN;
}

int raddle_sem_release(struct raddle_sem *sem, size_t count)
{
    struct rdl_sem *s = of(sem);
    size_t most;

    if (!s || !count)
        return -EINVAL;
    most = s->max ? s->max : SIZE_MAX;
    rdl_lock_acquire(&s->queue.lock);
    if (count > most - s->value) {
        rdl_lock_release(&s->queue.lock);
        return -EOVERFLOW;
    }
    s->value += count;
    serve(s);
    return 0;
}

size_t raddle_sem_value(struct raddle_sem *sem)
{
    struct rdl_sem *s = of(sem);
    size_t value;

    rdl_lock_acquire(&s->queue.lock);
    value = rdl_queue_first(&s->queue) ? 0 : s->value;
    rdl_lock_release(&s->queue.lock);
    return value;
}
