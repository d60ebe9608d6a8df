/*
 * sched/wait.h - the one-shot rendezvous between a parked task and whoever ends its wait.
 *
 * The sleeper arms the wait, hands its ticket to those who may end it, and leaves its stack; whoever
 * lands after it publishes the sleep with rdl_wait_park(). Completion, timer and cancellation each call
 * rdl_wait_fire(); exactly one wins, and its answer says what it now has to do.
 *
 * A wait lives in the record of a stack (sched/stack.h), which is never freed. A ticket may therefore be
 * kept for as long as one likes: a stale one just loses.
 */
#ifndef RDL_SCHED_WAIT_H
#define RDL_SCHED_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

struct rdl_wait {
    rdl_atomic(uint64_t) word; /* result, generation, phase: see wait.c */
    /* A scope around the task was cancelled since the task last looked. Set by any thread, cleared by
     * the task; here and not in the task because a canceller may be late. */
    rdl_atomic(uint32_t) poked;
    /* How many scopes up the nearest shield is (0: none): what a canceller needs to know of a sleeper.
     * Written by the task while the wait is idle. */
    rdl_atomic(uint32_t) shield_depth;
};

/* One armed wait, by value: which wait and which generation of it. */
struct rdl_ticket {
    struct rdl_wait *wait;
    uint64_t armed; /* the word as it was armed */
};

/* What a call to rdl_wait_fire() did, and what its caller has to do now. */
enum rdl_fire {
    RDL_FIRE_LOST,  /* Another was first, or the ticket is stale: nothing. */
    RDL_FIRE_WON,   /* The sleeper has not parked yet: nothing, whoever lands after it will see. */
    RDL_FIRE_QUEUE, /* The sleeper is parked, and now the caller's: make it runnable. */
};

/* The sleeper, running: begins a new generation. */
struct rdl_ticket rdl_wait_arm(struct rdl_wait *wait);

/* Of the generation that is armed, parked or fired: for a waker that keeps the wait from being armed
 * again, as an operation or a timer that is still pending does. */
struct rdl_ticket rdl_wait_ticket(struct rdl_wait *wait);

/* The sleeper, running: ends a wait that it armed but won't sleep in. Returns false, with the wait
 * ended all the same, if somebody had fired it. */
bool rdl_wait_disarm(struct rdl_wait *wait);

/* Whoever landed after the sleeper: publishes that it is off its stack. Returns false if the wait was
 * fired meanwhile: the sleeper is still the caller's, to make runnable. */
bool rdl_wait_park(struct rdl_wait *wait);

/* Any thread: ends the wait with result, unless it has already ended. */
enum rdl_fire rdl_wait_fire(struct rdl_ticket ticket, int32_t result);

/* Any thread: sets poked, then fires the wait with result if it is armed or parked and no shield is in
 * it above depth. The caller keeps the sleeper's record from being given to another task. */
enum rdl_fire rdl_wait_poke(struct rdl_wait *wait, uint32_t depth, int32_t result);

/* Any thread, for who looks at a sleeper's stack: is it parked, and then by which word? And is it still, and has been
 * all the while: what was read before the second call was read before it went on. */
bool rdl_wait_is_parked(const struct rdl_wait *wait, uint64_t *word);
bool rdl_wait_still_is(struct rdl_wait *wait, uint64_t word);

/* The sleeper, running again: what the winner said. */
int32_t rdl_wait_result(const struct rdl_wait *wait);

#endif
