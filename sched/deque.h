/*
 * sched/deque.h - the bounded work-stealing ring of one loop.
 *
 * The owner pushes and takes at one end, newest first; anyone steals at the other, oldest first. It
 * holds RDL_DEQUE_SLOTS runnables and is never resized: a full ring says so, and the owner puts
 * something into the injector (sched/team.c).
 *
 *     call          who          gets
 *     push          the owner
 *     take          the owner    the newest
 *     take_half     the owner    the oldest half
 *     steal         anyone       the oldest
 *     steal_half    anyone but   the oldest half, into the ring that is the caller's own
 *                   the owner
 *     count         anyone       a hint
 *
 * A runnable that comes out belongs to whoever got it. Nobody ever waits.
 */
#ifndef RDL_SCHED_DEQUE_H
#define RDL_SCHED_DEQUE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/runnable.h"

/* A power of two. The model checker's is small, so that wrapping and overflow are ordinary. */
#ifdef RDL_MODEL
enum { RDL_DEQUE_SLOTS = 4 };
#else
enum { RDL_DEQUE_SLOTS = 256 };
#endif

enum { RDL_DEQUE_LINE = 64 }; /* bytes in a cache line */

/* Positions count up for ever, 2^63 of them; position p is in slot p % RDL_DEQUE_SLOTS. The ring
 * holds the positions from top to bottom - 1. */
struct rdl_deque {
    /* Of the next push. Written by the owner. */
    _Alignas(RDL_DEQUE_LINE) rdl_atomic(int64_t) bottom;
    /* Of the oldest. Only ever grows, by compare-exchange: whoever moves it past a position owns
     * what was there. */
    _Alignas(RDL_DEQUE_LINE) rdl_atomic(int64_t) top;
    /* Written by the owner. */
    _Alignas(RDL_DEQUE_LINE) rdl_atomic(struct rdl_runnable *) slots[RDL_DEQUE_SLOTS];
};

/* Before anyone else can see it. There is nothing to undo. */
void rdl_deque_init(struct rdl_deque *d);

/* Owner: adds r as the newest; false, with r still the caller's, when the ring is full. */
bool rdl_deque_push(struct rdl_deque *d, struct rdl_runnable *r);

/* Owner: the newest, or NULL. */
struct rdl_runnable *rdl_deque_take(struct rdl_deque *d);

/* Owner: takes out the oldest half, rounded up, as a list linked by next, oldest first and ended by
 * NULL. Returns how many; *list is written unless that is 0. */
unsigned rdl_deque_take_half(struct rdl_deque *d, struct rdl_runnable **list);

/* Anyone, the owner too: the oldest, or NULL, which it says only when it found the ring empty and
 * not because it lost a race. */
struct rdl_runnable *rdl_deque_steal(struct rdl_deque *d);

/*
 * A thief, the owner of into: takes up to half of from, rounded up. The oldest is *first, for the
 * caller to run; the rest is pushed on into, oldest first, as far as there is room. Returns how
 * many it took, *first included; *first is written unless that is 0.
 */
unsigned rdl_deque_steal_half(struct rdl_deque *from, struct rdl_deque *into,
                              struct rdl_runnable **first);

/*
 * Anyone: about how many there are. After a seq_cst fence it doesn't overlook what was pushed
 * before a seq_cst fence that came earlier, unless somebody has taken it: good enough for the look
 * around before going to sleep.
 */
unsigned rdl_deque_count(const struct rdl_deque *d);

/* Owner: true stays true until it pushes, as top only grows. */
static inline bool rdl_deque_empty(const struct rdl_deque *d)
{
    return rdl_atomic_load_relaxed(&d->top) >= rdl_atomic_load_relaxed(&d->bottom);
}

#endif
