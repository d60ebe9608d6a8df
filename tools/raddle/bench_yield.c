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

static int yield_main(void *arg)
{
    struct yielding *yielding = arg;
    struct rdl_bench *bench = yielding->bench;
    unsigned samples = rdl_bench_samples(bench, 9), loops = raddle_loop_count();
    unsigned tasks = yielding->tasks * loops;
    uint64_t turns = bench->quick ? 800u * 1000 : 4000u * 1000;
    struct rdl_series series, warm_up;
    char name[32];
    int rc = 0;

    (void)snprintf(name, sizeof name, "yield.%u", yielding->tasks);
    rdl_series_init(&series, name, "ns", loops);
    rdl_series_init(&warm_up, name, "ns", loops);
    yielding->rounds = turns / yielding->tasks / 8;
    for (unsigned i = 0; rc == 0 && i < samples + 1; i++) {
        struct rdl_stopwatch watch;
        struct raddle_group group;

        rdl_atomic_store_relaxed(&yielding->turns, 0u);
        rdl_stopwatch_start(&watch);
        rc = raddle_group_open(&group, NULL);
        for (unsigned task = 0; rc == 0 && task < tasks; task++)
            rc = raddle_spawn(&group, NULL, yield_task, yielding, NULL);
        rc = raddle_group_close(&group, rc);
        turns = rdl_atomic_load_relaxed(&yielding->turns);
        rdl_stopwatch_add(&watch, turns ? turns : 1, i ? &series : &warm_up);
        if (rc == 0 && turns != yielding->rounds * 8 * tasks)
            rc = rdl_bench_wrong(name, turns, yielding->rounds * 8 * tasks);
    }
    if (rc == 0)
        rdl_series_print(bench, &series);
    return rc;
}

int rdl_bench_yield(struct rdl_bench *bench)
{
    static const unsigned tasks[] = {2, 8, 1000};
    unsigned loops = bench->run.loops ? bench->run.loops : 1;
    int status = 0;

    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        struct yielding yielding = {.bench = bench, .tasks = tasks[i]};

        status |= rdl_bench_run(bench, loops, yield_main, &yielding);
    }
    return status;
}
