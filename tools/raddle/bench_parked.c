/*
 * raddle/bench_parked.c - what a task costs that waits: its memory, to make it, to wake it.
 *
 *     parked.create     start a task and let it run until it waits, from cold memory
 *     parked.rss        resident memory per task
 *     parked.page_tables
 *     parked.wake       wake all, until each has run and waits again
 *     parked.end        wake all, until each has ended
 *     parked.create.warm  the same as create, on stacks that were used before
 *     parked.left.rss   resident memory per task, three seconds after all have ended
 *     parked.left.page_tables
 *
 * Each sample is taken in a process of its own, where no stack is warm.
 */
#include "tools/raddle/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/atomic.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "tools/raddle/cli.h"
#include "tools/raddle/process.h"

enum figure { CREATE, RSS, PAGE_TABLES, WAKE, END, WARM, LEFT, TABLES_LEFT, FIGURES };

static const struct {
    const char *name, *unit;
} figures[FIGURES] = {
    {"parked.create", "ns"},
    {"parked.rss", "bytes"},
    {"parked.page_tables", "bytes"},
    {"parked.wake", "ns"},
    {"parked.end", "ns"},
    {"parked.create.warm", "ns"},
    {"parked.left.rss", "bytes"},
    {"parked.left.page_tables", "bytes"},
};

struct sample {
    double value[FIGURES], cpu_ns[FIGURES];
};

struct parking {
    uint64_t count;
    struct rdl_ticket *tickets;
    struct rdl_ticket waiter; /* the main task, while it waits for the last one */
    bool awaited;             /* waiter is set; changes while no task runs */
    rdl_atomic(uint64_t) next;
    rdl_atomic(uint64_t) arrived;
    rdl_atomic(bool) woken; /* the main task has been */
    uint64_t spawned;
    rdl_atomic(uint64_t) left; /* ended without having parked */
    rdl_atomic(bool) given_up; /* not all could be made: those that were end */
    struct sample sample;
};

/* One more task has done its step; the last one wakes the main task. */
static void arrive(struct parking *parking)
{
    if (rdl_atomic_fetch_add_acq_rel(&parking->arrived, 1u) + 1 == parking->count) {
        rdl_atomic_store_release(&parking->woken, true);
        if (parking->awaited)
            (void)rdl_fiber_fire(parking->waiter, 0);
    }
}

/* The wait may end for nothing, which here would be counted: so the tasks' waits are shielded, and
 * nothing pokes them. */
static int parked_task(void *arg)
{
    struct parking *parking = arg;
    struct rdl_fiber *self = rdl_fiber_self();
    uint64_t index = rdl_atomic_fetch_add_relaxed(&parking->next, 1u);

    for (int step = 0; step < 2; step++) {
        if (rdl_atomic_load_acquire(&parking->given_up)) {
            if (step == 0)
                rdl_atomic_fetch_add_acq_rel(&parking->left, 1u);
            break;
        }
        parking->tickets[index] = rdl_fiber_arm(self, RDL_PARK_SHIELDED);
        arrive(parking);
        (void)rdl_fiber_park(self, RDL_PARK_SHIELDED, "bench", index);
    }
    return 0;
}

/* Before the others begin a step. */
static void expect_all(struct parking *parking)
{
    rdl_atomic_store_relaxed(&parking->arrived, 0u);
    rdl_atomic_store_relaxed(&parking->woken, false);
    parking->awaited = true;
    parking->waiter = rdl_fiber_arm(rdl_fiber_self(), RDL_PARK_SHIELDED);
}

static void wait_for_all(struct parking *parking)
{
    (void)rdl_fiber_park(rdl_fiber_self(), RDL_PARK_SHIELDED, "bench", 0);
    while (!rdl_atomic_load_acquire(&parking->woken))
        (void)raddle_yield();
}

static int create_all(struct parking *parking, struct raddle_group *group)
{
    uint64_t made = 0;
    int rc = 0;

    parking->awaited = false;
    parking->spawned = 0;
    rdl_atomic_store_relaxed(&parking->next, 0u);
    rdl_atomic_store_relaxed(&parking->arrived, 0u);
    /* Not all at once: nobody keeps a million tasks that have not run. */
    while (rc == 0 && made < parking->count) {
        uint64_t batch = parking->count - made < 1000 ? parking->count - made : 1000;

        for (uint64_t i = 0; rc == 0 && i < batch; i++) {
            rc = raddle_spawn(group, NULL, parked_task, parking, NULL);
            parking->spawned += rc == 0;
        }
        made += batch;
        while (rc == 0 && rdl_atomic_load_acquire(&parking->arrived) < made)
            rc = raddle_yield();
    }
    return rc;
}

/* Those that have parked wait for a wake, and no cancellation reaches them. The others will see that
 * there is no need to. */
static void give_up(struct parking *parking)
{
    rdl_atomic_store_release(&parking->given_up, true);
    while (rdl_atomic_load_acquire(&parking->arrived) + rdl_atomic_load_acquire(&parking->left) <
           parking->spawned)
        rdl_fiber_yield(rdl_fiber_self());
    for (uint64_t i = 0; i < parking->count; i++)
        if (parking->tickets[i].wait)
            (void)rdl_fiber_fire(parking->tickets[i], 0);
}

static void note(struct sample *sample, enum figure figure, const struct rdl_stopwatch *watch,
                 uint64_t count)
{
    struct rdl_series one = {0};

    rdl_stopwatch_add(watch, count, &one);
    sample->value[figure] = one.value[0];
    sample->cpu_ns[figure] = one.cpu_ns[0];
}

static int park_main(void *arg)
{
    struct parking *parking = arg;
    struct sample *sample = &parking->sample;
    double count = (double)parking->count;
    double resident, tables;
    struct rdl_stopwatch watch;
    struct raddle_group group;
    int rc = 0;

    for (unsigned i = 0; i < FIGURES; i++)
        sample->cpu_ns[i] = -1;
    memset(parking->tickets, 0, parking->count * sizeof *parking->tickets);
    resident = (double)rdl_process_resident();
    tables = (double)rdl_process_page_tables();

    for (int round = 0; rc == 0 && round < 2; round++) {
        rc = raddle_group_open(&group, NULL);
        rdl_stopwatch_start(&watch);
        if (rc == 0)
            rc = create_all(parking, &group);
        if (rc == 0) {
            note(sample, round ? WARM : CREATE, &watch, parking->count);
            if (round == 0) {
                sample->value[RSS] = ((double)rdl_process_resident() - resident) / count;
                sample->value[PAGE_TABLES] = ((double)rdl_process_page_tables() - tables) / count;
            }
            expect_all(parking);
            rdl_stopwatch_start(&watch);
            for (uint64_t i = 0; i < parking->count; i++)
                (void)rdl_fiber_fire(parking->tickets[i], 0);
            wait_for_all(parking);
            if (round == 0)
                note(sample, WAKE, &watch, parking->count);

            rdl_stopwatch_start(&watch);
            for (uint64_t i = 0; i < parking->count; i++)
                (void)rdl_fiber_fire(parking->tickets[i], 0);
        }
        if (rc < 0)
            give_up(parking);
        rc = raddle_group_close(&group, rc);
        if (round == 0)
            note(sample, END, &watch, parking->count);
    }
    for (int i = 0; rc == 0 && i < 60; i++)
        rc = raddle_sleep(RADDLE_MS(50));
    sample->value[LEFT] = ((double)rdl_process_resident() - resident) / count;
    sample->value[TABLES_LEFT] = ((double)rdl_process_page_tables() - tables) / count;
    if (rc < 0 && rc != -ECANCELED) {
        (void)rdl_cli_error("bench parked: %llu of %llu tasks: %s",
                            (unsigned long long)parking->spawned,
                            (unsigned long long)parking->count, raddle_strerror(rc));
        rc = -EPROTO;
    }
    return rc;
}

/* In a process of its own. */
static int park_alone(void *arg, void *out)
{
    struct rdl_bench *bench = arg;
    struct parking parking = {.count = bench->count};
    unsigned loops = bench->run.loops ? bench->run.loops : 1;
    int status;

    parking.tickets = malloc(parking.count * sizeof *parking.tickets);
    if (!parking.tickets)
        return rdl_cli_error("no memory");
    status = rdl_bench_run(bench, loops, park_main, &parking);
    *(struct sample *)out = parking.sample;
    free(parking.tickets);
    return status;
}

int rdl_bench_parked(struct rdl_bench *bench)
{
    unsigned samples = rdl_bench_samples(bench, 3);
    unsigned loops = bench->run.loops ? bench->run.loops : 1;
    struct rdl_series series[FIGURES];

    if (!bench->count)
        bench->count = bench->quick ? 20 * 1000 : 100 * 1000;
    for (unsigned i = 0; i < FIGURES; i++)
        rdl_series_init(&series[i], figures[i].name, figures[i].unit, loops);
    for (unsigned i = 0; i < samples; i++) {
        struct sample sample;

        if (rdl_bench_in_child(park_alone, bench, &sample, sizeof sample))
            return 1;
        for (unsigned figure = 0; figure < FIGURES; figure++)
            rdl_series_add(&series[figure], sample.value[figure], sample.cpu_ns[figure]);
    }
    for (unsigned i = 0; i < FIGURES; i++)
        rdl_bench_print(bench, &series[i]);
    return 0;
}
