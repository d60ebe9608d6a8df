/*
 * sched/inbox.h - what other threads leave for one loop: many push, the owner empties it, in order.
 *
 * A push never waits and never fails, until the owner has closed the inbox; then it says so and the
 * runnable stays the caller's. What was accepted is always taken: an inbox can be closed only while
 * it is empty.
 */
#ifndef RDL_SCHED_INBOX_H
#define RDL_SCHED_INBOX_H

#include <stdbool.h>

#include "sched/atomic.h"
#include "sched/runnable.h"

struct rdl_inbox {
    rdl_atomic(struct rdl_runnable *) newest; /* of a list linked by next; see inbox.c */
};

/* Before anyone else can see it; or again after it was closed, when no push can be under way. */
void rdl_inbox_init(struct rdl_inbox *inbox);

/* Any thread. False: it is closed, and r is still the caller's. Says nothing about what the owner
 * did before closing. */
bool rdl_inbox_push(struct rdl_inbox *inbox, struct rdl_runnable *r);

/* Owner: everything that is in it, as a list linked by next, first pushed first and ended by
 * NULL. */
struct rdl_runnable *rdl_inbox_take_all(struct rdl_inbox *inbox);

/* Anyone: is there nothing to take. After a seq_cst fence it doesn't overlook what was pushed
 * before a seq_cst fence that came earlier. */
bool rdl_inbox_empty(const struct rdl_inbox *inbox);

/* Owner: closes it if it is empty, so that every later push fails. False, with nothing done, if it
 * isn't: take what is there and try again. True if it already was closed. */
bool rdl_inbox_close(struct rdl_inbox *inbox);

#endif
