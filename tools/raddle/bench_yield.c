/*
 * raddle/bench_yield.c - how long it takes to give way and come back, through the scheduler.
 *
 *     yield.T           T tasks on each loop take turns; per turn
 */
#include "tools/raddle/bench.h"

#include <stdio.h>

#include "sched/atomic.h"

#define EIGHT(x) x x x x x x x x

struct yielding {
    struct rdl_bench *bench;
    unsigned tasks; /* per loop */
    uint64_t rounds;
    rdl_atomic(uint64_t) turns;
};

static int yield_task(void *arg)
{
    struct yielding *yielding = arg;
    uint64_t turns = 0;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < yielding->rounds; i++) {
        /* NOLINTNEXTLINE(bugprone-macro-repeated-side-effects): to repeat it is what the macro is for */
        EIGHT(rc |= raddle_yield(); turns++;)
    }
    rdl_atomic_fetch_add_relaxed(&yielding->turns, turns);
    return rc;
}

static int yield_all(void *arg, struct rdl_series *series)
{
    struct yielding *yielding = arg;
    unsigned tasks = yielding->tasks * raddle_loop_count();
    struct rdl_stopwatch watch;
    struct raddle_group group;
    uint64_t turns;
    int rc;

    rdl_atomic_store_relaxed(&yielding->turns, 0u);
    rdl_stopwatch_start(&watch);
    rc = raddle_group_open(&group, NULL);
    for (unsigned task = 0; rc == 0 && task < tasks; task++)
        rc = raddle_spawn(&group, NULL, yield_task, yielding, NULL);
    rc = raddle_group_close(&group, rc);
    turns = rdl_atomic_load_relaxed(&yielding->turns);
    rdl_stopwatch_add(&watch, turns ? turns : 1, series);
    if (rc == 0 && turns != yielding->rounds * 8 * tasks)
        rc = rdl_bench_wrong("yield", turns, yielding->rounds * 8 * tasks);
    return rc;
}

static int yield_main(void *arg)
{
    struct yielding *yielding = arg;
    char name[32];

    (void)snprintf(name, sizeof name, "yield.%u", yielding->tasks);
    return rdl_bench_repeat(yielding->bench, name, "ns", yield_all, yielding);
}

int rdl_bench_yield(struct rdl_bench *bench)
{
    static const unsigned tasks[] = {2, 8, 1000};
    unsigned loops = bench->run.loops ? bench->run.loops : 1;
    int status = 0;

    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        uint64_t turns = bench->quick ? 800 * 1000 : 4000 * 1000;
        struct yielding yielding = {
            .bench = bench, .tasks = tasks[i], .rounds = turns / tasks[i] / 8};

        status |= rdl_bench_run(bench, loops, yield_main, &yielding);
    }
    return status;
}
