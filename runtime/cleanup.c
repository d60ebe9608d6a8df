/*
 * runtime/cleanup.c - clean-up: a while in which a task isn't cancelled, and that has an end all the same.
 *
 * The deadline of a shielded scope is the only one that holds inside it. So clean-ups inside clean-ups would each
 * have their own time, and a plain shield between two would hide the outer one: a clean-up looks for those around
 * it itself, through all scopes, and takes the nearest end.
 */
#include <raddle/scope.h>
#include <raddle/time.h>

#include "runtime/task.h"
#include "sched/loop.h"

raddle_time raddle_cleanup_deadline(int64_t ns)
{
    struct rdl_fiber *self = rdl_fiber_self();
    raddle_time deadline = raddle_in(ns);

    for (struct rdl_scope *s = self ? self->scope : NULL; s; s = s->parent)
        if (s->flags & RDL_SCOPE_CLEANUP && s->deadline_ns < deadline)
            deadline = s->deadline_ns;
    return deadline;
}

void raddle_cleanup_enter_at(struct raddle_scope *scope, int64_t ns, const char *site)
{
    struct rdl_scope *s = (struct rdl_scope *)(void *)scope;
    struct rdl_fiber *self = rdl_fiber_self();

    rdl_check(self, "raddle_cleanup_enter: outside a task");
    rdl_scope_enter(self, s, self->scope, raddle_cleanup_deadline(ns),
                    RADDLE_SHIELD | RADDLE_QUIET | RDL_SCOPE_CLEANUP);
    rdl_scope_set_site(s, site);
}
