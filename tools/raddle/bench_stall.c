/*
 * raddle/bench_stall.c - how late tasks are whose neighbours burn CPU time.
 *
 * A thousand tasks wake every 10 ms; ten more compute for 5 ms in every 100. Lateness is from when a task
 * should have run, also when the time before had not come yet: what one stall puts off counts for each.
 *
 *     stall.quiet...        nobody computes: what the machine alone does
 *     stall.hog...          they never give way
 *     stall.checkpoint...   they call raddle_checkpoint() every 20 us
 *     ....L.p99, ....p999   on L loops, in us
 */
#include "tools/raddle/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "tools/histogram.h"

enum { TASKS = 1000, BURNERS = 10 };

static const int64_t period_ns = RADDLE_MS(10), burn_ns = RADDLE_MS(5),
                     burn_period_ns = RADDLE_MS(100), slice_ns = RADDLE_US(20);

enum kind { QUIET, HOG, CHECKPOINT, KINDS };

static const char *const kinds[KINDS] = {"quiet", "hog", "checkpoint"};

struct stalling {
    struct rdl_bench *bench;
    enum kind kind;
    uint64_t wakes; /* of each task */
    raddle_time start;
    rdl_atomic(uint64_t) next, burns;
    struct rdl_histogram *late; /* one per loop: nobody else writes to it */
};

/* Returns what it came to, which is not 0, so that it isn't left out. */
static uint64_t compute(raddle_time until)
{
    uint64_t state = 88172645463325252u;

    while (raddle_now() < until)
        for (int i = 0; i < 100; i++)
            (void)rdl_bench_random(&state);
    return state;
}

static int burner_task(void *arg)
{
    struct stalling *stalling = arg;
    raddle_time end = stalling->start + (int64_t)stalling->wakes * period_ns;
    uint64_t index = rdl_atomic_fetch_add_relaxed(&stalling->next, 1u), state = 0;
    raddle_time when = stalling->start + (int64_t)index * burn_period_ns / BURNERS;
    int rc = 0;

    for (; rc == 0 && when < end; when += burn_period_ns) {
        raddle_time until;

        rc = raddle_sleep_until(when);
        until = raddle_in(burn_ns);
        if (stalling->kind == HOG)
            state += compute(until);
        while (rc == 0 && raddle_now() < until) {
            state += compute(raddle_in(slice_ns));
            rc = raddle_checkpoint();
        }
        rdl_atomic_fetch_add_relaxed(&stalling->burns, state ? 1u : 0u);
    }
    return rc;
}

/* Not to be kept across a suspension. */
static __attribute__((noinline)) struct rdl_histogram *late_here(struct stalling *stalling)
{
    return &stalling->late[raddle_loop_index(raddle_running_loop())];
}

static int light_task(void *arg)
{
    struct stalling *stalling = arg;
    uint64_t index = rdl_atomic_fetch_add_relaxed(&stalling->next, 1u);
    raddle_time when = stalling->start + (int64_t)index * period_ns / TASKS;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < stalling->wakes; i++) {
        when += period_ns;
        rc = raddle_sleep_until(when);
        if (rc == 0)
            rdl_histogram_record(late_here(stalling), raddle_now() - when);
    }
    return rc;
}

static int stall_all(struct stalling *stalling)
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    rdl_atomic_store_relaxed(&stalling->burns, 0u);
    rdl_atomic_store_relaxed(&stalling->next, 0u);
    stalling->start = raddle_in(RADDLE_MS(20));
    for (unsigned i = 0; rc == 0 && stalling->kind != QUIET && i < BURNERS; i++)
        rc = raddle_spawn(&group, NULL, burner_task, stalling, NULL);
    if (rc == 0 && stalling->kind != QUIET)
        rc = raddle_sleep(RADDLE_MS(5));
    rdl_atomic_store_relaxed(&stalling->next, 0u);
    for (unsigned i = 0; rc == 0 && i < TASKS; i++)
        rc = raddle_spawn(&group, NULL, light_task, stalling, NULL);
    return raddle_group_close(&group, rc);
}

static int stall_once(struct stalling *stalling, struct rdl_series *p99, struct rdl_series *p999)
{
    uint64_t wanted = TASKS * stalling->wakes;
    struct rdl_histogram *sum = stalling->late;
    unsigned loops = raddle_loop_count();
    int rc;

    for (unsigned i = 0; i < loops; i++)
        rdl_histogram_init(&stalling->late[i]);
    rc = stall_all(stalling);
    for (unsigned i = 1; i < loops; i++)
        rdl_histogram_merge(sum, &stalling->late[i]);
    if (rc == 0 && sum->count != wanted)
        rc = rdl_bench_wrong("stall: wakes", sum->count, wanted);
    if (rc == 0 && stalling->kind != QUIET && !rdl_atomic_load_relaxed(&stalling->burns))
        rc = rdl_bench_wrong("stall: burns", 0, BURNERS);
    rdl_series_add(p99, (double)rdl_histogram_percentile(sum, 99) / 1e3, -1);
    rdl_series_add(p999, (double)rdl_histogram_percentile(sum, 99.9) / 1e3, -1);
    return rc;
}

static int stall_main(void *arg)
{
    struct stalling *stalling = arg;
    struct rdl_bench *bench = stalling->bench;
    unsigned samples = rdl_bench_samples(bench, 3), loops = raddle_loop_count();
    struct rdl_series p99, p999;
    char name[64];
    int rc = 0;

    stalling->late = calloc(loops, sizeof *stalling->late);
    if (!stalling->late)
        return -ENOMEM;
    (void)snprintf(name, sizeof name, "stall.%s.%u.p99", kinds[stalling->kind], loops);
    rdl_series_init(&p99, name, "us", loops);
    (void)snprintf(name, sizeof name, "stall.%s.%u.p999", kinds[stalling->kind], loops);
    rdl_series_init(&p999, name, "us", loops);
    for (unsigned i = 0; rc == 0 && i < samples; i++)
        rc = stall_once(stalling, &p99, &p999);
    free(stalling->late);
    if (rc < 0)
        return rc;
    rdl_bench_print(bench, &p99);
    rdl_bench_print(bench, &p999);
    return 0;
}

static int stall_on(struct rdl_bench *bench, unsigned loops)
{
    int64_t length = bench->duration_ns ? bench->duration_ns
                     : bench->quick     ? RADDLE_MS(500)
                                        : RADDLE_S(2);
    struct stalling stalling = {.bench = bench, .wakes = (uint64_t)(length / period_ns)};
    int status = 0;

    if (!stalling.wakes)
        stalling.wakes = 1;
    for (int kind = 0; kind < KINDS; kind++) {
        stalling.kind = (enum kind)kind;
        status |= rdl_bench_run(bench, loops, stall_main, &stalling);
    }
    return status;
}

int rdl_bench_stall(struct rdl_bench *bench)
{
    unsigned loops = bench->run.loops ? bench->run.loops : bench->cpus;
    int status = 0;

    /* A sleep may otherwise end 50 us late, which would count. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    if (!bench->run.loops || loops == 1)
        status |= stall_on(bench, 1);
    if (loops > 1)
        status |= stall_on(bench, loops);
    return status;
}
