/*
 * raddle/bench_timers.c - what it costs to sleep, and to set a time limit that is not reached.
 *
 *     timers.sleep        a million tasks that sleep for 0 to 1 s, in a process that has no stack yet. Of
 *                         another number of tasks, as many end per second
 *     timers.sleep.warm   the same again, on the stacks of the first
 *     timers.one          arm one timer of the loop's wheel, and disarm it
 *     timers.many         arm a million of them, then disarm all; per timer
 *     timers.scope        enter a scope with a deadline, and leave it
 *     timers.wait         wait within such a scope for another task, which comes before the deadline:
 *                         two switches, and a timer that is armed and disarmed
 *
 * Sleeping takes a second whatever it costs, so the value is CPU time.
 */
#include "tools/raddle/bench.h"

#include <errno.h>
#include <stdlib.h>

#include "sched/timer.h"
#include "tools/raddle/cli.h"

static uint64_t timers_of(const struct rdl_bench *bench)
{
    return bench->count ? bench->count : bench->quick ? 50 * 1000 : 1000 * 1000;
}

/* Sleep. */

enum { CHECKED = 1000 /* one in so many looks at the clock */, BATCH = 1000 };

struct sleeping {
    struct rdl_bench *bench;
    uint64_t count;
    rdl_atomic(uint64_t) next, slept, early;
    double cpu_ns[2]; /* cold, warm */
};

static int sleeper_task(void *arg)
{
    struct sleeping *sleeping = arg;
    uint64_t index = rdl_atomic_fetch_add_relaxed(&sleeping->next, 1u);
    uint64_t state = (index + 1) * 0x9E3779B97F4A7C15u;
    int64_t length = (int64_t)(rdl_bench_random(&state) % (sleeping->count * 1000));
    raddle_time end = index % CHECKED ? 0 : raddle_in(length);
    int rc = raddle_sleep(length);

    if (end && raddle_now() < end)
        rdl_atomic_fetch_add_relaxed(&sleeping->early, 1u);
    if (rc == 0)
        rdl_atomic_fetch_add_relaxed(&sleeping->slept, 1u);
    return rc;
}

static int sleep_all(struct sleeping *sleeping, double *cpu_ns)
{
    struct rdl_series one = {0};
    struct rdl_stopwatch watch;
    struct raddle_group group;
    uint64_t slept, early;
    int rc;

    rdl_atomic_store_relaxed(&sleeping->next, 0u);
    rdl_atomic_store_relaxed(&sleeping->slept, 0u);
    rdl_atomic_store_relaxed(&sleeping->early, 0u);
    rdl_stopwatch_start(&watch);
    rc = raddle_group_open(&group, NULL);
    /* Not all at once: nobody keeps a million tasks that have not run. */
    for (uint64_t i = 0; rc == 0 && i < sleeping->count; i++) {
        rc = raddle_spawn(&group, NULL, sleeper_task, sleeping, NULL);
        if (rc == 0 && i % BATCH == BATCH - 1)
            rc = raddle_yield();
    }
    rc = raddle_group_close(&group, rc);
    rdl_stopwatch_add(&watch, sleeping->count, &one);
    *cpu_ns = one.cpu_ns[0];
    slept = rdl_atomic_load_relaxed(&sleeping->slept);
    early = rdl_atomic_load_relaxed(&sleeping->early);
    if (rc == 0 && slept != sleeping->count)
        rc = rdl_bench_wrong("timers.sleep", slept, sleeping->count);
    if (rc == 0 && early)
        rc = rdl_bench_wrong("timers.sleep: early", early, 0);
    return rc;
}

static int sleep_main(void *arg)
{
    struct sleeping *sleeping = arg;
    int rc = 0;

    for (int round = 0; rc == 0 && round < 2; round++)
        rc = sleep_all(sleeping, &sleeping->cpu_ns[round]);
    return rc;
}

static int sleep_alone(void *arg, void *out)
{
    struct rdl_bench *bench = arg;
    struct sleeping sleeping = {.bench = bench, .count = timers_of(bench)};
    double *cpu_ns = out;
    int status = rdl_bench_run(bench, 1, sleep_main, &sleeping);

    cpu_ns[0] = sleeping.cpu_ns[0];
    cpu_ns[1] = sleeping.cpu_ns[1];
    return status;
}

static int measure_sleep(struct rdl_bench *bench)
{
    unsigned samples = rdl_bench_samples(bench, 3);
    struct rdl_series cold, warm;

    rdl_series_init(&cold, "timers.sleep", "ns", 1);
    rdl_series_init(&warm, "timers.sleep.warm", "ns", 1);
    for (unsigned i = 0; i < samples; i++) {
        double cpu_ns[2];

        if (rdl_bench_in_child(sleep_alone, bench, cpu_ns, sizeof cpu_ns))
            return 1;
        rdl_series_add(&cold, cpu_ns[0], cpu_ns[0]);
        rdl_series_add(&warm, cpu_ns[1], cpu_ns[1]);
    }
    rdl_bench_print(bench, &cold);
    rdl_bench_print(bench, &warm);
    return 0;
}

/* The wheel alone. */

struct wheel {
    struct rdl_timers timers;
    struct rdl_timer *timer;
    uint64_t count; /* timers armed at once */
    uint64_t rounds;
    int64_t now;
    uint64_t seed;
};

/* Between one and sixty-one seconds from now. */
static int64_t far_away(struct wheel *wheel)
{
    return wheel->now +
           RADDLE_MS(1000 + (int64_t)(rdl_bench_random(&wheel->seed) % UINT64_C(60000)));
}

static int turn_wheel(void *arg, struct rdl_series *series)
{
    struct wheel *wheel = arg;
    struct rdl_stopwatch watch;
    uint64_t armed = 0;

    rdl_timers_init(&wheel->timers, wheel->now);
    rdl_stopwatch_start(&watch);
    for (uint64_t round = 0; round < wheel->rounds; round++) {
        for (uint64_t i = 0; i < wheel->count; i++)
            rdl_timer_arm(&wheel->timers, &wheel->timer[i], far_away(wheel));
        armed += rdl_timers_count(&wheel->timers);
        for (uint64_t i = 0; i < wheel->count; i++)
            rdl_timer_disarm(&wheel->timers, &wheel->timer[i]);
    }
    rdl_stopwatch_add(&watch, wheel->rounds * wheel->count, series);
    if (armed != wheel->rounds * wheel->count || rdl_timers_count(&wheel->timers))
        return rdl_bench_wrong("timers", armed, wheel->rounds * wheel->count);
    return 0;
}

/* Waits that end before their time. */

struct waiting {
    uint64_t rounds;
    struct raddle_event there, back;
};

static int waker_task(void *arg)
{
    struct waiting *waiting = arg;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < waiting->rounds; i++) {
        rc = raddle_event_wait(&waiting->there);
        raddle_event_clear(&waiting->there);
        raddle_event_set(&waiting->back);
    }
    return rc;
}

static int wait_in_time(void *arg, struct rdl_series *series)
{
    static const struct raddle_event unset = RADDLE_EVENT_INIT;
    struct waiting *waiting = arg;
    raddle_time limit = raddle_in(RADDLE_S(3600));
    struct rdl_stopwatch watch;
    struct raddle_group group;
    int rc;

    waiting->there = waiting->back = unset;
    rdl_stopwatch_start(&watch);
    rc = raddle_group_open(&group, NULL);
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, waker_task, waiting, NULL);
    for (uint64_t i = 0; rc == 0 && i < waiting->rounds; i++) {
        struct raddle_scope scope;

        raddle_event_set(&waiting->there);
        raddle_scope_enter(&scope, limit, 0);
        rc = raddle_scope_leave(&scope, raddle_event_wait(&waiting->back));
        raddle_event_clear(&waiting->back);
    }
    rc = raddle_group_close(&group, rc);
    rdl_stopwatch_add(&watch, waiting->rounds, series);
    return rc;
}

static int never_wait(void *arg, struct rdl_series *series)
{
    const uint64_t *rounds = arg;
    raddle_time limit = raddle_in(RADDLE_S(3600));
    struct rdl_stopwatch watch;
    uint64_t left = 0;

    rdl_stopwatch_start(&watch);
    for (uint64_t i = 0; i < *rounds; i++) {
        struct raddle_scope scope;

        raddle_scope_enter(&scope, limit, 0);
        left += (uint64_t)raddle_scope_leave(&scope, 1);
    }
    rdl_stopwatch_add(&watch, *rounds, series);
    return left == *rounds ? 0 : rdl_bench_wrong("timers.scope", left, *rounds);
}

static int timers_main(void *arg)
{
    struct rdl_bench *bench = arg;
    uint64_t many = timers_of(bench), rounds = bench->quick ? 500 * 1000 : 5000 * 1000;
    struct waiting waiting = {.rounds = rounds / 10};
    struct wheel *wheel = calloc(1, sizeof *wheel);
    int rc = wheel ? 0 : -ENOMEM;

    if (rc == 0) {
        wheel->timer = calloc(many, sizeof *wheel->timer);
        wheel->now = raddle_now();
        wheel->seed = 88172645463325252u;
        rc = wheel->timer ? 0 : -ENOMEM;
    }
    if (rc == 0) {
        wheel->count = 1;
        wheel->rounds = rounds;
        rc = rdl_bench_repeat(bench, "timers.one", "ns", turn_wheel, wheel);
    }
    if (rc == 0) {
        wheel->count = many;
        wheel->rounds = 1;
        rc = rdl_bench_repeat(bench, "timers.many", "ns", turn_wheel, wheel);
    }
    if (wheel)
        free(wheel->timer);
    free(wheel);
    if (rc == 0)
        rc = rdl_bench_repeat(bench, "timers.scope", "ns", never_wait, &rounds);
    if (rc == 0)
        rc = rdl_bench_repeat(bench, "timers.wait", "ns", wait_in_time, &waiting);
    return rc;
}

int rdl_bench_timers(struct rdl_bench *bench)
{
    int status = measure_sleep(bench);

    return status | rdl_bench_run(bench, 1, timers_main, bench);
}
