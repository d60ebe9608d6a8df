/*
 * sched/inject.h - a queue that all loops of a team share, first in, first out.
 *
 * Here goes what a loop's own ring has no room for, and what comes from threads that are no loop.
 * It has no limit. Lists of any length go in and come out at once, since it is a lock that all share.
 */
#ifndef RDL_SCHED_INJECT_H
#define RDL_SCHED_INJECT_H

#include "sched/atomic.h"
#include "sched/lock.h"
#include "sched/runnable.h"

struct rdl_inject {
    struct rdl_lock lock;
    /* Of the list. Written under the lock, read by anyone. */
    rdl_atomic(unsigned) count;
    /* Oldest first, under the lock; last is meaningless while first is NULL. */
    struct rdl_runnable *first;
    struct rdl_runnable *last;
};

/* Before anyone else can see it. There is nothing to undo. */
void rdl_inject_init(struct rdl_inject *inject);

/* Any thread. */
void rdl_inject_push(struct rdl_inject *inject, struct rdl_runnable *r);

/* Any thread: appends count runnables, at least one, linked by next from first to last. */
void rdl_inject_push_list(struct rdl_inject *inject, struct rdl_runnable *first,
                          struct rdl_runnable *last, unsigned count);

/* Any thread: takes up to max out, as a list linked by next, oldest first and ended by NULL, and
 * says in *count how many. NULL and 0 when there is none. */
struct rdl_runnable *rdl_inject_take(struct rdl_inject *inject, unsigned max, unsigned *count);

/* Any thread, without the lock: how many there were a moment ago. After a seq_cst fence it doesn't
 * overlook what was pushed before a seq_cst fence that came earlier. */
static inline unsigned rdl_inject_count(const struct rdl_inject *inject)
{
    return rdl_atomic_load_relaxed(&inject->count);
}

#endif
