/*
 * runtime/exits.c - exit stacks: pushed, moved, closed within a budget.
 *
 * A function is taken off before it is called, so that it may push, or close what is left, and none is called twice.
 *
 * The budget is a shield with a deadline. What comes of it is not answered by leaving the scope, as in other code: rc
 * may be an -ECANCELED from before, which belongs to a scope further out and has to pass.
 */
#include <errno.h>
#include <raddle/error.h>
#include <raddle/exits.h>
#include <raddle/scope.h>
#include <string.h>

#include "runtime/report.h"
#include "runtime/task.h"
#include "sched/loop.h"
#include "sched/sys.h"

enum { OWN = 4 };

struct entry {
    raddle_exit_fn *fn;
    void *arg;
};

/* What struct raddle_exits holds. */
struct exits {
    struct entry *memory; /* NULL: own is large enough so far */
    size_t count;
    size_t capacity; /* of memory */
    struct entry own[OWN];
};

static_assert(sizeof(struct exits) <= sizeof(struct raddle_exits), "fits what users compile in");

static struct exits *of(struct raddle_exits *exits)
{
    return (struct exits *)(void *)exits;
}

static struct entry *entries(struct exits *e)
{
    return e->memory ? e->memory : e->own;
}

static int grow(struct exits *e)
{
    size_t capacity = 2 * e->count;
    struct entry *memory = rdl_sys_malloc(capacity * sizeof(*memory));

    if (!memory)
        return -ENOMEM;
    memcpy(memory, entries(e), e->count * sizeof(*memory));
    rdl_sys_free(e->memory);
    e->memory = memory;
    e->capacity = capacity;
    return 0;
}

int raddle_exits_push(struct raddle_exits *exits, raddle_exit_fn *fn, void *arg)
{
    struct exits *e = of(exits);
    int rc = 0;

    if (!exits || !fn)
        return -EINVAL;
    if (e->count == (e->memory ? e->capacity : OWN))
        rc = grow(e);
    if (rc == 0)
        entries(e)[e->count++] = (struct entry){fn, arg};
    return rc;
}

/* scope: that of the budget, NULL outside a task. */
static int call_all(struct exits *e, int rc, struct rdl_scope *scope)
{
    while (e->count) {
        struct entry entry = entries(e)[--e->count];
        int next = entry.fn(entry.arg, rc);

        if (next == -ECANCELED && rc != -ECANCELED && scope && rdl_scope_overrun(scope))
            next = -ETIMEDOUT;
        rc = next;
    }
    rdl_sys_free(e->memory);
    e->memory = NULL;
    return rc;
}

/* No later than that of the clean-up around it, in this task or one that waits for it. */
static raddle_time deadline_of(const struct rdl_scope *scope, int64_t budget_ns)
{
    raddle_time deadline = budget_ns == RADDLE_NEVER ? RADDLE_NEVER : raddle_in(budget_ns);

    while (scope && !(scope->flags & RADDLE_SHIELD))
        scope = scope->parent;
    return scope && scope->deadline_ns < deadline ? scope->deadline_ns : deadline;
}

int raddle_exits_close(struct raddle_exits *exits, int rc, int64_t budget_ns)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_scope scope;

    if (!exits || !of(exits)->count)
        return rc;
    if (!self)
        return call_all(of(exits), rc, NULL);
    rdl_scope_enter(self, &scope, self->scope,
                    deadline_of(self->scope, budget_ns ? budget_ns : RADDLE_EXITS_BUDGET_NS),
                    RADDLE_SHIELD);
    rc = call_all(of(exits), rc, &scope);
    rdl_check(self->scope == &scope,
              "a function of an exit stack returned without leaving a scope or a group");
    rdl_scope_leave(self, &scope);
    return rc;
}

void raddle_exits_autoclose(struct raddle_exits *exits)
{
    int rc = raddle_exits_close(exits, 0, 0);

    if (rc < 0)
        rdl_report("an exit stack that was left open failed: %s (%d)", raddle_strerror(rc), rc);
}

int raddle_exits_move(struct raddle_exits *from, struct raddle_exits *to)
{
    if (!from || !to || from == to || of(to)->count)
        return -EINVAL;
    rdl_sys_free(of(to)->memory);
    *to = *from;
    *of(from) = (struct exits){.count = 0};
    return 0;
}
