/*
 * raddle/bench_executor.c - what it costs to have a thread do something that is nothing.
 *
 *     executor.1          one task, one job after the other: wall time is the latency
 *     executor.64         64 tasks, each with one job after the other; per job
 *
 * One loop, and four threads unless --threads says otherwise. CPU time is that of all of them.
 */
#include "tools/raddle/bench.h"

#include <errno.h>
#include <stdio.h>

enum { THREADS = 4 };

struct handing {
    struct rdl_bench *bench;
    unsigned tasks;
    uint64_t jobs; /* of each */
    rdl_atomic(uint64_t) done;
};

static int job(void *arg)
{
    rdl_atomic(uint64_t) *done = arg;

    rdl_atomic_fetch_add_relaxed(done, 1u);
    return 1;
}

static int hander_task(void *arg)
{
    struct handing *handing = arg;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < handing->jobs; i++) {
        int result = 0;

        rc = raddle_run_in_executor(NULL, job, &handing->done, &result);
        if (rc == 0 && result != 1)
            rc = rdl_bench_wrong("executor: a result", (uint64_t)result, 1);
    }
    return rc;
}

static int hand_all(void *arg, struct rdl_series *series)
{
    struct handing *handing = arg;
    uint64_t wanted = handing->jobs * handing->tasks, done;
    struct rdl_stopwatch watch;
    struct raddle_group group;
    int rc;

    rdl_atomic_store_relaxed(&handing->done, 0u);
    rdl_stopwatch_start(&watch);
    rc = raddle_group_open(&group, NULL);
    for (unsigned i = 0; rc == 0 && i < handing->tasks; i++)
        rc = raddle_spawn(&group, NULL, hander_task, handing, NULL);
    rc = raddle_group_close(&group, rc);
    rdl_stopwatch_add(&watch, wanted, series);
    done = rdl_atomic_load_relaxed(&handing->done);
    if (rc == 0 && done != wanted)
        rc = rdl_bench_wrong("executor", done, wanted);
    return rc;
}

static int executor_main(void *arg)
{
    struct handing *handing = arg;
    char name[32];

    (void)snprintf(name, sizeof name, "executor.%u", handing->tasks);
    return rdl_bench_repeat(handing->bench, name, "ns", hand_all, handing);
}

int rdl_bench_executor(struct rdl_bench *bench)
{
    struct rdl_bench with_threads = *bench;
    uint64_t jobs = bench->count ? bench->count : bench->quick ? 20 * 1000 : 200 * 1000;
    struct handing one = {.bench = bench, .tasks = 1, .jobs = jobs / 10 + 1};
    struct handing many = {.bench = bench, .tasks = 64, .jobs = jobs / 64 + 1};
    int status;

    if (!with_threads.run.threads)
        with_threads.run.threads = THREADS;
    status = rdl_bench_run(&with_threads, 1, executor_main, &one);
    return status | rdl_bench_run(&with_threads, 1, executor_main, &many);
}
