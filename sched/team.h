/*
 * sched/team.h - loops that share work: what any of them may run, who is called when there is some, stealing.
 *
 * A loop's shared queues (fresh and ready of struct rdl_loop) are where the others steal. What finds no room
 * there, and what comes from threads that are no loop of the team, is in the injector.
 */
#ifndef RDL_SCHED_TEAM_H
#define RDL_SCHED_TEAM_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/idle.h"
#include "sched/inject.h"
#include "sched/runnable.h"

struct rdl_fiber;
struct rdl_loop;

/* Loops that steal from each other. Lives longer than they do. */
struct rdl_team {
    rdl_atomic(uint32_t) posting; /* threads inside rdl_team_woken() */
    struct rdl_idle idle;
    struct rdl_inject woken, fresh; /* the injector: fibers for any of the loops, oldest first */
    unsigned count;
    bool moves; /* debug: a migratable fiber goes on on another loop after each suspension */
    struct rdl_loop **loops;
};

/* Before anyone else can see it: of count loops, which may be made later, and their sleepers. */
void rdl_team_init(struct rdl_team *team, struct rdl_loop **loops, struct rdl_sleeper **sleepers,
                   unsigned count);

/* Before the memory of a team goes away, whose loops have ended. */
void rdl_team_fini(struct rdl_team *team);

/* Any thread, after it has queued something that any loop may run: if one sleeps and nobody searches, it is woken. */
void rdl_team_call(struct rdl_team *team);

/* Any thread: fiber, which the caller has woken and which any of the loops may run. */
void rdl_team_woken(struct rdl_team *team, struct rdl_fiber *fiber);

/* As rdl_inject_count(): was there anything in the injector? */
static inline bool rdl_team_injected(const struct rdl_team *team)
{
    return rdl_inject_count(&team->woken) || rdl_inject_count(&team->fresh);
}

/* Is there something that any loop of the team could run, in the injector or in a loop's queues, but for those of one
 * loop (NULL: of all)? A hint, unless after rdl_idle_sleep(), or rdl_idle_end_search() that returned true. */
bool rdl_team_has_work(const struct rdl_team *team, const struct rdl_loop *but);

/* On the thread of loop, which is one of the team's: */

/* r is woken, r is fresh: into the loop's shared queues, or into the injector. */
void rdl_team_push_ready(struct rdl_loop *loop, struct rdl_runnable *r);
void rdl_team_push_fresh(struct rdl_loop *loop, struct rdl_runnable *r);

/* From the injector: what loop runs next, or NULL. More of it goes to the loop's shared queues. */
struct rdl_runnable *rdl_team_take(struct rdl_loop *loop);

/* The same for a loop that has other things to run. */
struct rdl_runnable *rdl_team_take_in_turn(struct rdl_loop *loop);

/* From the injector or other loops, for a loop that had nothing to run, unless enough others search. */
struct rdl_runnable *rdl_team_search(struct rdl_loop *loop);

#endif
