/*
 * raddle/bench.h - what the benchmarks share: clocks, samples, processes and CPUs of their own.
 */
#ifndef RDL_TOOLS_BENCH_H
#define RDL_TOOLS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <raddle.h>

#include "sched/atomic.h"
#include "tools/raddle/bench_series.h"
#include "tools/raddle/run_options.h"

struct rdl_bench {
    struct rdl_run_options run;
    bool json, quick;
    unsigned samples;     /* 0: the benchmark's own number */
    uint64_t count;       /* how much of it; 0: the benchmark's own number */
    uint64_t connections; /* of echo, http and idle; 0: their own */
    uint64_t size;        /* of echo; 0: 64 B, 1 KiB, 16 KiB */
    unsigned pipeline;    /* of echo and http; 0: their own */
    const char *connect;  /* of idle: another server, whose process is server_pid; or NULL */
    pid_t server_pid;
    int64_t duration_ns; /* of each sample of what takes a time; 0: its own */
    unsigned cpus;       /* that are allowed */
};

/* Returns 0, or 1 after it said on standard error what went wrong. */
typedef int rdl_bench_fn(struct rdl_bench *bench);

rdl_bench_fn rdl_bench_switch, rdl_bench_spawn, rdl_bench_yield, rdl_bench_channel, rdl_bench_wake,
    rdl_bench_sync, rdl_bench_skynet, rdl_bench_fib, rdl_bench_timers, rdl_bench_executor,
    rdl_bench_parked, rdl_bench_stall, rdl_bench_echo, rdl_bench_http, rdl_bench_idle;

void rdl_bench_print(const struct rdl_bench *bench, const struct rdl_series *series);

struct rdl_stopwatch {
    int64_t wall_ns, cpu_ns;
};

void rdl_stopwatch_start(struct rdl_stopwatch *watch);
/* Adds the time per operation since the start, wall and CPU, in ns. */
void rdl_stopwatch_add(const struct rdl_stopwatch *watch, uint64_t operations,
                       struct rdl_series *series);

/* How many samples to take after the first, which is thrown away. */
unsigned rdl_bench_samples(const struct rdl_bench *bench, unsigned usual);

/* Takes one sample, and adds it to series. 0 or -errno. */
typedef int rdl_sample_fn(void *arg, struct rdl_series *series);

/* Inside a run: one sample to warm up, then those that count, then the line. 0 or -errno. */
int rdl_bench_repeat(const struct rdl_bench *bench, const char *name, const char *unit,
                     rdl_sample_fn *take, void *arg);

/* Runs fn(arg) on that many loops with the options of bench. 0, or 1 after an error line. */
int rdl_bench_run(const struct rdl_bench *bench, unsigned loops, raddle_task_fn *fn, void *arg);

/* A task that runs on another loop than the one who spawned it. Must live until it has ended. */
struct rdl_bench_apart {
    raddle_task_fn *fn;
    void *arg;
    rdl_atomic(bool) started;
    raddle_loop *loop;
};

/* Returns when the task has started, on another loop: 0, or -errno. */
int rdl_bench_spawn_apart(struct raddle_group *group, struct rdl_bench_apart *apart,
                          raddle_task_fn *fn, void *arg);

/* Binds the calling thread to one of the CPUs that were allowed at the start, by its place among
 * them; to those from there on, if rest. Does nothing where there are not enough. */
void rdl_bench_bind(unsigned place, bool rest);

/* Runs fn(arg, out) in a process of its own, which writes bytes of out. 0, or 1 after an error line;
 * fn's result other than 0 is an error for which it has printed one. */
typedef int rdl_child_fn(void *arg, void *out);
int rdl_bench_in_child(rdl_child_fn *fn, void *arg, void *out, size_t bytes);

/* The next of a sequence of numbers that look random, the same in each run. state: not 0. */
uint64_t rdl_bench_random(uint64_t *state);

/* The work was not what it should have been: one line, returns -EPROTO. */
int rdl_bench_wrong(const char *name, uint64_t got, uint64_t wanted);

#endif
