/*
 * raddle/bench.h - what the benchmarks share: clocks, samples, the way they are printed.
 */
#ifndef RDL_TOOLS_BENCH_H
#define RDL_TOOLS_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle.h>

#include "tools/raddle/run_options.h"

enum { RDL_BENCH_SAMPLES_MAX = 64 };

struct rdl_bench {
    struct rdl_run_options run;
    bool json, quick;
    unsigned samples;     /* 0: the benchmark's own number */
    uint64_t count;       /* of parked tasks */
    uint64_t connections; /* of echo; 0: 50 */
    uint64_t size;        /* of echo; 0: 64 B, 1 KiB, 16 KiB */
    int64_t duration_ns;  /* of each sample of echo; 0: its own */
    unsigned cpus;        /* that are allowed */
};

/* Returns 0, or 1 after it said on standard error what went wrong. */
typedef int rdl_bench_fn(struct rdl_bench *bench);

rdl_bench_fn rdl_bench_switch, rdl_bench_spawn, rdl_bench_yield, rdl_bench_channel,
    rdl_bench_parked, rdl_bench_echo;

/* The samples of one figure. */
struct rdl_series {
    char name[64];
    const char *unit;
    unsigned loops;
    unsigned count;
    double value[RDL_BENCH_SAMPLES_MAX];
    double cpu_ns[RDL_BENCH_SAMPLES_MAX]; /* per unit of work; negative: not measured */
};

void rdl_series_init(struct rdl_series *series, const char *name, const char *unit, unsigned loops);
void rdl_series_add(struct rdl_series *series, double value, double cpu_ns);
double rdl_series_median(const struct rdl_series *series);
void rdl_series_print(const struct rdl_bench *bench, const struct rdl_series *series);

struct rdl_stopwatch {
    int64_t wall_ns, cpu_ns;
};

void rdl_stopwatch_start(struct rdl_stopwatch *watch);
/* Adds the time per operation since the start, wall and CPU, in ns. */
void rdl_stopwatch_add(const struct rdl_stopwatch *watch, uint64_t operations,
                       struct rdl_series *series);

/* How many samples to take after the first, which is thrown away. */
unsigned rdl_bench_samples(const struct rdl_bench *bench, unsigned usual);

/* Runs fn(arg) on that many loops with the options of bench. 0, or 1 after an error line. */
int rdl_bench_run(const struct rdl_bench *bench, unsigned loops, raddle_task_fn *fn, void *arg);

/* The work was not what it should have been: one line, returns -EPROTO. */
int rdl_bench_wrong(const char *name, uint64_t got, uint64_t wanted);

#endif
