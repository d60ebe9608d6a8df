/*
 * raddle/bench_fib.c - fork and join without a cut-off: each number forks one of the two before it.
 *
 *     fib.N.L             of N, on L loops; per fork. On one loop the forks are started eagerly, as in skynet
 *
 * Other runtimes are measured on 32, where there are 3,524,577 forks.
 */
#include "tools/raddle/bench.h"

#include <stdio.h>

struct number {
    unsigned n;
    uint64_t fib;
};

static int fib_of(unsigned n, uint64_t *out);

static const struct raddle_spawn_options eagerly = {.eager_start = true};

static int fib_task(void *arg)
{
    struct number *number = arg;

    return fib_of(number->n, &number->fib);
}

static int fib_of(unsigned n, uint64_t *out)
{
    struct number before = {.n = n - 1};
    struct raddle_group group;
    uint64_t fib = 0;
    int rc;

    if (n < 2) {
        *out = n;
        return 0;
    }
    rc = raddle_group_open(&group, NULL);
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, fib_task, &before,
                          raddle_loop_count() == 1 ? &eagerly : NULL);
    if (rc == 0)
        rc = fib_of(n - 2, &fib);
    rc = raddle_group_close(&group, rc);
    *out = before.fib + fib;
    return rc;
}

/* What it has to come to. The number of forks is that of the one after it, less one. */
static uint64_t fib_by_adding(unsigned n)
{
    uint64_t fib = 0, next = 1;

    while (n--) {
        uint64_t sum = fib + next;

        fib = next;
        next = sum;
    }
    return fib;
}

struct forking {
    struct rdl_bench *bench;
    unsigned n;
};

static int fork_and_join(void *arg, struct rdl_series *series)
{
    const struct forking *forking = arg;
    uint64_t fib = 0, wanted = fib_by_adding(forking->n);
    struct rdl_stopwatch watch;
    int rc;

    rdl_stopwatch_start(&watch);
    rc = fib_of(forking->n, &fib);
    rdl_stopwatch_add(&watch, fib_by_adding(forking->n + 1) - 1, series);
    if (rc == 0 && fib != wanted)
        rc = rdl_bench_wrong("fib", fib, wanted);
    return rc;
}

static int fib_main(void *arg)
{
    struct forking *forking = arg;
    char name[32];

    (void)snprintf(name, sizeof name, "fib.%u.%u", forking->n, raddle_loop_count());
    return rdl_bench_repeat(forking->bench, name, "ns", fork_and_join, forking);
}

int rdl_bench_fib(struct rdl_bench *bench)
{
    struct forking forking = {bench, bench->quick ? 27 : 32};
    unsigned loops = bench->run.loops ? bench->run.loops : bench->cpus;
    int status = 0;

    /* Of greater ones nobody waits for the end. */
    if (bench->count)
        forking.n = bench->count < 2 ? 2 : bench->count > 50 ? 50 : (unsigned)bench->count;
    if (!bench->run.loops || loops == 1)
        status |= rdl_bench_run(bench, 1, fib_main, &forking);
    if (loops > 1)
        status |= rdl_bench_run(bench, loops, fib_main, &forking);
    return status;
}
