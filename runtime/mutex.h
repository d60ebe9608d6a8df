/*
 * runtime/mutex.h - the mutex as a condition sees it.
 */
#ifndef RDL_RUNTIME_MUTEX_H
#define RDL_RUNTIME_MUTEX_H

#include <raddle/mutex.h>

#include "runtime/waiter.h"

/* What struct raddle_mutex holds. */
struct rdl_mutex {
    struct rdl_queue queue;
    struct rdl_held held; /* the owner's */
    /* rdl_owner_id(), 0: nobody. Changed under the queue's lock; whoever it names may read it without. */
    rdl_atomic(uintptr_t) owner;
    bool abandoned; /* its last owner ended, and nobody was told yet. Under the queue's lock */
};

/* The caller is the owner. */
bool rdl_mutex_is_mine(struct rdl_mutex *mutex, const struct rdl_fiber *fiber);

/* raddle_lock() by who may wait, and need not be cancelled. */
int rdl_mutex_lock(struct rdl_mutex *mutex, struct rdl_fiber *fiber, enum rdl_park how,
                   const char *site);

/* The owner: gives it to the first in line. */
void rdl_mutex_unlock(struct rdl_mutex *mutex, struct rdl_fiber *fiber);

/* The owner, that it was given to while it waited in line. */
void rdl_mutex_received(struct rdl_mutex *mutex, struct rdl_fiber *fiber, const char *site);

/* Its queue's lock held, and that of from: takes the first in line of from into its own, or makes it the
 * owner. */
void rdl_mutex_take_over(struct rdl_mutex *mutex, struct rdl_queue *from);

#endif
