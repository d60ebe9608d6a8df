/*
 * io/sim_quiesce.c - waiting in a simulated world until everybody waits.
 *
 * A short sleep would not do: the clock moves with each look at it, and tasks that never wait look at it. The world
 * itself knows: when it finds no loop that could go on, nothing is runnable, posted or due in any of them, and what
 * comes next comes with a jump of the clock. Just then it tells those who asked, all at once, as they wait for each
 * other, too. Where a job has yet to end, it lets the clock go on to that.
 */
#include <errno.h>
#include <raddle/sim.h>

#include "io/sim.h"
#include "sched/fiber.h"
#include "sched/loop.h"

/* One who waits, in its frame. */
struct rdl_sim_quiesce {
    struct rdl_sim_quiesce *next; /* in the world */
    struct rdl_ticket ticket;
    bool listed;
};

static bool has_work(const struct rdl_sim_world *world)
{
    for (const struct rdl_chore *chore = world->first; chore; chore = chore->next)
        if (chore->work)
            return true;
    return false;
}

static void enlist(struct rdl_sim_world *world, struct rdl_sim_quiesce *q)
{
    struct rdl_sim_quiesce **link = &world->quiesce;

    while (*link)
        link = &(*link)->next;
    q->next = NULL;
    q->listed = true;
    *link = q;
}

static void strike(struct rdl_sim_world *world, struct rdl_sim_quiesce *q)
{
    struct rdl_sim_quiesce **link = &world->quiesce;

    if (!q->listed)
        return;
    while (*link != q)
        link = &(*link)->next;
    *link = q->next;
    q->listed = false;
}

unsigned rdl_sim_quiesced(struct rdl_sim_world *world)
{
    struct rdl_sim_quiesce *q;
    unsigned count = 0;

    if (!world->quiesce || has_work(world))
        return 0;
    while ((q = world->quiesce)) {
        strike(world, q);
        rdl_sim_note(world, ++count);
        /* From here on q is the sleeper's, which runs later and on this thread. */
        (void)rdl_fiber_fire(q->ticket, 0);
    }
    return count;
}

int raddle_sim_quiesce(void)
{
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_sim_world *world = rdl_sim_here();
    struct rdl_sim_quiesce q = {.listed = false};
    int rc;

    if (!self)
        return -EPERM;
    if (!world)
        return -ENOTSUP;
    for (;;) {
        rc = rdl_cancel_check(self);
        if (rc < 0)
            return rc;
        q.ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        enlist(world, &q);
        rc = rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "all others to wait", 0);
        strike(world, &q);
        /* Otherwise it was a deadline, a cancellation or a false alarm. */
        if (rc == 0)
            return 0;
    }
}
