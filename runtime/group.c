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
 */
#include <errno.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/group.h>
#include <stdio.h>
#include <string.h>

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

int raddle_group_open(struct raddle_group *group, const struct raddle_group_options *options)
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
    for (unsigned i = 0; i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;

    init(g);
    g->mode = (uint8_t)options->mode;
    g->owner = self;
    rdl_scope_enter(&self->fiber, &g->scope, self->fiber.scope,
                    options->deadline ? options->deadline : RADDLE_NEVER, options->scope_flags);
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
        rdl_atomic_store_relaxed(&child->fiber.stack->wait.poked, g->poked);
    }
    rdl_lock_release(&g->lock);
    return open;
}

/* Notes how the body or a child ended. Returns why the rest is to be cancelled, or NULL. */
static const char *note(struct rdl_group *g, const struct raddle_outcome *outcome)
{
    const char *reason = NULL;

    rdl_lock_acquire(&g->lock);
    switch (outcome->kind) {
    case RADDLE_FAILED:
        if (g->failed || g->succeeded)
            break;
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

void rdl_group_child_ended(struct rdl_task *child, const struct raddle_outcome *outcome)
{
    struct rdl_group *g = child->group;
    const char *reason;

    if (outcome->kind == RADDLE_OK && g->mode != RADDLE_FIRST_OK)
        return;
    if (outcome->kind == RADDLE_FAILED && g->reports)
        report_failure(child, outcome->rc);
    reason = note(g, outcome);
    /* The child is still linked, so the group is still there. */
    if (reason)
        rdl_scope_cancel_tree(&g->scope, reason);
}

void rdl_group_unlink(struct rdl_task *child)
{
    struct rdl_group *g = child->group;
    struct rdl_ticket closer = {.wait = NULL};

    rdl_lock_acquire(&g->lock);
    while (child->pins) {
        /* A walker stands on us (runtime/tree.c): it wakes us when it goes. */
        child->exit = rdl_fiber_arm(&child->fiber, RDL_PARK_SHIELDED);
        rdl_lock_release(&g->lock);
        (void)rdl_fiber_park(&child->fiber, RDL_PARK_SHIELDED, "to be looked at", 0);
        rdl_lock_acquire(&g->lock);
        child->exit.wait = NULL;
    }
    if (child->prev)
        child->prev->next = child->next;
    else
        g->first = child->next;
    if (child->next)
        child->next->prev = child->prev;
    else
        g->last = child->prev;
    if (--g->live == 0)
        closer = g->closer;
    rdl_lock_release(&g->lock);
    if (closer.wait)
        (void)rdl_fiber_fire(closer, 0);
}

/* No more children, then none. */
static void join_all(struct rdl_group *g, struct rdl_fiber *self)
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

void rdl_group_finish_root(struct rdl_group *g, const char *reason)
{
    rdl_group_cancel_root(g, reason);
    join_all(g, rdl_fiber_self());
}

int raddle_group_close(struct raddle_group *group, int rc)
{
    struct rdl_group *g = of(group);
    struct rdl_task *self = rdl_task_self();
    struct raddle_outcome body = {.kind = RADDLE_OK, .rc = rc};
    const char *reason = NULL;

    if (!group || g->open != OPEN_MARK)
        return rc;
    rdl_check(self && g->owner == self, "raddle_group_close: not the task that opened it");
    rdl_check(self->fiber.scope == &g->scope, "raddle_group_close: not the innermost scope");

    if (rc == -ECANCELED && rdl_scope_canceller(&g->scope, rdl_loop_look(rdl_loop_current())))
        body.kind = RADDLE_CANCELLED; /* and so are the children */
    else if (rc < 0)
        body = (struct raddle_outcome){RADDLE_FAILED, rdl_outcome_rc(rc)};
    else
        body.kind = RADDLE_PENDING; /* the body's success is no child's */
    reason = note(g, &body);
    if (body.kind == RADDLE_FAILED && g->mode != RADDLE_COLLECT)
        reason = "the code that opened the group failed";
    if (reason)
        rdl_scope_cancel_tree(&g->scope, reason);
    join_all(g, &self->fiber);

    rdl_lock_acquire(&self->tree);
    self->groups = g->outer;
    rdl_lock_release(&self->tree);

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
