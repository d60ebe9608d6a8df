/*
 * sched/rest.h - what a loop does when it has nothing to run.
 */
#ifndef RDL_SCHED_REST_H
#define RDL_SCHED_REST_H

struct rdl_loop;
struct rdl_runnable;

/* Loop's thread, which has nothing to run: looks elsewhere, then waits until there is. Returns what was found elsewhere;
 * NULL: what has come is in the loop's queues, if anything has. */
struct rdl_runnable *rdl_loop_rest(struct rdl_loop *loop);

#endif
