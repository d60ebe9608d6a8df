/*
 * sched/strand.h - fibers of which only one runs at a time, on whatever loop, in the order in which they became runnable.
 *
 * A strand has one turn. A fiber of a strand is queued on a loop only when it has the turn, keeps it until it
 * has left its stack, and gives it back at every suspension. So a loop has at most one fiber of a strand that
 * is queued or runs, and knows of no others.
 *
 *     who                              calls
 *     makes a fiber runnable           rdl_strand_has_turn(), and queues the fiber if that says so
 *     landed after a fiber of it       rdl_strand_pass(), and queues the fiber that it got
 *
 * All of it is in sched/loop.c and sched/team.c.
 */
#ifndef RDL_SCHED_STRAND_H
#define RDL_SCHED_STRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/fiber.h"
#include "sched/lock.h"
#include "sched/runnable.h"

struct rdl_strand {
    rdl_atomic(uint32_t) references; /* its fibers', and its users' */
    struct rdl_lock lock;
    bool taken; /* the turn is somebody's. Under lock */
    /* Runnable fibers that wait for it: the strand's. Under lock; waiting may be read without it. */
    struct rdl_runnable *first, *last;
    rdl_atomic(uint32_t) waiting;
};

/* With one reference. */
void rdl_strand_init(struct rdl_strand *strand);

/* NULL does nothing. The last reference frees it, by rdl_sys_free(). */
struct rdl_strand *rdl_strand_ref(struct rdl_strand *strand);
void rdl_strand_unref(struct rdl_strand *strand);

/* Any thread, of a fiber that is runnable and the caller's. True: it has the turn, and still is the caller's. */
bool rdl_strand_enter(struct rdl_fiber *fiber);

/* Of a fiber that is runnable, and the caller's: may it be queued? Otherwise its strand has it. */
static inline bool rdl_strand_has_turn(struct rdl_fiber *fiber)
{
    return __builtin_expect(!fiber->strand, 1) || rdl_strand_enter(fiber);
}

/* Whoever landed after the fiber that had the turn: the next one, which has it now and is the caller's; or
 * NULL, and the turn is nobody's. The caller keeps the strand from going. */
struct rdl_fiber *rdl_strand_pass(struct rdl_strand *strand);

/* A hint for the fiber that has the turn: does another want it? */
static inline bool rdl_strand_wanted(const struct rdl_strand *strand)
{
    return rdl_atomic_load_relaxed(&strand->waiting) != 0;
}

#endif
