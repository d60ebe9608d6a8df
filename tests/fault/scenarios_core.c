/*
 * tests/fault/scenarios_core.c - tasks, groups, timers, executors, stacks and moves, for the sweep.
 */
#define _GNU_SOURCE
#include "tests/fault/scenarios.h"

#include <errno.h>
#include <raddle.h>

#include "runtime/loop.h"
#include "sched/stack.h"

enum { CHILDREN = 6 };

static int run(raddle_task_fn *fn, void *arg, unsigned loops)
{
    return raddle_run(fn, arg, &(struct raddle_run_options){.loops = loops});
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        int rc = raddle_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int sleeps_for_ever(void *arg)
{
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER);
}

/* --- spawn, join, cancel --- */

static int spawns(void *arg)
{
    struct raddle_task *tasks[CHILDREN] = {NULL};
    struct raddle_outcome outcome;
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < CHILDREN && rc == 0; i++)
        rc = raddle_spawn(&g, &tasks[i], i % 2 ? yields : nothing, NULL, NULL);
    for (unsigned i = 0; i < CHILDREN && rc == 0; i++) {
        rc = raddle_join(tasks[i], &outcome);
        if (rc == 0 && (outcome.kind != RADDLE_OK || outcome.rc != 0))
            rc = FAULT_WRONG;
    }
    for (unsigned i = 0; i < CHILDREN; i++)
        raddle_task_unref(tasks[i]);
    return raddle_group_close(&g, rc);
}

static int scenario_spawn(void)
{
    return run(spawns, NULL, 1);
}

static int scenario_team(void)
{
    return run(spawns, NULL, 3);
}

static int cancels(void *arg)
{
    struct raddle_task *task = NULL;
    struct raddle_outcome outcome;
    struct raddle_group g;
    int rc = raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT});

    (void)arg;
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < CHILDREN && rc == 0; i++) {
        rc = raddle_spawn(&g, &task, sleeps_for_ever, NULL, NULL);
        if (rc < 0)
            break;
        (void)raddle_yield();
        (void)raddle_task_cancel(task, "the test");
        rc = raddle_join(task, &outcome);
        if (rc == 0 && outcome.kind != RADDLE_CANCELLED)
            rc = FAULT_WRONG;
        raddle_task_unref(task);
    }
    return raddle_group_close(&g, rc);
}

static int scenario_cancel(void)
{
    return run(cancels, NULL, 1);
}

/* --- groups that fail --- */

static int fails_later(void *arg)
{
    int rc = yields(arg);

    return rc < 0 ? rc : -EDOM;
}

static int groups_fail(void *arg)
{
    struct raddle_group outer, inner;
    int rc = raddle_group_open(&outer, NULL), closed;

    (void)arg;
    if (rc < 0)
        return rc;
    rc = raddle_group_open(&inner, NULL);
    for (unsigned i = 0; i < CHILDREN && rc == 0; i++)
        rc = raddle_spawn(&inner, NULL, sleeps_for_ever, NULL, NULL);
    if (rc == 0)
        rc = raddle_spawn(&inner, NULL, fails_later, NULL, NULL);
    closed = raddle_group_close(&inner, rc);
    if (rc == 0 && closed != -EDOM)
        closed = FAULT_WRONG;
    if (closed == -EDOM)
        closed = 0;
    return raddle_group_close(&outer, closed);
}

static int scenario_group(void)
{
    return run(groups_fail, NULL, 1);
}

/* --- many at once --- */

/* More than raddle_wait() has room for in its frame. */
static int waits_for_any(void *arg)
{
    enum { MANY = 20 };
    struct raddle_task *tasks[MANY] = {NULL}, *next;
    struct raddle_group_options options = {.as_completed = true, .max_live = MANY};
    struct raddle_group g;
    int rc = raddle_group_open(&g, &options), n, told = 0;

    (void)arg;
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < MANY && rc == 0; i++)
        rc = raddle_spawn(&g, &tasks[i], yields, NULL, NULL);
    if (rc == 0) {
        rc = raddle_wait(tasks, MANY, RADDLE_ANY, NULL);
        rc = rc > 0 ? 0 : rc < 0 ? rc : FAULT_WRONG;
    }
    while (rc == 0 && (n = raddle_group_next(&g, &next)) != 0) {
        rc = n < 0 ? n : 0;
        if (rc == 0)
            raddle_task_unref(next);
        told++;
    }
    if (rc == 0 && told != MANY)
        rc = FAULT_WRONG;
    for (unsigned i = 0; i < MANY; i++)
        raddle_task_unref(tasks[i]);
    return raddle_group_close(&g, rc);
}

static int says_it_is_up(void *arg)
{
    int rc = raddle_started(arg);

    return rc < 0 ? rc : yields(NULL);
}

static int calls_many(void *arg)
{
    struct raddle_call calls[CHILDREN] = {{.fn = NULL}};
    struct raddle_group_options limited = {.max_live = 2};
    struct raddle_group g;
    size_t winner = CHILDREN;
    void *ready = NULL;
    int rc;

    for (unsigned i = 0; i < CHILDREN; i++)
        calls[i].fn = i % 2 ? yields : nothing;
    rc = raddle_gather(calls, CHILDREN, &limited);
    for (unsigned i = 0; i < CHILDREN && rc == 0; i++)
        if (calls[i].outcome.kind != RADDLE_OK)
            rc = FAULT_WRONG;
    if (rc == 0)
        rc = raddle_race(calls, CHILDREN, RADDLE_MS(1), &winner);
    if (rc == 0 && winner >= CHILDREN)
        rc = FAULT_WRONG;
    if (rc == 0)
        rc = waits_for_any(arg);
    if (rc < 0)
        return rc;
    rc = raddle_group_open(&g, NULL);
    if (rc < 0)
        return rc;
    rc = raddle_spawn_started(&g, NULL, says_it_is_up, &winner, NULL, &ready);
    if (rc == 0 && ready != &winner)
        rc = FAULT_WRONG;
    return raddle_group_close(&g, rc);
}

static int take_turns(void *arg)
{
    struct raddle_spawn_options options = {.strand = NULL};
    struct raddle_group g;
    raddle_strand *strand;
    int rc = raddle_strand_create(&strand);

    (void)arg;
    if (rc < 0)
        return rc;
    options.strand = strand;
    rc = raddle_group_open(&g, NULL);
    if (rc == 0) {
        for (unsigned i = 0; i < CHILDREN && rc == 0; i++)
            rc = raddle_spawn(&g, NULL, yields, NULL, &options);
        rc = raddle_group_close(&g, rc);
    }
    raddle_strand_unref(strand);
    return rc;
}

static int scenario_strand(void)
{
    return run(take_turns, NULL, 2);
}

static int scenario_many(void)
{
    return run(calls_many, NULL, 1);
}

/* --- timers and deadlines --- */

static int sleeps_a_little(void *arg)
{
    return raddle_sleep(RADDLE_US(50) * (1 + *(const int *)arg));
}

static int times(void *arg)
{
    static const int lengths[CHILDREN] = {0, 7, 2, 5, 1, 3};
    struct raddle_scope limit;
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < CHILDREN && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, sleeps_a_little, (void *)(uintptr_t)&lengths[i], NULL);
    raddle_scope_enter(&limit, raddle_in(RADDLE_US(200)), 0);
    if (raddle_scope_leave(&limit, sleeps_for_ever(NULL)) != -ETIMEDOUT && rc == 0)
        rc = FAULT_WRONG;
    return raddle_group_close(&g, rc);
}

static int scenario_timers(void)
{
    return run(times, NULL, 1);
}

/* --- executor --- */

static int job(void *arg)
{
    return *(const int *)arg + 1;
}

static int asks_executor(void *arg)
{
    int number = 41, result = 0;
    int rc = raddle_run_in_executor(arg, job, &number, &result);

    return rc < 0 ? rc : result == 42 ? 0 : FAULT_WRONG;
}

static int uses_executors(void *arg)
{
    raddle_executor *own = NULL;
    struct raddle_group g;
    int rc = raddle_executor_create(
        &(struct raddle_executor_options){.max_threads = 2, .queue_limit = 2}, &own);

    (void)arg;
    if (rc < 0)
        return rc;
    rc = raddle_group_open(&g, NULL);
    for (unsigned i = 0; i < CHILDREN && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, asks_executor, i % 2 ? own : NULL, NULL);
    rc = raddle_group_close(&g, rc);
    raddle_executor_destroy(own);
    return rc;
}

static int scenario_executor(void)
{
    return run(uses_executors, NULL, 1);
}

/* --- stacks --- */

static int parks_on_many(void *arg)
{
    struct raddle_spawn_options options = {.name = "sized"};
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < 150 && rc == 0; i++) {
        options.stack_bytes = (size_t)16384 << (i % 3 * 2);
        rc = raddle_spawn(&g, NULL, sleeps_for_ever, NULL, &options);
    }
    (void)raddle_yield();
    raddle_group_cancel(&g, "enough");
    return raddle_group_close(&g, rc);
}

static int scenario_stacks(void)
{
    int rc = run(parks_on_many, NULL, 1);

    rdl_stack_trim_all();
    return rc;
}

/* A kernel without guard regions. */
static int scenario_mprotect(void)
{
    int rc;

    rdl_stack_force_mprotect(true);
    rc = run(parks_on_many, NULL, 1);
    rdl_stack_trim_all();
    rdl_stack_force_mprotect(false);
    return rc;
}

/* The largest, of which few share a slab: so many slabs that the table of their records is worth giving back
 * when they are gone. */
static int parks_on_large(void *arg)
{
    struct raddle_spawn_options options = {.stack_bytes = RDL_STACK_MAX_BYTES};
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < 17 && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, sleeps_for_ever, NULL, &options);
    (void)raddle_yield();
    raddle_group_cancel(&g, "enough");
    return raddle_group_close(&g, rc);
}

static int scenario_large(void)
{
    int rc = run(parks_on_large, NULL, 1);

    rdl_stack_trim_all();
    return rc;
}

static int waits_for_trim(void *arg)
{
    int rc = parks_on_many(arg);

    /* Longer than the time between two trims, so that an idle loop gives back what it has. */
    return rc < 0 ? rc : raddle_sleep(RADDLE_MS(250));
}

static int scenario_trim(void)
{
    return run(waits_for_trim, NULL, 1);
}

/* --- moving --- */

static int moves(void *arg)
{
    struct rdl_team *team = raddle_running_loop()->base.team;

    (void)arg;
    for (unsigned i = 0; i < 6; i++) {
        raddle_loop *to = rdl_raddle_loop(team->loops[i % team->count]);
        int rc = raddle_move_to(to);
        if (rc < 0)
            return rc;
        if (raddle_running_loop() != to)
            return FAULT_WRONG;
    }
    return 0;
}

static int moves_many(void *arg)
{
    struct raddle_spawn_options options = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < CHILDREN && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, i % 2 ? moves : yields, NULL, i % 2 ? NULL : &options);
    return raddle_group_close(&g, rc);
}

static int scenario_move(void)
{
    return run(moves_many, NULL, 2);
}

const struct fault_scenario fault_core_scenarios[] = {
    {"spawn", scenario_spawn, false},   {"team", scenario_team, false},
    {"cancel", scenario_cancel, false}, {"group", scenario_group, false},
    {"timers", scenario_timers, false}, {"executor", scenario_executor, false},
    {"stacks", scenario_stacks, false}, {"mprotect", scenario_mprotect, false},
    {"large", scenario_large, false},   {"trim", scenario_trim, true},
    {"move", scenario_move, false},     {"many", scenario_many, false},
    {"strand", scenario_strand, false}, {NULL, NULL, false},
};
