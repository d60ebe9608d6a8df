/*
 * runtime/scope.c - the public face of scopes: entering, leaving, asking. The rules are in
 * sched/cancel.c, cancelling in runtime/tree.c.
 *
 * A scope knows where it was entered, for who forgets to leave it. When a task has returned inside of it, it lies in a
 * frame that is gone: what is there still is most likely the scope, and the mark says whether.
 */
#include <errno.h>
#include <raddle/scope.h>
#include <stdio.h>

#include "runtime/describe.h"
#include "runtime/monitor.h"
#include "runtime/task.h"
#include "sched/loop.h"

static struct rdl_scope *of(struct raddle_scope *scope)
{
    return (struct rdl_scope *)(void *)scope;
}

static inline uint32_t mark_of(const struct rdl_scope *scope, const char *site)
{
    return (uint32_t)((uintptr_t)scope ^ (uintptr_t)site) | 1;
}

void rdl_scope_set_site(struct rdl_scope *scope, const char *site)
{
    scope->site = site;
    scope->mark = mark_of(scope, site);
}

/* What can be said of one that may be gone. */
struct remains {
    const char *what; /* "scope" or "group", with the words for how one comes into it */
    const char *site;
};

static __attribute__((noinline, no_sanitize("address"))) struct remains
remains_of(const struct rdl_scope *scope)
{
    const char *site = scope->site;

    if (scope->mark != mark_of(scope, site))
        return (struct remains){"scope or group, entered", NULL};
    return (struct remains){scope->flags & RDL_SCOPE_GROUP ? "group opened" : "scope entered",
                            site};
}

void rdl_scope_die_inside(const struct rdl_task *self)
{
    struct remains inner = remains_of(self->fiber.scope);
    char who[RDL_WHO_BYTES], text[400];

    snprintf(text, sizeof(text), "%s returned without leaving the %s at %s",
             rdl_describe_task(self, who), inner.what, rdl_describe_site(inner.site));
    rdl_die(text);
}

/* The caller, which may be no task, leaves scope, which isn't the innermost that it is in. */
static _Noreturn void die_leaving(const struct rdl_scope *scope)
{
    const struct rdl_task *self = rdl_task_self();
    struct remains left = remains_of(scope), inner = {NULL, NULL};
    char who[RDL_WHO_BYTES], text[600];
    int n;

    n = snprintf(text, sizeof(text),
                 "raddle_scope_leave: not the innermost scope of this task: %s leaves the %s at %s",
                 rdl_describe_caller(who), left.what, rdl_describe_site(left.site));
    if (self && self->fiber.scope != &self->root)
        inner = remains_of(self->fiber.scope);
    if (inner.what)
        snprintf(text + n, sizeof(text) - (size_t)n, ", but is in the %s at %s", inner.what,
                 rdl_describe_site(inner.site));
    rdl_die(text);
}

void raddle_scope_enter_at(struct raddle_scope *scope, raddle_time deadline, unsigned flags,
                           const char *site)
{
    struct rdl_fiber *self = rdl_fiber_self();

    rdl_check(self, "raddle_scope_enter: outside a task");
    rdl_check(!(flags & ~(unsigned)(RADDLE_SHIELD | RADDLE_QUIET)),
              "raddle_scope_enter: bad flags");
    rdl_scope_enter(self, of(scope), self->scope, deadline ? deadline : RADDLE_NEVER, flags);
    rdl_scope_set_site(of(scope), site);
}

/* What cancels from outside of scope, or NULL. */
static struct rdl_scope *outer_canceller(struct rdl_scope *scope)
{
    if (scope->flags & RADDLE_SHIELD)
        return NULL;
    return rdl_scope_canceller(scope->parent, rdl_loop_look(rdl_loop_current()));
}

static enum rdl_scope_state state_of(struct rdl_scope *scope)
{
    enum rdl_scope_state state = (enum rdl_scope_state)rdl_atomic_load_acquire(&scope->state);

    if (state == RDL_SCOPE_OPEN && scope->deadline_ns != RADDLE_NEVER &&
        scope->deadline_ns <= rdl_loop_look(rdl_loop_current()))
        state = RDL_SCOPE_EXPIRED;
    return state;
}

bool rdl_scope_overrun(struct rdl_scope *scope)
{
    return state_of(scope) == RDL_SCOPE_EXPIRED || outer_canceller(scope);
}

int raddle_scope_leave(struct raddle_scope *scope, int rc)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_scope *s = of(scope);

    if (__builtin_expect(!self || s->fiber != self || self->scope != s, 0))
        die_leaving(s);
    if (rc == -ECANCELED && !outer_canceller(s)) {
        enum rdl_scope_state state = state_of(s);
        if (state == RDL_SCOPE_CANCELLED)
            rc = 0;
        else if (state == RDL_SCOPE_EXPIRED)
            rc = s->flags & RADDLE_QUIET ? 0 : -ETIMEDOUT;
        if (state != RDL_SCOPE_OPEN)
            s->flags |= RDL_SCOPE_CAUGHT;
    }
    rdl_scope_leave(self, s);
    return rc;
}

/* The scope is cancelled, so every cancellation point in it takes the slow way, through rdl_cancel_look(), which notes
 * it: what they cost otherwise stays as it is. */
int raddle_scope_probe(int (*fn)(void *arg), void *arg)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct raddle_scope scope;
    uint32_t outer_depth;
    bool outer_met, met;
    int rc;

    if (!self)
        return -EPERM;
    if (!fn)
        return -EINVAL;
    outer_depth = self->probe_depth;
    outer_met = self->met;
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "a probe");
    self->probe_depth = of(&scope)->depth;
    self->met = false;
    (void)fn(arg);
    met = self->met;
    rc = raddle_scope_leave(&scope, 0);
    (void)rc; /* 0 stays 0 */
    self->probe_depth = outer_depth;
    self->met = outer_met || (met && self->scope->shield_depth <= outer_depth);
    return met;
}

bool raddle_scope_cancelled(const struct raddle_scope *scope)
{
    return rdl_atomic_load_acquire(&of((struct raddle_scope *)(uintptr_t)scope)->state) !=
           RDL_SCOPE_OPEN;
}

bool raddle_scope_caught(const struct raddle_scope *scope)
{
    return of((struct raddle_scope *)(uintptr_t)scope)->flags & RDL_SCOPE_CAUGHT;
}

int raddle_scope_deadline(struct raddle_scope *scope, raddle_time deadline)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_scope *s = of(scope);

    if (!self)
        return -EPERM;
    if (!scope || s->fiber != self)
        return -EINVAL;
    for (struct rdl_scope *inner = self->scope; inner != s->parent; inner = inner->parent)
        if (inner->flags & RDL_SCOPE_GROUP)
            return -EBUSY;
    if (state_of(s) != RDL_SCOPE_OPEN)
        return -EBUSY;
    rdl_scope_revise(self, s, deadline ? deadline : RADDLE_NEVER, s->flags);
    return 0;
}

int raddle_scope_shield(struct raddle_scope *scope, bool on)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_scope *s = of(scope);

    if (!self)
        return -EPERM;
    if (!scope || s->fiber != self || self->scope != s)
        return -EINVAL;
    if (s->flags & RDL_SCOPE_GROUP)
        return -EBUSY;
    rdl_scope_revise(self, s, s->deadline_ns,
                     on ? s->flags | RADDLE_SHIELD : s->flags & ~(uint32_t)RADDLE_SHIELD);
    return 0;
}

void raddle_scope_autoclose(struct raddle_scope *scope)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    if (!self || of(scope)->fiber != self)
        return;
    rc = raddle_scope_leave(scope, 0);
    (void)rc; /* 0 stays 0 */
}

static struct rdl_scope *canceller_of_self(void)
{
    struct rdl_fiber *self = rdl_fiber_self();

    rdl_monitor_look();
    return self ? rdl_scope_canceller(self->scope, rdl_loop_look(rdl_loop_current())) : NULL;
}

bool raddle_cancelled(void)
{
    return canceller_of_self() != NULL;
}

const char *raddle_cancel_reason(void)
{
    struct rdl_scope *scope = canceller_of_self();

    return scope ? rdl_atomic_load_acquire(&scope->reason) : NULL;
}

raddle_time raddle_effective_deadline(void)
{
    struct rdl_fiber *self = rdl_fiber_self();

    return self ? self->nearest_ns : RADDLE_NEVER;
}
