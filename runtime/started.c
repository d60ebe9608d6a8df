/*
 * runtime/started.c - a spawn that waits until the child is up.
 *
 * The danger. Parent and child may each end it at any time: the child says that it is up, or ends, while the
 * parent is cancelled; and what they share lies in the parent's frame. So it is under a lock there, whose
 * release is the child's last touch; the parent goes only when the child has said one or the other.
 *
 *     state       set by        the child
 *     STARTING                  points here
 *     UP          the child     is the group's
 *     ENDED       the child     has ended, and the group doesn't learn how
 *
 * A parent that is cancelled cancels the child, and goes on waiting, shielded. From then on (abandoned) the
 * child can't be up any more, only end.
 */
#include <errno.h>
#include <raddle/error.h>
#include <raddle/task.h>

#include "runtime/task.h"
#include "sched/loop.h"

enum state { STARTING, UP, ENDED };

struct rdl_starting {
    struct rdl_lock lock;
    enum state state;
    bool abandoned;
    void *value;
    struct raddle_outcome outcome;
    struct rdl_ticket parent; /* wait NULL: it isn't asleep */
};

/* The lock held, and released. */
static void tell_parent(struct rdl_starting *s, enum state state)
{
    struct rdl_ticket parent = s->parent;

    s->state = state;
    rdl_lock_release(&s->lock);
    if (parent.wait)
        (void)rdl_fiber_fire(parent, 0);
}

void rdl_starting_ended(struct rdl_starting *s, const struct raddle_outcome *outcome)
{
    rdl_lock_acquire(&s->lock);
    s->outcome = *outcome;
    tell_parent(s, ENDED);
}

int raddle_started(void *value)
{
    struct rdl_task *self = rdl_task_self();
    struct rdl_starting *s;

    if (!self)
        return -EPERM;
    s = self->starting;
    if (!s)
        return 0;
    rdl_lock_acquire(&s->lock);
    if (s->abandoned) {
        rdl_lock_release(&s->lock);
        return -ECANCELED;
    }
    self->starting = NULL;
    s->value = value;
    tell_parent(s, UP);
    return 0;
}

/* Waits until the child is up or has ended. Why the caller is cancelled, or 0. */
static int wait_for(struct rdl_starting *s, struct rdl_fiber *self, raddle_task *child)
{
    enum rdl_park how = RDL_PARK_CANCELLABLE;
    int rc = 0;

    rdl_lock_acquire(&s->lock);
    while (s->state == STARTING) {
        if (rc < 0 && !s->abandoned) {
            s->abandoned = true;
            how = RDL_PARK_SHIELDED;
            rdl_lock_release(&s->lock);
            (void)raddle_task_cancel(child, "who started it was cancelled");
            rdl_lock_acquire(&s->lock);
            continue;
        }
        s->parent = rdl_fiber_arm(self, how);
        rdl_lock_release(&s->lock);
        (void)rdl_fiber_park(self, how, "a task to be up", (uint64_t)(uintptr_t)child);
        if (rc == 0)
            rc = rdl_cancel_check(self);
        rdl_lock_acquire(&s->lock);
        s->parent.wait = NULL;
    }
    rdl_lock_release(&s->lock);
    return rc;
}

/* Of a child that ended before it was up. */
static int result_of(const struct raddle_outcome *outcome, int rc)
{
    if (outcome->kind == RADDLE_FAILED)
        return outcome->rc;
    if (rc < 0)
        return rc;
    return outcome->kind == RADDLE_OK ? -EPROTO : RADDLE_ESHUTDOWN;
}

int raddle_spawn_started_at(struct raddle_group *group, raddle_task **out, raddle_task_fn *fn,
                            void *arg, const struct raddle_spawn_options *options, void **ready,
                            const struct raddle_spawn_site *site)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_starting s = {.state = STARTING};
    raddle_task *child = NULL;
    int rc;

    if (!self)
        return -EPERM;
    rc = rdl_cancel_check(self);
    if (rc == 0)
        rc = rdl_task_spawn_user(group, &child, fn, arg, options, site, &s);
    if (rc < 0)
        return rc;
    rc = wait_for(&s, self, child);
    if (s.state == ENDED) {
        raddle_task_unref(child);
        return result_of(&s.outcome, rc);
    }
    if (ready)
        *ready = s.value;
    if (out)
        *out = child;
    else
        raddle_task_unref(child);
    return 0;
}
