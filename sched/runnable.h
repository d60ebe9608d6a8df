/*
 * sched/runnable.h - the contract of everything that a loop can run: a fiber or a callback.
 *
 * A runnable is in at most one queue at a time, and next belongs to that queue. Whoever took it out of
 * the queue owns it until it is queued again or run.
 */
#ifndef RDL_SCHED_RUNNABLE_H
#define RDL_SCHED_RUNNABLE_H

#include <stdint.h>

struct rdl_runnable {
    struct rdl_runnable *next;
    /* NULL: the runnable is the head of a struct rdl_fiber, to be switched to. Otherwise called on
     * the loop's own stack, where it must not suspend. */
    void (*call)(struct rdl_runnable *self);
};

#endif
