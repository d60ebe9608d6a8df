/*
 * sched/idle.h - who of a team sleeps, who searches for work, and who has to be woken.
 *
 * A loop that has nothing to run searches the others' queues, perhaps looks around for a while (sched/spin.h), then
 * sleeps in its driver. Whoever makes work that another could take wakes one sleeper, unless a searcher is about to
 * find it. The protocol is in idle.c.
 */
#ifndef RDL_SCHED_IDLE_H
#define RDL_SCHED_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

enum rdl_sleep {
    RDL_AWAKE,  /* runs, or has been woken for its inbox: owes nothing */
    RDL_ASLEEP, /* in its driver, or about to recheck and go there */
    RDL_CALLED, /* woken to search, and counted as a searcher already */
};

/* One per loop. */
struct rdl_sleeper {
    rdl_atomic(uint32_t) state; /* enum rdl_sleep */
};

/* One per team. */
struct rdl_idle {
    rdl_atomic(uint32_t) searching; /* loops that search or look around, or were called to */
    rdl_atomic(uint32_t) sleeping;  /* loops between rdl_idle_sleep() and rdl_idle_awake() */
    rdl_atomic(uint32_t) next;      /* whom to call first, so that calls go round */
    uint32_t count;
    struct rdl_sleeper **sleepers; /* count of them, set before the first loop runs */
};

void rdl_idle_init(struct rdl_idle *idle, struct rdl_sleeper **sleepers, uint32_t count);

/* A loop without work: may it search? At most half of the team, rounded up, does at a time. */
bool rdl_idle_begin_search(struct rdl_idle *idle);

/* A searcher, or a called loop, ends its search. True if it was the last: it now calls the next one if it has found
 * work, or if there is some for others. */
bool rdl_idle_end_search(struct rdl_idle *idle);

/* A loop announces that it sleeps. It rechecks everything that could concern it after this, and
 * only then waits. */
void rdl_idle_sleep(struct rdl_idle *idle, struct rdl_sleeper *sleeper);

/* The loop is back. Says how: RDL_ASLEEP by itself, RDL_AWAKE woken, RDL_CALLED as a searcher. */
enum rdl_sleep rdl_idle_awake(struct rdl_idle *idle, struct rdl_sleeper *sleeper);

/* Any thread, after it has published work that any loop may take: which loop it has to wake now, or
 * -1: none sleeps, or a searcher will see. */
int rdl_idle_call(struct rdl_idle *idle);

/* Any thread, after it has published something for this very loop: true if it has to wake it. */
bool rdl_idle_claim(struct rdl_sleeper *sleeper);

#endif
