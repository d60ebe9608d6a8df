/*
 * runtime/deadlock.h - debug mode: who waits for whom, so that a wait that can never end is found when it begins.
 *
 * Who is about to wait describes its wait in its own frame, enters it after it has joined the line and before it
 * sleeps, and leaves it when it no longer waits, and before it does anything else: before it lets go of what it was
 * given, above all.
 */
#ifndef RDL_RUNTIME_DEADLOCK_H
#define RDL_RUNTIME_DEADLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/task.h"
#include "runtime/waiter.h"

enum rdl_blocked_by { RDL_BLOCKED_BY_LOCK, RDL_BLOCKED_BY_TASK, RDL_BLOCKED_BY_GROUP };

/* Who waits, and for what. Zeroed, but for what is named here as the caller's. */
struct rdl_blocked {
    /* The caller's. */
    enum rdl_blocked_by by;
    enum rdl_park how; /* RDL_PARK_SHIELDED: nothing but the end of what it waits for ends it */
    struct rdl_fiber *fiber; /* NULL: a plain thread */
    const char *site;        /* where it waits; NULL: not known */
    const char *what;        /* a lock: "a mutex" */
    const rdl_atomic(uintptr_t) *
        owner;                   /* a lock: rdl_owner_id() of who has it, 0: nobody who is known */
    const struct rdl_held *held; /* a lock: its owner's */
    raddle_task *task;           /* whose end it waits for */
    struct rdl_group *group;     /* whose tasks it waits for */

    rdl_atomic(bool) refused; /* it is to end with -EDEADLK: set by another, which then pokes */

    /* The graph's, under its lock. */
    bool entered;
    uintptr_t id;
    struct rdl_blocked *next, *prev; /* in the list of those whose id has the same hash */
    struct rdl_blocked *next_child, *prev_child; /* and whose task's group has */
    uint64_t search;                             /* the last that came by */
    struct rdl_blocked *from, *later;            /* in that: who waits for it; the queue */
    char thread[48];                             /* "" unless it is one */
};

/*
 * The wait begins. 0: go on. -EDEADLK: it can never end; that was reported, the wait isn't entered, and the caller is
 * to give up its place if it still has it. A wait that can't fail is entered all the same, and another's of the cycle
 * is refused.
 */
int rdl_deadlock_enter(struct rdl_blocked *blocked);

/* The wait has ended. Does nothing for one that isn't entered. */
void rdl_deadlock_leave(struct rdl_blocked *blocked);

/* rdl_waiter_sleep() for a lock, in the graph: 0 is its true, -ECANCELED or -EDEADLK its false. The caller then does what
 * it has to with the lock that is held, and leaves. */
int rdl_deadlock_sleep(struct rdl_blocked *blocked, struct rdl_waiter *waiter);

static inline bool rdl_deadlock_refused(const struct rdl_blocked *blocked)
{
    return rdl_atomic_load_relaxed(&blocked->refused);
}

/* The caller was refused by a rule that needs no graph: it has the lock itself; it, or who waits for it to end, is what
 * it wants to join. */
void rdl_deadlock_report_own(const char *what, const char *site, const struct rdl_held *held);
void rdl_deadlock_report_join(const raddle_task *task);

/* The caller unlocks, by call, what it doesn't own. */
void rdl_deadlock_report_stranger(const char *call, const struct rdl_held *held);

/* In the child of a fork. */
void rdl_deadlock_after_fork(void);

#endif
