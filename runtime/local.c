/*
 * runtime/local.c - task-local storage, and its end.
 *
 * A list per task, the newest first, which nobody else looks at.
 */
#include <errno.h>
#include <raddle/local.h>
#include <raddle/time.h>

#include "runtime/report.h"
#include "runtime/task.h"
#include "sched/sys.h"

enum { ROUNDS = 4 };

struct rdl_local {
    struct rdl_local *next;
    const struct raddle_local *key;
    void *value;
};

static struct rdl_local *find(const struct rdl_task *self, const struct raddle_local *key)
{
    struct rdl_local *local = self->locals;

    while (local && local->key != key)
        local = local->next;
    return local;
}

void *raddle_local_get(const struct raddle_local *key)
{
    struct rdl_task *self = rdl_task_self();
    struct rdl_local *local = self ? find(self, key) : NULL;

    return local ? local->value : NULL;
}

int raddle_local_set(struct raddle_local *key, const void *value)
{
    struct rdl_task *self = rdl_task_self();
    struct rdl_local *local;

    if (!key)
        return -EINVAL;
    if (!self)
        return -EPERM;
    local = find(self, key);
    if (!local) {
        local = rdl_sys_malloc(sizeof(*local));
        if (!local)
            return -ENOMEM;
        *local = (struct rdl_local){.next = self->locals, .key = key};
        self->locals = local;
    }
    local->value = (void *)(uintptr_t)value;
    return 0;
}

/* Takes the list away first: what a destructor sets is for the next round. */
static void end_all(struct rdl_task *self, bool destroy)
{
    struct rdl_local *local = self->locals, *next;

    self->locals = NULL;
    for (; local; local = next) {
        next = local->next;
        if (destroy && local->value && local->key->destroy)
            local->key->destroy(local->value);
        rdl_sys_free(local);
    }
}

void rdl_locals_end(struct rdl_task *self)
{
    struct rdl_scope scope;

    rdl_scope_enter(&self->fiber, &scope, self->fiber.scope, rdl_sys_now() + RADDLE_LOCAL_BUDGET_NS,
                    RADDLE_SHIELD);
    for (unsigned round = 0; round < ROUNDS && self->locals; round++)
        end_all(self, true);
    rdl_check(self->fiber.scope == &scope,
              "a destructor of task-local storage returned without leaving a scope or a group");
    rdl_scope_leave(&self->fiber, &scope);
    if (self->locals)
        rdl_report("task \"%s\" has ended, and its destructors still set task-local storage",
                   self->name);
    end_all(self, false);
}
