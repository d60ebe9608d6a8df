/*
 * runtime/deadlock.c - debug mode: the graph of who waits for whom, and the cycles in it.
 *
 * The danger is a false alarm: each wait of a cycle was there at some moment, but not all of them at the same one. So
 * one lock is held while a cycle is looked for, and by everybody who begins or ends a wait that is in the graph. What a
 * wait is for isn't kept in the graph, but looked up: the owner of a lock, who changes without the graph's knowing, and
 * the task behind a handle.
 *
 * Why a cycle that is found is one. Take a member W, which is entered and waits for a lock, of which the owner is read
 * as X, another member. W has not been given the lock, as that would have made W the owner, and before W lets go of it
 * again it leaves the graph, for which it needs our lock. X doesn't let go of it while it waits, as nobody else can.
 * Could the word have been read late, and X have passed the lock on before it waited? No: X did so before it entered
 * its wait, and thus before we took our lock. So all members wait for each other at one moment, and none can go on by
 * itself. A task that is joined, or that a group waits for, is a member only while it waits, so it hasn't ended; a
 * handle's is looked up under its lock, as another task may lie where one that has ended was.
 *
 * What ends a member's wait from outside is a cancellation. One whose scopes are cancelled already is about to leave,
 * and is no member, nor is one that was refused. One that has a deadline will, and the children of a group that isn't
 * RADDLE_COLLECT may be, as long as one of them doesn't wait: such a cycle is reported, but nobody is refused. One that
 * might be cancelled by somebody else one day counts as waiting for ever.
 *
 * Why none is missed. Of the members the last to enter finds the others there, provided that each edge is there when
 * its wait is entered, and only changes to point at somebody who doesn't wait: a lock is passed on to one whose wait
 * has thereby ended, and a group gets no child that waits already.
 *
 * Not in the graph: whatever waits for one of several (select, raddle_wait(), raddle_group_next()), conditions, and
 * readers of a lock as those who hold it up, which are only counted.
 *
 * Locks: the graph's, then a handle's or a group's. It is held over no suspension, and over the wake of one that is refused.
 */
#define _GNU_SOURCE
#include "runtime/deadlock.h"

#include <errno.h>
#include <pthread.h>
#include <raddle/time.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/describe.h"
#include "runtime/report.h"
#include "sched/loop.h"
#include "sched/sys.h"

enum { BUCKETS = 256, REPORT_BYTES = 8192, LISTED = 16 };

static pthread_mutex_t graph = PTHREAD_MUTEX_INITIALIZER;
static struct rdl_blocked *by_id[BUCKETS], *by_group[BUCKETS];
static uint64_t searches;

static unsigned bucket_of(uintptr_t key)
{
    return (unsigned)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
}

static const struct rdl_task *task_of(const struct rdl_blocked *b)
{
    return (const struct rdl_task *)(const void *)b->fiber;
}

static struct rdl_blocked **siblings_of(const struct rdl_blocked *b)
{
    return &by_group[bucket_of(b->fiber ? (uintptr_t)task_of(b)->group : 0)];
}

static void link_in(struct rdl_blocked *b)
{
    struct rdl_blocked **first = &by_id[bucket_of(b->id)], **child = siblings_of(b);

    b->prev = b->prev_child = NULL;
    b->next = *first;
    if (b->next)
        b->next->prev = b;
    *first = b;
    b->next_child = *child;
    if (b->next_child)
        b->next_child->prev_child = b;
    *child = b;
    b->entered = true;
}

static void unlink_from(struct rdl_blocked *b)
{
    if (b->prev)
        b->prev->next = b->next;
    else
        by_id[bucket_of(b->id)] = b->next;
    if (b->next)
        b->next->prev = b->prev;
    if (b->prev_child)
        b->prev_child->next_child = b->next_child;
    else
        *siblings_of(b) = b->next_child;
    if (b->next_child)
        b->next_child->prev_child = b->prev_child;
    b->entered = false;
}

static struct rdl_blocked *find_id(uintptr_t id)
{
    struct rdl_blocked *b = by_id[bucket_of(id)];

    while (b && b->id != id)
        b = b->next;
    return b;
}

/* What may end a wait from outside. */

static bool can_be_cancelled(const struct rdl_blocked *b)
{
    return b->fiber && b->how == RDL_PARK_CANCELLABLE;
}

/* Of a wait that is entered, or the caller's: its task stands still, and with it its scopes, and those around them. */
static bool is_cancelled(const struct rdl_blocked *b, int64_t now_ns)
{
    if (!can_be_cancelled(b))
        return false;
    for (struct rdl_scope *scope = b->fiber->scope; scope; scope = scope->parent) {
        if (rdl_atomic_load_acquire(&scope->state) != RDL_SCOPE_OPEN ||
            scope->deadline_ns <= now_ns)
            return true;
        if (scope->flags & RADDLE_SHIELD)
            break;
    }
    return false;
}

static bool has_deadline(const struct rdl_blocked *b)
{
    return can_be_cancelled(b) && b->fiber->nearest_ns != RADDLE_NEVER;
}

/* Searching, breadth first: the shortest cycle is the easiest to read. */

struct search {
    uint64_t number;
    struct rdl_blocked *start;
    struct rdl_blocked *first, *last; /* reached, and not gone on from */
    bool closed;                      /* back at start */
    bool deadlines;                   /* also through waits that have one */
    int64_t now_ns;
};

static void reach(struct search *s, struct rdl_blocked *from, struct rdl_blocked *b)
{
    if (!b || s->closed)
        return;
    if (b == s->start) {
        s->closed = true;
        s->last = from;
        return;
    }
    if (b->search == s->number || rdl_deadlock_refused(b) || is_cancelled(b, s->now_ns) ||
        (!s->deadlines && has_deadline(b)))
        return;
    b->search = s->number;
    b->from = from;
    b->later = NULL;
    s->last->later = b;
    s->last = b;
}

/* May the children of group that wait be cancelled by one that doesn't: by its failure, or its success? */
static bool may_be_ended(struct rdl_group *group)
{
    size_t waiting = 0, live;

    if (group->mode == RADDLE_COLLECT)
        return false;
    for (struct rdl_blocked *c = by_group[bucket_of((uintptr_t)group)]; c; c = c->next_child)
        waiting += c->fiber && task_of(c)->group == group;
    rdl_lock_acquire(&group->lock);
    live = group->live;
    rdl_lock_release(&group->lock);
    return waiting < live;
}

/* Those for whom b waits, as far as they wait themselves. */
static void go_on(struct search *s, struct rdl_blocked *b)
{
    uintptr_t id = 0;

    switch (b->by) {
    case RDL_BLOCKED_BY_LOCK:
        id = rdl_atomic_load_relaxed(b->owner);
        break;
    case RDL_BLOCKED_BY_TASK:
        rdl_lock_acquire(&b->task->lock);
        id = (uintptr_t)b->task->task;
        rdl_lock_release(&b->task->lock);
        break;
    case RDL_BLOCKED_BY_GROUP:
        if (!s->deadlines && may_be_ended(b->group))
            return;
        for (struct rdl_blocked *c = by_group[bucket_of((uintptr_t)b->group)]; c; c = c->next_child)
            if (c->fiber && task_of(c)->group == b->group)
                reach(s, b, c);
        return;
    }
    if (id && id != b->id) /* itself: it was given the lock, and is about to wake */
        reach(s, b, find_id(id));
}

/* The cycle through b, as a list by later that begins with b; or none. */
static bool find_cycle(struct rdl_blocked *b, bool deadlines)
{
    struct search s = {.number = ++searches,
                       .start = b,
                       .first = b,
                       .last = b,
                       .deadlines = deadlines,
                       .now_ns = rdl_sys_now()};
    struct rdl_blocked *after = NULL, *m;

    if (is_cancelled(b, s.now_ns) || (!deadlines && has_deadline(b)))
        return false;
    b->search = s.number;
    b->from = b->later = NULL;
    for (; s.first && !s.closed; s.first = s.first->later)
        go_on(&s, s.first);
    for (m = s.closed ? s.last : NULL; m; m = m->from) {
        m->later = after;
        after = m;
    }
    return s.closed;
}

/* Saying. */

struct text {
    char *start;
    size_t used;
};

static void say(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct text *t, const char *format, ...)
{
    size_t room = REPORT_BYTES - t->used;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->start + t->used, room, format, args);
    va_end(args);
    if (n > 0)
        t->used += (size_t)n < room ? (size_t)n : room - 1;
}

static const char *who(const struct rdl_blocked *b, char *text)
{
    return b->fiber ? rdl_describe_task(task_of(b), text) : b->thread;
}

static void say_wait(struct text *t, const struct rdl_blocked *b, const struct rdl_blocked *next)
{
    char waiter[RDL_WHO_BYTES], other[RDL_WHO_BYTES];

    say(t, "%s waits", who(b, waiter));
    if (b->site)
        say(t, " at %s", b->site);
    switch (b->by) {
    case RDL_BLOCKED_BY_LOCK:
        say(t, " for %s, which %s has had since %s", b->what, who(next, other),
            rdl_describe_site(rdl_atomic_load_relaxed(&b->held->site)));
        break;
    case RDL_BLOCKED_BY_TASK:
        say(t, " for the end of %s", who(next, other));
        break;
    case RDL_BLOCKED_BY_GROUP:
        say(t, " for the group that it opened at %s, in which %s is",
            rdl_describe_site(b->group->owner ? b->group->scope.site : NULL), who(next, other));
        break;
    }
}

/* The cycle that find_cycle() has just found. refused: whose wait ends; NULL: nobody's. The caller's to free; NULL: no
 * memory. */
static char *describe_cycle(const struct rdl_blocked *start, const struct rdl_blocked *refused,
                            bool deadlines)
{
    struct text t = {.start = rdl_sys_malloc(REPORT_BYTES)};
    char name[RDL_WHO_BYTES];
    unsigned listed = 0, more = 0;

    if (!t.start)
        return NULL;
    say(&t, "deadlock: ");
    for (const struct rdl_blocked *b = start; b; b = b->later) {
        if (listed == LISTED) {
            more++;
            continue;
        }
        say(&t, "%s", listed++ ? "; " : "");
        say_wait(&t, b, b->later ? b->later : start);
    }
    if (more)
        say(&t, "; and so on, %u more", more);
    if (refused)
        say(&t, "; the wait of %s ends with -EDEADLK", who(refused, name));
    else
        say(&t, deadlines ? "; a deadline, or the end of another task of a group, may end it"
                          : "; nothing will end it");
    return t.start;
}

static void report_cycle(char *text)
{
    if (text)
        rdl_report_line(text);
    else
        rdl_report("deadlock: some waits can never end, and there is no memory to say which");
    rdl_sys_free(text);
}

/* Entering and leaving. */

static bool can_fail(const struct rdl_blocked *b)
{
    return b->by != RDL_BLOCKED_BY_GROUP && b->how == RDL_PARK_CANCELLABLE;
}

/* Who of the cycle is to give up: the caller, else the first task that can. */
static struct rdl_blocked *choose(struct rdl_blocked *start)
{
    struct rdl_blocked *b = start;

    if (can_fail(start))
        return start;
    while (b && !(can_fail(b) && b->fiber))
        b = b->later;
    return b;
}

int rdl_deadlock_enter(struct rdl_blocked *b)
{
    struct rdl_blocked *refused = NULL;
    bool found, deadlines = false;
    char *text = NULL;

    b->id = rdl_owner_id(b->fiber);
    if (!b->fiber) {
        char name[RDL_WHO_BYTES];
        snprintf(b->thread, sizeof(b->thread), "%.47s", rdl_describe_thread(name));
    }
    pthread_mutex_lock(&graph);
    link_in(b);
    found = find_cycle(b, false);
    if (found)
        refused = choose(b);
    else
        found = deadlines = find_cycle(b, true);
    if (found)
        text = describe_cycle(b, refused, deadlines);
    if (refused == b) {
        unlink_from(b);
    } else if (refused) {
        /* It is in the graph, so its fiber can't end. A shield doesn't hold this off. */
        rdl_atomic_store_relaxed(&refused->refused, true);
        rdl_fiber_poke(refused->fiber, UINT32_MAX - 1);
    }
    pthread_mutex_unlock(&graph);
    if (found)
        report_cycle(text);
    return refused == b ? -EDEADLK : 0;
}

void rdl_deadlock_leave(struct rdl_blocked *b)
{
    if (!b->entered)
        return;
    pthread_mutex_lock(&graph);
    unlink_from(b);
    pthread_mutex_unlock(&graph);
}

int rdl_deadlock_sleep(struct rdl_blocked *b, struct rdl_waiter *w)
{
    int rc = rdl_deadlock_enter(b);

    if (rc < 0 && rdl_waiter_give_up(w))
        return rc;
    w->refused = &b->refused;
    if (!rdl_waiter_sleep(w, b->what))
        return rdl_deadlock_refused(b) ? -EDEADLK : -ECANCELED;
    return 0;
}

void rdl_deadlock_report_own(const char *what, const char *site, const struct rdl_held *held)
{
    char name[RDL_WHO_BYTES];

    rdl_report("deadlock: %s wants %s at %s, which it has had itself since %s; it gets -EDEADLK",
               rdl_describe_caller(name), what, rdl_describe_site(site),
               rdl_describe_site(rdl_atomic_load_relaxed(&held->site)));
}

void rdl_deadlock_report_stranger(const char *call, const struct rdl_held *held)
{
    const char *site = rdl_atomic_load_relaxed(&held->site);
    char name[RDL_WHO_BYTES];

    if (site)
        rdl_report("%s: %s isn't the owner; it was locked last at %s", call,
                   rdl_describe_caller(name), site);
    else
        rdl_report("%s: %s isn't the owner", call, rdl_describe_caller(name));
}

void rdl_deadlock_report_join(const raddle_task *task)
{
    const struct rdl_task *self = rdl_task_self();
    char name[RDL_WHO_BYTES];

    if (rdl_atomic_load_relaxed(&self->handle) == task)
        rdl_report("deadlock: %s waits for its own end; it gets -EDEADLK",
                   rdl_describe_task(self, name));
    else
        rdl_report("deadlock: %s waits for the end of task \"%s\", whose group waits for it; it "
                   "gets -EDEADLK",
                   rdl_describe_task(self, name), task->name);
}

void rdl_deadlock_after_fork(void)
{
    pthread_mutex_init(&graph, NULL); /* it may be held by a thread that doesn't exist here */
    memset(by_id, 0, sizeof(by_id));
    memset(by_group, 0, sizeof(by_group));
}
