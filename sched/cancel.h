/*
 * sched/cancel.h - scopes as the scheduler sees them: is the running task cancelled, and by when.
 *
 * A scope is entered by one task and encloses what that task does until it leaves it. The root
 * scope of a task lies inside the scope of the group that owns the task, so the scopes of all tasks
 * form a tree that follows who waits for whom. A task is cancelled when some scope between where it
 * is and the nearest shield (that one included) is cancelled or past its deadline.
 */
#ifndef RDL_SCHED_CANCEL_H
#define RDL_SCHED_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

struct rdl_fiber;

enum rdl_scope_state {
    RDL_SCOPE_OPEN,
    RDL_SCOPE_CANCELLED,
    RDL_SCOPE_EXPIRED, /* its deadline passed first */
};

/* Of flags, beside RADDLE_SHIELD and RADDLE_QUIET. */
enum {
    RDL_SCOPE_GROUP = 1 << 8,   /* a group's */
    RDL_SCOPE_CLEANUP = 1 << 9, /* its deadline bounds those of clean-ups inside */
    RDL_SCOPE_CAUGHT = 1 << 10, /* set when it is left: a cancellation ended there */
};

struct rdl_scope {
    struct rdl_scope *parent;   /* the enclosing one, which outlives this; NULL: the outermost */
    struct rdl_fiber *fiber;    /* whose it is; NULL after it was left */
    int64_t deadline_ns;        /* its own; INT64_MAX: none */
    int64_t nearest_ns;         /* the nearest of it and those around it, up to a shield */
    uint32_t depth;             /* in its task: 1 is the root */
    uint32_t shield_depth;      /* of the nearest shield in its task, itself included; 0: none */
    uint32_t flags;             /* RADDLE_SHIELD, RADDLE_QUIET, and those above */
    rdl_atomic(uint32_t) state; /* enum rdl_scope_state: set once by any thread; see unmark */
    rdl_atomic(const char *) reason;
    rdl_atomic(uint32_t) claimed; /* somebody has come first, and says why */
    uint32_t mark;                /* of site: see runtime/scope.c. Neither is a root's */
    const char *site;             /* where it was entered, a static string; NULL: unknown */
};

/* The task that runs: enters scope inside its innermost one, or inside parent as its root. */
void rdl_scope_enter(struct rdl_fiber *self, struct rdl_scope *scope, struct rdl_scope *parent,
                     int64_t deadline_ns, uint32_t flags);

/* The task that runs: another deadline and other flags for a scope of its own in which no group is open. */
void rdl_scope_revise(struct rdl_fiber *self, struct rdl_scope *scope, int64_t deadline_ns,
                      uint32_t flags);

/* The task that runs: leaves its innermost scope. */
void rdl_scope_leave(struct rdl_fiber *self, struct rdl_scope *scope);

/* Any thread, while scope is entered: marks it. The caller then pokes the tasks in it. */
void rdl_scope_mark(struct rdl_scope *scope, enum rdl_scope_state state, const char *reason);

/* The task whose it is, with every rdl_scope_mark() kept away: as if it never had been marked. */
void rdl_scope_unmark(struct rdl_scope *scope);

/* The task that runs, seen from scope outwards: the scope that cancels it, or NULL. */
struct rdl_scope *rdl_scope_canceller(struct rdl_scope *scope, int64_t now_ns);

/* The slow part of rdl_cancel_check(). */
int rdl_cancel_look(struct rdl_fiber *self);

#endif
