/*
 * runtime/tree.c - walks the tree of tasks from any thread, to cancel it or to print it.
 *
 * The danger. Tasks end, and groups in their frames are closed, while a foreign thread walks over
 * them; and the tree may be so large that no lock may be held for all of it, or so deep that no
 * recursion fits on a stack.
 *
 * Pins. A walker pins the task it stands on, under the lock of the group that owns the task. A
 * pinned task may run to its end, but waits there, in its last shielded wait, until it is unpinned.
 * So its control block stays; so does its group, which can't close while it has children; and so
 * does the frame of that group's owner. A walker therefore holds pins along the path from where it
 * began, and no locks: it goes to the next sibling by pinning that one before unpinning this one,
 * and up through group and owner pointers, which never change.
 *
 * New children. A canceller that has visited a group marks it poked under the lock, and a child
 * linked later is born poked: it will look at its scopes before it first waits. A group opened
 * later, in a task that was poked before its groups were visited, takes over the task's own poke
 * (runtime/group.c).
 *
 * A look at all tasks must come to an end while others spawn as fast as they can. Such walks are numbered, and a
 * child is linked, under its group's lock, with the number of walks that had begun. Children are listed in the order
 * in which they were linked, and so their numbers never fall: with the first that has this walk's number or a higher
 * one begin those that came after it, and there it leaves the group. Who was linked before it began, which others
 * know by whatever orders the two, has a lower one. The counter needs no ordering of its own: who reads an old value
 * is looked at, too.
 */
#include "runtime/task.h"

#include <raddle/scope.h>

struct walk {
    bool cancel;           /* poke, and skip what a shield holds off */
    uint32_t depth;        /* cancel: only groups whose scope lies at or inside this depth ... */
    struct rdl_task *base; /* ... of this task, where the walk began; it needs no pin */
    uint64_t number;       /* not those that were linked after this walk began; UINT64_MAX: all */
};

rdl_atomic(uint64_t) rdl_tree_walks;

static struct rdl_group *group_of(struct rdl_scope *scope)
{
    return (struct rdl_group *)(void *)scope;
}

/* Does a cancellation that comes from outside of the group's owner, or from the base's scope, get
 * in? */
static bool reaches(const struct walk *walk, const struct rdl_group *group)
{
    uint32_t depth = group->owner && group->owner == walk->base ? walk->depth : 0;

    if (!walk->cancel)
        return true;
    return group->scope.depth >= depth && group->scope.shield_depth <= depth;
}

static struct rdl_task *pin_first(const struct walk *walk, struct rdl_group *group)
{
    struct rdl_task *child;

    rdl_lock_acquire(&group->lock);
    child = group->first;
    if (child && child->walks >= walk->number)
        child = NULL;
    if (child)
        child->pins++;
    if (walk->cancel)
        group->poked = true;
    rdl_lock_release(&group->lock);
    return child;
}

/* Under the group's lock: who is to be woken after it. */
static struct rdl_ticket drop_pin(struct rdl_task *task)
{
    static const struct rdl_ticket nobody;

    return --task->pins == 0 ? task->exit : nobody;
}

void rdl_task_pin(struct rdl_task *task)
{
    rdl_lock_acquire(&task->group->lock);
    task->pins++;
    rdl_lock_release(&task->group->lock);
}

void rdl_task_unpin(struct rdl_task *task)
{
    struct rdl_group *group = task->group;
    struct rdl_ticket leaving;

    rdl_lock_acquire(&group->lock);
    leaving = drop_pin(task);
    rdl_lock_release(&group->lock);
    if (leaving.wait)
        (void)rdl_fiber_fire(leaving, 0);
}

/* From a pinned task to its next sibling; NULL, still pinned, when it is the last. */
static struct rdl_task *to_sibling(const struct walk *walk, struct rdl_task *task)
{
    struct rdl_group *group = task->group;
    struct rdl_ticket leaving = {.wait = NULL};
    struct rdl_task *next;

    rdl_lock_acquire(&group->lock);
    next = task->next;
    if (next && next->walks >= walk->number)
        next = NULL;
    if (next) {
        next->pins++;
        leaving = drop_pin(task);
    }
    rdl_lock_release(&group->lock);
    if (leaving.wait)
        (void)rdl_fiber_fire(leaving, 0);
    return next;
}

/* The first child in the groups of task that come after one of them (NULL: in all), pinned. */
static struct rdl_task *to_children(const struct walk *walk, struct rdl_task *task,
                                    const struct rdl_group *after)
{
    struct rdl_task *child = NULL;
    struct rdl_group *group;

    rdl_lock_acquire(&task->tree);
    for (group = after ? after->outer : task->groups; group && !child; group = group->outer)
        if (reaches(walk, group))
            child = pin_first(walk, group);
    rdl_lock_release(&task->tree);
    return child;
}

typedef void visit_fn(struct rdl_task *task, unsigned depth, void *arg);

/* Visits task, which is pinned, and all below it and beside it, up to where the walk began. */
static void walk_from(const struct walk *walk, struct rdl_task *task, visit_fn *visit, void *arg)
{
    unsigned depth = 0;

    while (task) {
        struct rdl_task *next;

        visit(task, depth, arg);
        next = to_children(walk, task, NULL);
        if (next)
            depth++;
        while (!next) {
            struct rdl_group *group = task->group;
            struct rdl_task *owner = group->owner;

            next = to_sibling(walk, task);
            if (next)
                break;
            /* group stays until its last child is unpinned, and so does owner. */
            next = owner ? to_children(walk, owner, group) : NULL;
            rdl_task_unpin(task);
            if (next)
                break;
            if (!owner || owner == walk->base)
                return;
            task = owner;
            depth--;
        }
        task = next;
    }
}

static void poke(struct rdl_task *task, unsigned depth, void *arg)
{
    (void)depth;
    (void)arg;
    rdl_fiber_poke(&task->fiber, 0);
}

void rdl_scope_poke_tree(struct rdl_scope *scope)
{
    struct rdl_task *base = (struct rdl_task *)(void *)scope->fiber;
    struct walk walk = {.cancel = true, .depth = scope->depth, .base = base, .number = UINT64_MAX};

    rdl_fiber_poke(&base->fiber, scope->depth);
    walk_from(&walk, to_children(&walk, base, NULL), poke, NULL);
}

void rdl_scope_cancel_tree(struct rdl_scope *scope, const char *reason)
{
    rdl_scope_mark(scope, RDL_SCOPE_CANCELLED, reason);
    rdl_scope_poke_tree(scope);
}

void rdl_group_cancel_root(struct rdl_group *group, const char *reason)
{
    struct walk walk = {.cancel = true, .number = UINT64_MAX};

    rdl_scope_mark(&group->scope, RDL_SCOPE_CANCELLED, reason);
    walk_from(&walk, pin_first(&walk, group), poke, NULL);
}

void rdl_tree_visit(struct rdl_group *root, visit_fn *visit, void *arg)
{
    struct walk walk = {.cancel = false,
                        .number = rdl_atomic_fetch_add_relaxed(&rdl_tree_walks, 1u) + 1};

    walk_from(&walk, pin_first(&walk, root), visit, arg);
}

void raddle_scope_cancel(struct raddle_scope *scope, const char *reason)
{
    rdl_scope_cancel_tree((struct rdl_scope *)(void *)scope, reason);
}

void raddle_group_cancel(struct raddle_group *group, const char *reason)
{
    struct rdl_group *g = group_of((struct rdl_scope *)(void *)group);

    if (g->owner)
        rdl_scope_cancel_tree(&g->scope, reason);
    else
        rdl_group_cancel_root(g, reason); /* raddle_background() */
}
