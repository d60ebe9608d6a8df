/*
 * runtime/waiter.h - tasks and plain threads that wait in one line, until they are called.
 *
 * What is waited for (a mutex, a semaphore) begins with a queue, whose lock guards all of it. Who must wait joins the
 * queue under the lock, and sleeps. Who has something to give grants it to the first in line, under the lock, and
 * releases the lock by rdl_queue_release(), which wakes whom it was granted to.
 *
 * What was granted is had: a cancellation that comes later doesn't end the wait. So whoever gives up is still in
 * line, has got nothing, and leaves under the lock.
 */
#ifndef RDL_RUNTIME_WAITER_H
#define RDL_RUNTIME_WAITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/fiber.h"
#include "sched/line.h"
#include "sched/lock.h"

/* Zeroed is empty. */
struct rdl_queue {
    struct rdl_lock lock;
    bool calling; /* somebody takes places out of granted until none is left. Under lock */
    struct rdl_line waiting;
    struct rdl_line granted; /* they have what they came for, and are to be called. Under lock */
};

struct rdl_waiter {
    struct rdl_place place;   /* first */
    struct rdl_fiber *fiber;  /* NULL: a plain thread */
    struct rdl_queue *joined; /* the waiter's own */
    struct rdl_queue *queue;  /* where it is: joined, or where it was moved. Under joined's lock */
    enum rdl_park how;        /* the waiter's own */
    uint8_t state;            /* under queue's lock */
    rdl_atomic(uint32_t) awake; /* a thread's: set by who calls it, and not touched after that */
    uintptr_t owner;            /* who it is, as what is owned knows it */
    size_t wants;               /* for what is waited for: how much, or what */
    /* Set by another, who then pokes: the wait is to end as if it were cancelled. NULL: nobody can */
    const rdl_atomic(bool) * refused;
    int result; /* what it was granted with */
};

/*
 * Whether the caller may wait, here and now: 0 with *fiber written (NULL: a plain thread, which can't be cancelled),
 * -ECANCELED in a task that is, -EPERM on a loop's thread outside a task, which must not sleep.
 */
int rdl_waiter_check(struct rdl_fiber **fiber);

/* The lock held: joins queue's line as the last. how: RDL_PARK_SHIELDED to wait whatever happens. */
void rdl_waiter_join(struct rdl_waiter *waiter, struct rdl_queue *queue, struct rdl_fiber *fiber,
                     enum rdl_park how);

/*
 * The lock not held: sleeps until the waiter is called, and returns true. Or false, because the task is cancelled, or
 * the wait refused: then it is out of line, and the lock of the queue that it joined is held. what is for dumps.
 */
bool rdl_waiter_sleep(struct rdl_waiter *waiter, const char *what);

/* The lock not held, instead of the sleep: true, out of line and with that lock held, unless the waiter has been granted
 * what it waits for. */
bool rdl_waiter_give_up(struct rdl_waiter *waiter);

/* The lock held: the first in line, or NULL. */
static inline struct rdl_waiter *rdl_queue_first(struct rdl_queue *queue)
{
    return (struct rdl_waiter *)(void *)queue->waiting.first;
}

/* The lock held: the first in line, of which there is one, has what it wants. */
void rdl_queue_grant(struct rdl_queue *queue, int result);

/* Both locks held: moves the first in line of from to the end of to's. From then on it can't be
 * cancelled. */
void rdl_queue_move(struct rdl_queue *from, struct rdl_queue *to);

/* Releases the lock, then wakes whom something was granted to. Unless somebody is about to be woken, the release is
 * the last touch of the queue; and whoever is woken last comes after it. */
void rdl_queue_call(struct rdl_queue *queue);

static inline void rdl_queue_release(struct rdl_queue *queue)
{
    if (queue->granted.first)
        rdl_queue_call(queue);
    else
        rdl_lock_release(&queue->lock);
}

/* Who owns what can be owned: a task or a thread; 0 is nobody. fiber: the running one, or NULL in a thread. */
uintptr_t rdl_owner_id(const struct rdl_fiber *fiber);

/* What a task or a thread owns, so that it can be given up when its owner ends. A list of the owner's own. */
struct rdl_held {
    struct rdl_held *next;
    /* Where the owner locked it, a static string; NULL: unknown. Written by the owner, read by anyone: for reports */
    rdl_atomic(const char *) site;
    /* The owner has ended; who, for the report, is the task's name and place; NULL: a thread. */
    void (*abandon)(struct rdl_held *held, const char *who);
};

/* The owner, which runs: has come to own it, or is about to give it away. */
void rdl_held_link(struct rdl_fiber *fiber, struct rdl_held *held, const char *site,
                   void (*abandon)(struct rdl_held *, const char *who));
void rdl_held_unlink(struct rdl_fiber *fiber, struct rdl_held *held);

#endif
