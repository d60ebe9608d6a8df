/*
 * sched/fiber.h - what a task is, seen from below: a coroutine that the scheduler runs, parks and
 * wakes.
 *
 * A fiber's control block lies at the top of its own stack, below the colour; runtime/task.c puts
 * its struct raddle_task around it.
 *
 * Who owns a fiber. While it runs, its loop. While it is queued, the queue. While it is parked, its
 * wait: who wins rdl_wait_fire() owns it, and makes it runnable. Everything in the struct without
 * rdl_atomic belongs to the owner.
 *
 * A wait that armed a timer or handed an operation to a driver is finished by the loop on which it
 * parked, its home: another thread that fires it posts it to that loop's inbox, and the loop
 * disarms and reaps before the fiber is runnable anywhere.
 */
#ifndef RDL_SCHED_FIBER_H
#define RDL_SCHED_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raddle/task.h>

#include "sched/cancel.h"
#include "sched/coroutine.h"
#include "sched/runnable.h"
#include "sched/stack.h"
#include "sched/timer.h"
#include "sched/wait.h"

struct rdl_loop;
struct rdl_op;
struct rdl_strand;

struct rdl_fiber {
    struct rdl_runnable run; /* first: a runnable without a call is a fiber */
    struct rdl_coroutine co;
    struct rdl_stack *stack;
    struct rdl_loop *home; /* where it ran last, or is bound to */
    struct rdl_scope *scope;
    int64_t nearest_ns; /* of the scopes around it; INT64_MAX: none */
    struct rdl_op *op;  /* handed to home's driver and not reaped */
    struct rdl_timer timer;
    void (*main)(struct rdl_fiber *self);
    struct rdl_strand *strand; /* NULL: none; never changes once it was queued */
    struct rdl_paging *paging; /* NULL: its stack stays, and the control block is on it */

    rdl_atomic(uint8_t) mobility; /* enum raddle_mobility, never the default; dumps read it */
    bool started;                 /* its first instruction has run */
    bool homebound; /* this wait armed a timer or handed an operation over: home finishes it */
    bool finishing; /* fired; becomes runnable when op completes */
    bool moving;    /* on its way to another loop's inbox */
    bool sent;      /* the same, by the debug mode that moves what may move */
    bool held_poke; /* a poke from before a shielded park, to be looked at after it */
    bool quiet;     /* started by a loop for itself: no other is woken for it */
    bool lent;      /* started eagerly, and runs on its spawner's turn of their strand */
    bool told;      /* that it is cancelled, by more than a scope of its own */
    bool met;       /* a cancellation point said so; see raddle_scope_probe() */
    /* met is about points that no shield inside the scope of this depth holds off; 0: nobody asks */
    uint32_t probe_depth;

    /* For dumps: what it waits for, a static string (NULL: it doesn't), an object, since when.
     * Written by the fiber, read by anyone at any time. */
    rdl_atomic(const char *) waiting_for;
    rdl_atomic(uint64_t) waiting_object;
    rdl_atomic(int64_t) waiting_since_ns;
};

enum rdl_park {
    RDL_PARK_CANCELLABLE,
    /* Neither cancellation nor a deadline ends it; it may still wake for nothing. */
    RDL_PARK_SHIELDED,
};

static inline bool rdl_fiber_is(const struct rdl_fiber *fiber, enum raddle_mobility mobility)
{
    return rdl_atomic_load_relaxed(&fiber->mobility) == mobility;
}

/* Makes a fiber whose control block is block_bytes long, of which the first are zeroed. cache: the
 * calling thread's loop's, or NULL. -ENOMEM, -EINVAL. */
int rdl_fiber_create(struct rdl_stack_cache *cache, size_t block_bytes, size_t zeroed,
                     size_t stack_bytes, void (*main)(struct rdl_fiber *), struct rdl_fiber **out);

/* The same, with the control block, all zero, in memory of rdl_sys_calloc() and not on the stack: the fiber's, if
 * 0 is returned. paging is in that block. */
int rdl_fiber_create_apart(struct rdl_stack_cache *cache, struct rdl_fiber *fiber,
                           struct rdl_paging *paging, size_t stack_bytes,
                           void (*main)(struct rdl_fiber *));

/* Frees a fiber that was never started. */
void rdl_fiber_discard(struct rdl_stack_cache *cache, struct rdl_fiber *fiber);

/* 0, or -ECANCELED: a scope around self, which is running, is cancelled or past its deadline. The first is
 * asked wherever a task could wait, and when there is nothing to see costs two loads. */
int rdl_cancel_check_deadline(struct rdl_fiber *self);

static inline int rdl_cancel_check(struct rdl_fiber *self)
{
    if (__builtin_expect(rdl_atomic_load_relaxed(&self->stack->wait.poked) != 0, 0))
        return rdl_cancel_look(self);
    return self->nearest_ns == INT64_MAX ? 0 : rdl_cancel_check_deadline(self);
}

/* The same for who is about to try what may succeed at once, which a deadline is no reason not to: it is compared with
 * the loop's time. Whoever has to wait after all is woken by its timer. */
static inline int rdl_cancel_check_coarsely(struct rdl_fiber *self, int64_t now_ns)
{
    if (__builtin_expect(rdl_atomic_load_relaxed(&self->stack->wait.poked) != 0, 0))
        return rdl_cancel_look(self);
    return self->nearest_ns > now_ns ? 0 : rdl_cancel_check_deadline(self);
}

/*
 * A wait, in the running fiber: arm, hand the ticket to whoever may end it, park.
 *
 * rdl_fiber_park() returns what the winner passed to rdl_fiber_fire(). -ECANCELED may also be a
 * false alarm: the caller takes back what it registered, calls rdl_cancel_check(), and begins again
 * when that returns 0. what and object say in dumps what the fiber waits for.
 */
struct rdl_ticket rdl_fiber_arm(struct rdl_fiber *self, enum rdl_park how);
int32_t rdl_fiber_park(struct rdl_fiber *self, enum rdl_park how, const char *what,
                       uint64_t object);

/* Instead of the park, when there turned out to be nothing to wait for. Whether nobody had
 * fired. */
bool rdl_fiber_disarm(struct rdl_fiber *self, enum rdl_park how);

/* Any thread: ends a wait, if it has not ended, and makes its fiber runnable where it belongs. True
 * if this call was the one. */
bool rdl_fiber_fire(struct rdl_ticket ticket, int32_t result);

/* Any thread; the caller keeps the fiber from ending. Makes it look at its scopes: ends the wait it
 * is in, if no shield inside the scope of this depth holds it off. */
void rdl_fiber_poke(struct rdl_fiber *fiber, uint32_t depth);

/* Between arm and park: home's driver has taken op, which is reaped before the fiber runs again. */
void rdl_fiber_attach(struct rdl_fiber *self, struct rdl_op *op);

/* The driver, on its loop's thread: op has ended, and its result is in it. */
void rdl_fiber_complete(struct rdl_fiber *fiber, struct rdl_op *op);

/* Home's thread: the wait of a parked fiber has ended, and the fiber is the caller's. Runnable when
 * nothing of the wait is left. A fiber that has not started is runnable at once. */
void rdl_fiber_finish(struct rdl_loop *home, struct rdl_fiber *fiber);

/* The running loop's thread: a fresh fiber that is pinned nowhere else, in no strand or the caller's, starts before
 * the call returns, if a fiber of a loop that is alone calls; otherwise it is the next to run here. */
void rdl_fiber_start_eagerly(struct rdl_fiber *fiber);

/* Lets others run; no cancellation point. */
void rdl_fiber_yield(struct rdl_fiber *self);

/* Charges work that was done at once against the time slice, and yields when it is spent. */
void rdl_fiber_charge(struct rdl_fiber *self);

/* Goes on on another loop, pinned to it. 0, or RADDLE_ESHUTDOWN where it was. */
int rdl_fiber_move(struct rdl_fiber *self, struct rdl_loop *to);

#endif
