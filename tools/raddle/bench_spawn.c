/*
 * raddle/bench_spawn.c - how long it takes to start a task, run it, and wait for it.
 *
 * A thousand at a time, or --count, in one group: name, group, result, cancellation, a guarded stack
 * each. Values are wall time per task.
 *
 *     spawn.1           one loop
 *     spawn.N           N loops, one task spawns
 *     spawn.N.each      N loops, one task on each spawns: per task, over all of them
 */
#include "tools/raddle/bench.h"

#include <stdio.h>

#include "sched/atomic.h"

enum { SPAWNERS_MAX = 64 };

struct spawning {
    struct rdl_bench *bench;
    const char *name;
    uint64_t batches, batch;
    unsigned spawners;
};

struct spawner {
    _Alignas(64) uint64_t batches;
    uint64_t batch;
    rdl_atomic(uint64_t) ran;
};

static int spawned_task(void *arg)
{
    struct spawner *spawner = arg;

    rdl_atomic_fetch_add_relaxed(&spawner->ran, 1u);
    return 0;
}

static int spawner_task(void *arg)
{
    struct spawner *spawner = arg;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < spawner->batches; i++) {
        struct raddle_group group;

        rc = raddle_group_open(&group, NULL);
        for (uint64_t task = 0; rc == 0 && task < spawner->batch; task++)
            rc = raddle_spawn(&group, NULL, spawned_task, spawner, NULL);
        rc = raddle_group_close(&group, rc);
    }
    return rc;
}

static int spawn_all(void *arg, struct rdl_series *series)
{
    const struct spawning *spawning = arg;
    static struct spawner spawners[SPAWNERS_MAX]; /* no stack is sure to be aligned as they are */
    unsigned count = spawning->spawners < SPAWNERS_MAX ? spawning->spawners : SPAWNERS_MAX;
    uint64_t wanted = spawning->batches * spawning->batch * count, ran = 0;
    struct rdl_stopwatch watch;
    struct raddle_group group;
    int rc;

    for (unsigned i = 0; i < count; i++) {
        spawners[i].batches = spawning->batches;
        spawners[i].batch = spawning->batch;
        rdl_atomic_store_relaxed(&spawners[i].ran, 0u);
    }
    rdl_stopwatch_start(&watch);
    if (count == 1) {
        rc = spawner_task(&spawners[0]);
    } else {
        rc = raddle_group_open(&group, NULL);
        for (unsigned i = 0; rc == 0 && i < count; i++)
            rc = raddle_spawn(&group, NULL, spawner_task, &spawners[i], NULL);
        rc = raddle_group_close(&group, rc);
    }
    rdl_stopwatch_add(&watch, wanted, series);
    for (unsigned i = 0; i < count; i++)
        ran += rdl_atomic_load_relaxed(&spawners[i].ran);
    if (rc == 0 && ran != wanted)
        rc = rdl_bench_wrong(spawning->name, ran, wanted);
    return rc;
}

static int spawn_main(void *arg)
{
    struct spawning *spawning = arg;

    return rdl_bench_repeat(spawning->bench, spawning->name, "ns", spawn_all, spawning);
}

static int spawn_on(struct rdl_bench *bench, unsigned loops, bool each)
{
    char name[64];
    uint64_t tasks = bench->quick ? 100 * 1000 : 1000 * 1000;
    uint64_t batch = bench->count ? bench->count : 1000;
    struct spawning spawning = {.bench = bench,
                                .name = name,
                                .batches = tasks > batch ? tasks / batch : 1,
                                .batch = batch,
                                .spawners = each ? loops : 1};

    (void)snprintf(name, sizeof name, "spawn.%u%s", loops, each ? ".each" : "");
    return rdl_bench_run(bench, loops, spawn_main, &spawning);
}

int rdl_bench_spawn(struct rdl_bench *bench)
{
    unsigned loops = bench->run.loops ? bench->run.loops : bench->cpus;
    int status = 0;

    if (!bench->run.loops || loops == 1)
        status |= spawn_on(bench, 1, false);
    if (loops > 1) {
        status |= spawn_on(bench, loops, false);
        status |= spawn_on(bench, loops, true);
    }
    return status;
}
