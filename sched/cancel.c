/*
 * sched/cancel.c - whether a task is cancelled.
 *
 * Cancelling is push and pull. The canceller marks one scope, then pokes every task inside it
 * (runtime/tree.c), which costs what there is to cancel. A task that was poked finds out for itself
 * whether, and by whom, it is cancelled: it walks its scopes outwards up to the nearest shield. So
 * a poke may be late, early or for nothing, and the truth is only ever read in one place, by its
 * owner.
 *
 * Deadlines need no poke: a task that parks arms a timer for the nearest deadline around it, its
 * parents' included, and one that doesn't park compares with the loop's clock.
 *
 * Lifetime. The walk crosses from a task's root scope to the scope of the group that owns it. That
 * scope lies in another task's frame, and stays until the group is closed, which waits for this
 * task. parent, deadline_ns and flags are set before the scope can be reached from there, and don't change as long
 * as it can (rdl_scope_revise(): only where no group is open).
 * state goes from open to one other value once: whoever comes first says why. The root scope of a task may be
 * taken back by the task: who looks at it meanwhile, from below, sees the one or the other.
 */
#include "sched/cancel.h"

#include <assert.h>
#include <errno.h>
#include <raddle/scope.h>
#include <stddef.h>

#include "sched/fiber.h"
#include "sched/loop.h"

static int64_t nearer(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What follows from its own flags and deadline, and from the scope around it in its task (NULL: it is the root). */
static void derive(struct rdl_scope *scope, const struct rdl_scope *outer)
{
    bool shield = scope->flags & RADDLE_SHIELD;

    scope->nearest_ns = shield || !scope->parent
                            ? scope->deadline_ns
                            : nearer(scope->deadline_ns, scope->parent->nearest_ns);
    scope->shield_depth = shield ? scope->depth : outer ? outer->shield_depth : 0;
}

/* The innermost scope of self is as it is to be now. */
static void apply(struct rdl_fiber *self)
{
    self->nearest_ns = self->scope->nearest_ns;
    /* Read by cancellers while the wait is armed or parked: see sched/wait.c. */
    rdl_atomic_store_relaxed(&self->stack->wait.shield_depth, self->scope->shield_depth);
}

void rdl_scope_enter(struct rdl_fiber *self, struct rdl_scope *scope, struct rdl_scope *parent,
                     int64_t deadline_ns, uint32_t flags)
{
    bool root = self->scope == NULL;

    assert(root || parent);
    scope->parent = parent;
    scope->fiber = self;
    scope->deadline_ns = deadline_ns;
    scope->depth = root ? 1 : parent->depth + 1;
    scope->flags = flags;
    derive(scope, root ? NULL : parent);
    rdl_atomic_init(&scope->state, RDL_SCOPE_OPEN);
    rdl_atomic_init(&scope->reason, NULL);
    rdl_atomic_init(&scope->claimed, 0);

    self->scope = scope;
    apply(self);
}

/* The scope of self at this depth. */
static struct rdl_scope *at_depth(const struct rdl_fiber *self, uint32_t depth)
{
    struct rdl_scope *scope = self->scope;

    while (scope->depth > depth)
        scope = scope->parent;
    return scope;
}

void rdl_scope_revise(struct rdl_fiber *self, struct rdl_scope *scope, int64_t deadline_ns,
                      uint32_t flags)
{
    scope->deadline_ns = deadline_ns;
    scope->flags = flags;
    for (uint32_t depth = scope->depth; depth <= self->scope->depth; depth++) {
        struct rdl_scope *s = at_depth(self, depth);
        derive(s, s->parent);
    }
    apply(self);
    /* What a shield held off until now has to be seen. By an exchange: see rdl_scope_leave(). */
    (void)rdl_atomic_exchange_relaxed(&self->stack->wait.poked, 1u);
}

void rdl_scope_leave(struct rdl_fiber *self, struct rdl_scope *scope)
{
    struct rdl_scope *outer = scope->parent;

    scope->fiber = NULL;
    self->scope = outer;
    apply(self);
    /* What a shield held off has to be seen now. By an exchange, as wherever poked becomes 1: a plain
     * store would hide a canceller's 1 from the look that has to acquire it (sched/wait.c). */
    if (scope->flags & RADDLE_SHIELD)
        (void)rdl_atomic_exchange_relaxed(&self->stack->wait.poked, 1u);
}

void rdl_scope_mark(struct rdl_scope *scope, enum rdl_scope_state state, const char *reason)
{
    uint32_t open = RDL_SCOPE_OPEN;
    uint32_t nobody = 0;

    /* Whoever comes first says why, before it sets the state. Who comes second sets the state too, if it is
     * still open, because it must hold when the call returns: then there may be no reason for a moment.
     * The claim orders nothing. Each release has its acquire: reason's in raddle_cancel_reason(), state's in
     * rdl_scope_canceller(). */
    if (rdl_atomic_cas_relaxed(&scope->claimed, &nobody, 1u))
        rdl_atomic_store_release(&scope->reason, reason);
    (void)rdl_atomic_cas_release(&scope->state, &open, state);
}

void rdl_scope_unmark(struct rdl_scope *scope)
{
    /* Nothing is told with these: who looks meanwhile finds the one or the other, and a reason is a string that stays.
     * That they come before the next mark is the caller's business, who keeps it away. */
    rdl_atomic_store_relaxed(&scope->state, RDL_SCOPE_OPEN);
    rdl_atomic_store_relaxed(&scope->reason, NULL);
    rdl_atomic_store_relaxed(&scope->claimed, 0u);
}

struct rdl_scope *rdl_scope_canceller(struct rdl_scope *scope, int64_t now_ns)
{
    for (; scope; scope = scope->parent) {
        if (rdl_atomic_load_acquire(&scope->state) != RDL_SCOPE_OPEN)
            return scope;
        if (scope->deadline_ns <= now_ns) {
            rdl_scope_mark(scope, RDL_SCOPE_EXPIRED, "deadline");
            return scope;
        }
        if (scope->flags & RADDLE_SHIELD)
            break;
    }
    return NULL;
}

/* Is scope one that self has entered, and not its root? */
static bool is_inner(const struct rdl_scope *scope, const struct rdl_fiber *self)
{
    return scope->fiber == self && scope->depth > 1;
}

int rdl_cancel_look(struct rdl_fiber *self)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_scope *canceller;

    if (loop->before_look)
        loop->before_look();
    /* acquire: see [C] in sched/wait.c. */
    (void)rdl_atomic_exchange_acquire(&self->stack->wait.poked, 0u);
    /* The clock is read when nothing but a deadline is left to ask. */
    canceller = rdl_scope_canceller(self->scope, INT64_MIN);
    if (!canceller && self->nearest_ns != INT64_MAX)
        canceller = rdl_scope_canceller(self->scope, rdl_loop_look(loop));
    if (!canceller)
        return 0;
    if (!is_inner(canceller, self))
        self->told = true;
    if (self->scope->shield_depth <= self->probe_depth)
        self->met = true;
    /* Every later look is slow, too, as long as it lasts. */
    (void)rdl_atomic_exchange_relaxed(&self->stack->wait.poked, 1u);
    return -ECANCELED;
}
