/*
 * sched/inject.c - the shared queue, a list under a lock.
 *
 * Everything is under the lock except one thing: a loop that looks for work reads the count first,
 * and takes the lock only if it isn't zero. That read is relaxed; whoever goes on acquires the
 * lock, which brings the runnables with it. A loop that must not overlook anything (the last look
 * before parking) fences between publishing that it is about to sleep and reading the count, and a
 * pusher fences between the push and looking for sleepers: one of them sees the other.
 *
 * Lifetime. rdl_lock_release() is the last touch of a push, but a pusher is no owner: the queue
 * lives as long as its team, whatever threads are pushing.
 */
#include "sched/inject.h"

#include <assert.h>
#include <stddef.h>

void rdl_inject_init(struct rdl_inject *inject)
{
    rdl_atomic_init(&inject->lock.held, 0u);
    rdl_atomic_init(&inject->count, 0u);
    inject->first = NULL;
    inject->last = NULL;
}

void rdl_inject_push(struct rdl_inject *inject, struct rdl_runnable *r)
{
    rdl_inject_push_list(inject, r, r, 1);
}

/* Under the lock, which is why this needn't be a read-modify-write. */
static void set_count(struct rdl_inject *inject, unsigned count)
{
    rdl_atomic_store_relaxed(&inject->count, count);
}

void rdl_inject_push_list(struct rdl_inject *inject, struct rdl_runnable *first,
                          struct rdl_runnable *last, unsigned count)
{
    assert(count > 0);
    last->next = NULL;

    rdl_lock_acquire(&inject->lock);
    if (inject->first)
        inject->last->next = first;
    else
        inject->first = first;
    inject->last = last;
    set_count(inject, rdl_inject_count(inject) + count);
    rdl_lock_release(&inject->lock);
}

struct rdl_runnable *rdl_inject_take(struct rdl_inject *inject, unsigned max, unsigned *count)
{
    struct rdl_runnable *first, *last;
    unsigned taken = 0;

    *count = 0;
    if (max == 0 || rdl_inject_count(inject) == 0)
        return NULL;

    rdl_lock_acquire(&inject->lock);
    first = inject->first;
    if (first) {
        for (last = first, taken = 1; taken < max && last->next; taken++)
            last = last->next;
        inject->first = last->next;
        last->next = NULL;
        set_count(inject, rdl_inject_count(inject) - taken);
    }
    rdl_lock_release(&inject->lock);
    *count = taken;
    return first;
}
