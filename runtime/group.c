/*
 * runtime/group.c - groups: spawn links a child in, its end links it out, close waits for the last
 * one.
 *
 * The danger. The last child's end races with the close that waits for it, and the group lies in
 * the closer's frame: the child must not touch the group once the closer may go on. So everything
 * about children is under the group's lock; the child copies the closer's ticket, releases the
 * lock, which is its last touch, and then fires the ticket; and the closer looks at live under the
 * lock before it goes.
 *
 * A closer that was woken for nothing just looks again. It waits shielded: children are what has to
 * be cancelled, and cancelling the closer's scope has done that.
 *
 * Spawn against close. open is under the lock, too: a child is either linked before close takes it
 * away, and then waited for, or the spawn fails with RADDLE_ESHUTDOWN.
 *
 * Room. In a group with a limit a spawner takes a place, under the lock, before it makes the child,
 * which keeps it until it is unlinked. Without one it stands in line, and a place that becomes free is
 * handed to the first there: it is never free while somebody waits. Whoever is cancelled leaves the line, under
 * the lock, or, when it is out of line because it was handed a place, hands that on: no place is lost, and nothing
 * is spawned after a cancellation. The group stays meanwhile: the spawner is a child of it, below one, or
 * its opener.
 *
 * Children that have ended, in a group that keeps them: a child gets in line before it tells anybody else that it
 * has ended, so that who was told and then lets another one end finds them in that order. It can be taken out of the
 * line when it has left the group, in the locked section in which its own reference to its handle goes to the
 * group; what is behind it waits for that. So when none is live and none is in line, all were told.
 */
#include <errno.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/group.h>
#include <stdio.h>
#include <string.h>

#include "runtime/deadlock.h"
#include "runtime/debug.h"
#include "runtime/describe.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "sched/loop.h"

enum { OPEN_MARK = 0xA5, CLOSED_MARK = 0x5A };

static struct rdl_group *of(struct raddle_group *group)
{
    return (struct rdl_group *)(void *)group;
}

/* All but the scope. */
static void init(struct rdl_group *g)
{
    memset((char *)g + offsetof(struct rdl_group, lock), 0,
           sizeof(*g) - offsetof(struct rdl_group, lock));
    g->open = OPEN_MARK;
}

int raddle_group_open_at(struct raddle_group *group, const struct raddle_group_options *options,
                         const char *site)
{
    static const struct raddle_group_options defaults;
    struct rdl_task *self = rdl_task_self();
    struct rdl_group *g = of(group);

    if (!group)
        return -EINVAL;
    g->open = 0;
    g->owner = NULL;
    if (!self)
        return -EPERM;
    if (!options)
        options = &defaults;
    if ((unsigned)options->mode > RADDLE_FIRST_OK ||
        options->scope_flags & ~(unsigned)(RADDLE_SHIELD | RADDLE_QUIET))
        return -EINVAL;
    if (options->max_errors && !options->errors)
        return -EINVAL;
    for (unsigned i = 0; i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;

    init(g);
    g->mode = (uint8_t)options->mode;
    g->max_live = options->max_live;
    g->as_completed = options->as_completed;
    g->errors = options->errors;
    g->max_errors = options->max_errors;
    g->owner = self;
    rdl_scope_enter(&self->fiber, &g->scope, self->fiber.scope,
                    options->deadline ? options->deadline : RADDLE_NEVER,
                    options->scope_flags | RDL_SCOPE_GROUP);
    rdl_scope_set_site(&g->scope, site);
    rdl_lock_acquire(&self->tree);
    /* A canceller that walked our groups before this one was among them has poked us before. */
    g->poked = rdl_atomic_load_relaxed(&self->fiber.stack->wait.poked);
    g->outer = self->groups;
    self->groups = g;
    rdl_lock_release(&self->tree);
    return 0;
}

void rdl_group_init_root(struct rdl_group *g)
{
    memset(g, 0, sizeof(*g));
    init(g);
    g->mode = RADDLE_COLLECT;
    g->scope.deadline_ns = RADDLE_NEVER;
    g->scope.nearest_ns = RADDLE_NEVER;
}

bool rdl_group_link(struct rdl_group *g, struct rdl_task *child)
{
    bool open;

    rdl_lock_acquire(&g->lock);
    open = g->open == OPEN_MARK;
    if (open) {
        child->group = g;
        child->prev = g->last;
        child->next = NULL;
        if (g->last)
            g->last->next = child;
        else
            g->first = child;
        g->last = child;
        g->live++;
        child->walks = rdl_atomic_load_relaxed(&rdl_tree_walks);
        rdl_atomic_store_relaxed(&child->fiber.stack->wait.poked, g->poked);
    }
    rdl_lock_release(&g->lock);
    return open;
}

/* Under the lock. child: NULL for the body. False: there is no room for it. */
static bool list_error(struct rdl_group *g, const struct rdl_task *child, int rc)
{
    bool room = g->error_count < g->max_errors;

    if (room)
        g->errors[g->error_count] = (struct raddle_group_error){
            .rc = rc, .fn = child ? child->fn : NULL, .arg = child ? child->arg : NULL};
    g->error_count++;
    return room;
}

/* Notes how the body (child is NULL) or a child ended. Returns why the rest is to be cancelled, or NULL. *extra: it
 * failed, and who closes the group isn't told. */
static const char *note(struct rdl_group *g, const struct rdl_task *child,
                        const struct raddle_outcome *outcome, bool *extra)
{
    const char *reason = NULL;
    bool listed;

    rdl_lock_acquire(&g->lock);
    switch (outcome->kind) {
    case RADDLE_FAILED:
        listed = list_error(g, child, outcome->rc);
        if (g->failed || g->succeeded) {
            *extra = !listed && g->mode != RADDLE_FIRST_OK;
            break;
        }
        g->failed = true;
        g->first_rc = outcome->rc;
        if (g->mode == RADDLE_FAIL_FAST)
            reason = "a task of its group failed";
        break;
    case RADDLE_OK:
        if (g->mode != RADDLE_FIRST_OK || g->succeeded)
            break;
        g->succeeded = true;
        g->first_rc = outcome->rc;
        reason = "another task of its group succeeded";
        break;
    case RADDLE_CANCELLED:
        g->ended_cancelled = true;
        break;
    case RADDLE_PENDING:
        break;
    }
    rdl_lock_release(&g->lock);
    return reason;
}

static void report_failure(const struct rdl_task *task, int rc)
{
    const struct raddle_spawn_site *site = task->site;
    struct raddle_error_event event = {.rc = rc, .task = task->name};
    char place[128];

    if (site && site->line) {
        snprintf(place, sizeof(place), "%s:%d", site->file, site->line);
        event.site = place;
        rdl_report_error(&event, "task \"%s\" (%s) failed: %s", task->name, place,
                         raddle_strerror(rc));
    } else {
        rdl_report_error(&event, "task \"%s\" failed: %s", task->name, raddle_strerror(rc));
    }
}

void rdl_task_report_unread(const char *name, const char *site, int rc)
{
    struct raddle_error_event event = {.rc = rc, .task = name, .site = site};

    rdl_report_error(
        &event,
        "task \"%s\"%s%s%s failed after another of its group had, and nobody has read it: %s", name,
        site ? " (" : "", site ? site : "", site ? ")" : "", raddle_strerror(rc));
}

/* Debug mode. Who else has a handle may still ask; if nobody has one, it is lost now. */
static void keep_unread(struct rdl_task *child, int rc)
{
    struct raddle_task *handle = rdl_atomic_load_relaxed(&child->handle);
    const struct raddle_spawn_site *site = child->site;
    char place[128];

    if (handle && rdl_atomic_load_relaxed(&handle->references) > 1) {
        rdl_lock_acquire(&handle->lock);
        handle->unread = rc;
        rdl_lock_release(&handle->lock);
    } else {
        if (site && site->line)
            snprintf(place, sizeof(place), "%s:%d", site->file, site->line);
        rdl_task_report_unread(child->name, site && site->line ? place : NULL, rc);
    }
}

void rdl_group_child_ended(struct rdl_task *child, const struct raddle_outcome *outcome)
{
    struct rdl_group *g = child->group;
    const char *reason;
    bool extra = false;

    if (child->starting) { /* it never was one of the group's */
        rdl_starting_ended(child->starting, outcome);
        return;
    }
    if (outcome->kind == RADDLE_FAILED && g->reports)
        report_failure(child, outcome->rc);
    reason = note(g, child, outcome, &extra);
    if (extra && !g->reports && rdl_debug_checks())
        keep_unread(child, outcome->rc);
    /* The child is still linked, so the group is still there. */
    if (reason)
        rdl_scope_cancel_tree(&g->scope, reason);
}

/* Places. */

/* Under the lock: a place is free. Who has it now and is to be woken. */
static struct rdl_ticket hand_place_on(struct rdl_group *g)
{
    struct rdl_ticket next = rdl_line_call(&g->room);

    if (!next.wait)
        g->places--;
    return next;
}

/* Under the lock, which it releases meanwhile. next: who is to be woken after it. */
static int wait_for_place(struct rdl_group *g, struct rdl_task *self, struct rdl_ticket *next)
{
    struct rdl_place place = {.in_line = false};
    bool child = self->group == g;
    int rc;

    if (child && g->stuck + 1 >= g->places)
        return -EDEADLK;
    g->stuck += child;
    rdl_line_join(&g->room, &place);
    do {
        place.ticket = rdl_fiber_arm(&self->fiber, RDL_PARK_CANCELLABLE);
        rdl_lock_release(&g->lock);
        (void)rdl_fiber_park(&self->fiber, RDL_PARK_CANCELLABLE, "room in a group",
                             (uint64_t)(uintptr_t)g);
        rc = rdl_cancel_check(&self->fiber);
        rdl_lock_acquire(&g->lock);
    } while (place.in_line && rc == 0);
    g->stuck -= child;
    if (rc < 0 && !place.in_line)
        *next = hand_place_on(g);
    rdl_line_leave(&g->room, &place);
    return rc;
}

int rdl_group_wait_place(struct rdl_group *g)
{
    struct rdl_task *self = rdl_task_self();
    struct rdl_ticket next = {.wait = NULL};
    int rc = self ? rdl_cancel_check(&self->fiber) : 0;

    if (rc < 0)
        return rc;
    rdl_lock_acquire(&g->lock);
    if (g->open != OPEN_MARK)
        rc = RADDLE_ESHUTDOWN;
    else if (g->places < g->max_live)
        g->places++;
    else if (self)
        rc = wait_for_place(g, self, &next);
    else
        rc = -EAGAIN;
    rdl_lock_release(&g->lock);
    if (next.wait)
        (void)rdl_fiber_fire(next, 0);
    return rc;
}

void rdl_group_drop_place(struct rdl_group *g)
{
    struct rdl_ticket next = {.wait = NULL};

    if (!g->max_live)
        return;
    rdl_lock_acquire(&g->lock);
    next = hand_place_on(g);
    rdl_lock_release(&g->lock);
    if (next.wait)
        (void)rdl_fiber_fire(next, 0);
}

/* The child itself, at its end. */
void rdl_group_line_up(struct rdl_task *child)
{
    struct raddle_task *handle = rdl_atomic_load_relaxed(&child->handle);
    struct rdl_group *g = child->group;

    rdl_lock_acquire(&g->lock);
    handle->next_ended = NULL;
    if (g->ended_first)
        g->ended_last->next_ended = handle;
    else
        g->ended_first = handle;
    g->ended_last = handle;
    rdl_lock_release(&g->lock);
}

/* Under the lock: the handle of a child that goes, with the child's reference, for raddle_group_next(). */
static void keep_ended(struct rdl_task *child)
{
    struct raddle_task *handle = rdl_atomic_load_relaxed(&child->handle);

    if (child->starting)
        return;
    rdl_atomic_store_relaxed(&child->handle, NULL);
    handle->left = true;
}

/* The child itself, at its end, under the lock: a walker has made a handle for it since it told those who watch. */
static bool has_untold(const struct rdl_task *child)
{
    const struct raddle_task *handle = rdl_atomic_load_relaxed(&child->handle);

    return handle && handle->task;
}

/* Under the lock, which it releases meanwhile: until nobody can find the child but in the list. */
static void wait_to_leave(struct rdl_group *g, struct rdl_task *child,
                          const struct raddle_outcome *outcome)
{
    while (child->pins || has_untold(child)) {
        if (!child->pins) {
            rdl_lock_release(&g->lock);
            rdl_task_tell(child, outcome);
            rdl_lock_acquire(&g->lock);
            continue;
        }
        /* A walker stands on us (runtime/tree.c): it wakes us when it goes. */
        child->exit = rdl_fiber_arm(&child->fiber, RDL_PARK_SHIELDED);
        rdl_lock_release(&g->lock);
        (void)rdl_fiber_park(&child->fiber, RDL_PARK_SHIELDED, "to be looked at", 0);
        rdl_lock_acquire(&g->lock);
        child->exit.wait = NULL;
    }
}

void rdl_group_unlink(struct rdl_task *child, const struct raddle_outcome *outcome)
{
    struct rdl_group *g = child->group;
    struct rdl_ticket closer = {.wait = NULL}, spawner = {.wait = NULL};

    rdl_lock_acquire(&g->lock);
    if (__builtin_expect(child->pins || has_untold(child), 0) && outcome)
        wait_to_leave(g, child, outcome);
    if (child->prev)
        child->prev->next = child->next;
    else
        g->first = child->next;
    if (child->next)
        child->next->prev = child->prev;
    else
        g->last = child->prev;
    if (g->as_completed && child->fiber.started)
        keep_ended(child);
    if (g->max_live && child->fiber.started)
        spawner = hand_place_on(g);
    if (--g->live == 0 || g->wants_next)
        closer = g->closer;
    rdl_lock_release(&g->lock);
    if (spawner.wait)
        (void)rdl_fiber_fire(spawner, 0);
    if (closer.wait)
        (void)rdl_fiber_fire(closer, 0);
}

static void wait_for_all(struct rdl_group *g, struct rdl_fiber *self)
{
    rdl_lock_acquire(&g->lock);
    while (g->live) {
        g->closer = rdl_fiber_arm(self, RDL_PARK_SHIELDED);
        rdl_lock_release(&g->lock);
        (void)rdl_fiber_park(self, RDL_PARK_SHIELDED, "the tasks of its group", 0);
        rdl_lock_acquire(&g->lock);
        g->closer.wait = NULL;
    }
    /* Children may still spawn into it while they are waited for. */
    g->open = CLOSED_MARK;
    rdl_lock_release(&g->lock);
}

static __attribute__((noinline)) void wait_watched(struct rdl_group *g, struct rdl_fiber *self)
{
    struct rdl_blocked blocked = {
        .by = RDL_BLOCKED_BY_GROUP, .how = RDL_PARK_SHIELDED, .fiber = self, .group = g};

    (void)rdl_deadlock_enter(&blocked); /* it can't fail */
    wait_for_all(g, self);
    rdl_deadlock_leave(&blocked);
}

/* No more children, then none. */
static void join_all(struct rdl_group *g, struct rdl_fiber *self)
{
    if (rdl_debug_checks())
        wait_watched(g, self);
    else
        wait_for_all(g, self);
}

/* Under the lock, or when nobody else is there: the handle at the head of the line, or NULL. */
static struct raddle_task *take_ended(struct rdl_group *g)
{
    struct raddle_task *handle = g->ended_first;

    if (!handle || !handle->left)
        return NULL;
    g->ended_first = handle->next_ended;
    return handle;
}

/* Debug mode: the group stays open as long as this call lasts, and its owner with it. */
static void report_stranger(const struct rdl_group *g)
{
    char caller[RDL_WHO_BYTES], owner[RDL_WHO_BYTES];

    rdl_report("raddle_group_next: %s isn't %s, which opened the group at %s",
               rdl_describe_caller(caller), rdl_describe_task(g->owner, owner),
               rdl_describe_site(g->scope.site));
}

int raddle_group_next(struct raddle_group *group, raddle_task **done)
{
    struct rdl_group *g = of(group);
    struct rdl_task *self = rdl_task_self();
    struct raddle_task *handle;
    int rc;

    if (!group || !done || g->open != OPEN_MARK || !g->as_completed)
        return -EINVAL;
    if (!self || g->owner != self) {
        if (rdl_debug_checks())
            report_stranger(g);
        return -EPERM;
    }
    rc = rdl_cancel_check(&self->fiber);
    if (rc < 0)
        return rc;
    rdl_lock_acquire(&g->lock);
    while (!(handle = take_ended(g)) && g->live && rc == 0) {
        g->wants_next = true;
        g->closer = rdl_fiber_arm(&self->fiber, RDL_PARK_CANCELLABLE);
        rdl_lock_release(&g->lock);
        (void)rdl_fiber_park(&self->fiber, RDL_PARK_CANCELLABLE, "the next task of its group",
                             (uint64_t)(uintptr_t)g);
        rc = rdl_cancel_check(&self->fiber);
        rdl_lock_acquire(&g->lock);
        g->closer.wait = NULL;
        g->wants_next = false;
    }
    rdl_lock_release(&g->lock);
    if (handle) {
        *done = handle;
        return 1;
    }
    return rc;
}

void rdl_group_finish_root(struct rdl_group *g, const char *reason)
{
    rdl_group_cancel_root(g, reason);
    join_all(g, rdl_fiber_self());
}

/* The caller, which may be no task, closes a group that is another's, or not its innermost scope. */
static _Noreturn void die_closing(const struct rdl_group *g)
{
    const struct rdl_task *self = rdl_task_self();
    char who[RDL_WHO_BYTES], text[400];

    snprintf(text, sizeof(text), "raddle_group_close: not the %s: %s closes the group opened at %s",
             self && g->owner == self ? "innermost scope" : "task that opened it",
             rdl_describe_caller(who), rdl_describe_site(g->scope.site));
    rdl_die(text);
}

int raddle_group_close(struct raddle_group *group, int rc)
{
    struct rdl_group *g = of(group);
    struct rdl_task *self = rdl_task_self();
    struct raddle_outcome body = {.kind = RADDLE_OK, .rc = rc};
    struct raddle_task *untold;
    const char *reason = NULL;
    bool extra; /* of which the caller knows */

    if (!group || g->open != OPEN_MARK)
        return rc;
    if (__builtin_expect(!self || g->owner != self || self->fiber.scope != &g->scope, 0))
        die_closing(g);

    if (rc == -ECANCELED && rdl_scope_canceller(&g->scope, rdl_loop_look(rdl_loop_current())))
        body.kind = RADDLE_CANCELLED; /* and so are the children */
    else if (rc < 0)
        body = (struct raddle_outcome){RADDLE_FAILED, rdl_outcome_rc(rc)};
    else
        body.kind = RADDLE_PENDING; /* the body's success is no child's */
    reason = note(g, NULL, &body, &extra);
    if (body.kind == RADDLE_FAILED && g->mode != RADDLE_COLLECT)
        reason = "the code that opened the group failed";
    if (reason)
        rdl_scope_cancel_tree(&g->scope, reason);
    join_all(g, &self->fiber);

    rdl_lock_acquire(&self->tree);
    self->groups = g->outer;
    rdl_lock_release(&self->tree);
    while ((untold = take_ended(g)))
        raddle_task_unref(untold);

    if (g->failed || g->succeeded)
        rc = g->first_rc;
    else if (rc >= 0 && g->ended_cancelled && rdl_scope_overrun(&g->scope))
        rc = -ECANCELED; /* children were cut short, though not the body; the scope says by what */
    return raddle_scope_leave(&group->scope, rc);
}

size_t raddle_group_live(struct raddle_group *group)
{
    struct rdl_group *g = of(group);
    size_t live;

    rdl_lock_acquire(&g->lock);
    live = g->live;
    rdl_lock_release(&g->lock);
    return live;
}

size_t raddle_group_errors(const struct raddle_group *group)
{
    struct rdl_group *g = of((struct raddle_group *)(uintptr_t)group);
    size_t count;

    if (g->open != OPEN_MARK && g->open != CLOSED_MARK)
        return 0;
    rdl_lock_acquire(&g->lock);
    count = g->error_count;
    rdl_lock_release(&g->lock);
    return count;
}

void raddle_group_autoclose(struct raddle_group *group)
{
    struct rdl_group *g = of(group);
    const char *site;
    int rc;

    if (g->open != OPEN_MARK)
        return;
    rdl_report("task \"%s\" left a group without closing it, which it had opened at %s: it is "
               "cancelled and "
               "waited for",
               g->owner->name, rdl_describe_site(g->scope.site));
    raddle_group_cancel(group, "its group was left");
    site = g->scope.site;
    rc = raddle_group_close(group, 0);
    /* The block that could have had it is over. */
    if (rc < 0 && rdl_debug_checks())
        rdl_report_error(&(struct raddle_error_event){.rc = rc, .site = site},
                         "the group that was opened at %s failed, and nobody reads it: %s",
                         rdl_describe_site(site), raddle_strerror(rc));
}
