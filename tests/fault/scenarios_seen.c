/*
 * tests/fault/scenarios_seen.c - what is seen of a run from inside: its tasks, where they stand, who waits for whom; for
 * the sweep.
 */
#include "tests/fault/scenarios.h"

#include <errno.h>
#include <raddle.h>

enum { TURNS = 10, FRAMES = 16 };

static int sleeps_for_ever(void *arg)
{
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER);
}

/* Main and the sleeper, with their names, or why not. */
static int lists(raddle_task *sleeper)
{
    struct raddle_task_info *list = NULL;
    ssize_t n = raddle_all_tasks(NULL, &list);
    bool found = false;

    if (n < 0)
        return n == -ENOMEM && !list ? -ENOMEM : FAULT_WRONG;
    for (ssize_t i = 0; i < n; i++)
        found |= list[i].task == sleeper;
    raddle_all_tasks_free(list, (size_t)n);
    return found && n == 2 ? 0 : FAULT_WRONG;
}

static int looks_at_stack(raddle_task *sleeper)
{
    void *frames[FRAMES];
    ssize_t n = raddle_task_stack(sleeper, frames, FRAMES);

    if (n == -ENOTSUP || n == -ENOMEM || n == -EBUSY)
        return (int)n;
    return n > 0 ? 0 : FAULT_WRONG;
}

static int looks(void *arg)
{
    raddle_task *sleeper = NULL;
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL), closed;

    (void)arg;
    if (rc < 0)
        return rc;
    rc = raddle_spawn(&g, &sleeper, sleeps_for_ever, NULL, NULL);
    for (int i = 0; rc == 0 && i < TURNS; i++)
        rc = raddle_yield();
    if (rc == 0)
        rc = fault_first(lists(sleeper), looks_at_stack(sleeper));
    raddle_group_cancel(&g, "it has been seen");
    closed = raddle_group_close(&g, 0);
    raddle_task_unref(sleeper);
    return rc == -ENOTSUP ? closed : fault_first(rc, closed);
}

static int scenario_seen(void)
{
    return raddle_run(looks, NULL, &(struct raddle_run_options){.loops = 1});
}

struct crosswise {
    struct raddle_mutex first, second;
    int refused; /* plain: one loop */
};

static int locks_second_first(void *arg)
{
    struct crosswise *c = arg;
    int rc = raddle_lock(&c->second);

    if (rc < 0)
        return rc;
    rc = raddle_lock(&c->first);
    c->refused += rc == -EDEADLK;
    if (rc == 0)
        rc = raddle_unlock(&c->first);
    return fault_first(rc == -EDEADLK ? 0 : rc, raddle_unlock(&c->second));
}

/* The report of the cycle may be what there is no memory for; that one is refused doesn't depend on it. */
static int locks_first_first(void *arg)
{
    struct crosswise *c = arg;
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    if (rc < 0)
        return rc;
    if ((rc = raddle_lock(&c->first)) == 0) {
        rc = raddle_spawn(&g, NULL, locks_second_first, c, NULL);
        for (int i = 0; rc == 0 && i < TURNS; i++)
            rc = raddle_yield();
        if (rc == 0) {
            rc = raddle_lock(&c->second);
            c->refused += rc == -EDEADLK;
            if (rc == 0)
                rc = raddle_unlock(&c->second);
            else if (rc == -EDEADLK)
                rc = 0;
            if (c->refused != 1)
                rc = FAULT_WRONG;
        }
        rc = fault_first(rc, raddle_unlock(&c->first));
    }
    return raddle_group_close(&g, rc);
}

static int scenario_deadlock(void)
{
    struct crosswise c = {.first = RADDLE_MUTEX_INIT, .second = RADDLE_MUTEX_INIT};

    return raddle_run(locks_first_first, &c,
                      &(struct raddle_run_options){.loops = 1, .debug = "1"});
}

const struct fault_scenario fault_seen_scenarios[] = {
    {"seen", scenario_seen, false},
    {"deadlock", scenario_deadlock, false},
    {0},
};
