/*
 * raddle/bench.c - `raddle bench`: its options, its clocks, its tables.
 *
 * Each benchmark runs in a process of its own, so that none finds the warm stacks and the fragmented
 * memory that another left behind.
 */
#include "tools/raddle/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/cpus.h"
#include "sched/stack.h"
#include "sched/sys.h"
#include "tools/raddle/cli.h"
#include "tools/raddle/commands.h"
#include "tools/raddle/json.h"
#include "tools/raddle/process.h"

static const struct {
    const char *name;
    rdl_bench_fn *run;
} benches[] = {
    {"switch", rdl_bench_switch},   {"spawn", rdl_bench_spawn},   {"yield", rdl_bench_yield},
    {"channel", rdl_bench_channel}, {"parked", rdl_bench_parked}, {"echo", rdl_bench_echo},
};

enum { BENCHES = sizeof benches / sizeof benches[0] };

struct asked {
    struct rdl_bench bench;
    bool chosen[BENCHES];
    bool any;
};

enum {
    KEY_JSON = 0x500,
    KEY_QUICK,
    KEY_SAMPLES,
    KEY_COUNT,
    KEY_CONNECTIONS,
    KEY_SIZE,
    KEY_DURATION,
    KEY_MPROTECT
};

static const struct argp_option options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON object per line instead of a table", 0},
    {"quick", KEY_QUICK, NULL, 0, "Less work and fewer samples: a look, not a measurement", 0},
    {"samples", KEY_SAMPLES, "N", 0,
     "Samples per figure, 1 to 64, after one that is thrown away (default: 9; echo: 3; quick: 3, "
     "1)",
     0},
    {"count", KEY_COUNT, "N", 0, "parked: tasks (default: 100k; quick: 20k)", 0},
    {"mprotect", KEY_MPROTECT, NULL, 0,
     "parked: guard stacks as before Linux 6.13, within the budget of vm.max_map_count", 0},
    {"connections", KEY_CONNECTIONS, "N", 0, "echo: connections (default: 50)", 0},
    {"size", KEY_SIZE, "BYTES", 0,
     "echo: bytes per message, up to 1M (default: 64, then 1k, then 16k)", 0},
    {"duration", KEY_DURATION, "SEC", 0,
     "echo: length of a sample in seconds (default: 2; quick: 0.5)", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct asked *asked = state->input;
    struct rdl_bench *bench = &asked->bench;

    switch (key) {
    case ARGP_KEY_INIT:
        rdl_cli_begin(state);
        state->child_inputs[0] = &bench->run;
        return 0;
    case KEY_JSON:
        bench->json = true;
        return 0;
    case KEY_QUICK:
        bench->quick = true;
        return 0;
    case KEY_SAMPLES:
        bench->samples =
            (unsigned)rdl_cli_count(state, "--samples", text, 1, RDL_BENCH_SAMPLES_MAX);
        return 0;
    case KEY_COUNT:
        bench->count = rdl_cli_count(state, "--count", text, 1, 100 * 1000 * 1000);
        return 0;
    case KEY_MPROTECT:
        rdl_stack_force_mprotect(true);
        return 0;
    case KEY_CONNECTIONS:
        bench->connections = rdl_cli_count(state, "--connections", text, 1, 1000 * 1000);
        return 0;
    case KEY_SIZE:
        bench->size = rdl_cli_bytes(state, "--size", text, 1, 1024 * 1024);
        return 0;
    case KEY_DURATION:
        bench->duration_ns = rdl_cli_time(state, "--duration", text, RADDLE_MS(10), RADDLE_S(3600));
        return 0;
    case ARGP_KEY_ARG:
        for (size_t i = 0; i < BENCHES; i++) {
            if (strcmp(text, benches[i].name) != 0 && strcmp(text, "all") != 0)
                continue;
            asked->chosen[i] = asked->any = true;
            if (strcmp(text, "all") != 0)
                return 0;
        }
        if (strcmp(text, "all") != 0)
            rdl_cli_fail(state,
                         "no benchmark '%s' (switch, spawn, yield, channel, parked, echo or all)",
                         text);
        return 0;
    case ARGP_KEY_END:
        if (!asked->any)
            rdl_cli_fail(
                state,
                "a benchmark is missing (switch, spawn, yield, channel, parked, echo or all)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&rdl_run_argp_short, 0, "Loops:", 1}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "switch|spawn|yield|channel|parked|echo|all ...",
    .doc =
        "Measures this machine: each figure is the median of several samples, with the least and "
        "the "
        "greatest, and the CPU time per operation beside it. Times are in nanoseconds.\v"
        "switch: between two coroutines. spawn: start a task, run it, wait for it. yield: give way "
        "and "
        "come back. channel: hand a number to another task, on one loop and on two. parked: what a "
        "task that waits costs. echo: a server, its CPU time per "
        "request, "
        "beside one written by hand on epoll. --loops is used by yield and parked (default: 1) and "
        "by spawn (default: one, then all).",
    .children = children,
};

void rdl_series_init(struct rdl_series *series, const char *name, const char *unit, unsigned loops)
{
    memset(series, 0, sizeof *series);
    (void)snprintf(series->name, sizeof series->name, "%s", name);
    series->unit = unit;
    series->loops = loops;
}

void rdl_series_add(struct rdl_series *series, double value, double cpu_ns)
{
    if (series->count == RDL_BENCH_SAMPLES_MAX)
        return;
    series->value[series->count] = value;
    series->cpu_ns[series->count++] = cpu_ns;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_of(const double *values, unsigned count, double sorted[RDL_BENCH_SAMPLES_MAX])
{
    if (count == 0)
        return 0;
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double rdl_series_median(const struct rdl_series *series)
{
    double sorted[RDL_BENCH_SAMPLES_MAX];

    return median_of(series->value, series->count, sorted);
}

void rdl_series_print(const struct rdl_bench *bench, const struct rdl_series *series)
{
    double sorted[RDL_BENCH_SAMPLES_MAX], cpu[RDL_BENCH_SAMPLES_MAX];
    double median = median_of(series->value, series->count, sorted);
    double cpu_ns = median_of(series->cpu_ns, series->count, cpu);
    struct rdl_json json;
    char text[1024];

    if (series->count == 0)
        return;
    if (!bench->json) {
        printf("%-28s %12.2f %12.2f %12.2f  %-9s", series->name, median, sorted[0],
               sorted[series->count - 1], series->unit);
        if (cpu_ns >= 0)
            printf(" %12.2f", cpu_ns);
        else
            printf(" %12s", "-");
        printf(" %7u\n", series->count);
        (void)fflush(stdout);
        return;
    }
    rdl_json_init(&json, text, sizeof text);
    rdl_json_open(&json, NULL, '{');
    rdl_json_string(&json, "name", series->name);
    rdl_json_number(&json, "value", median);
    rdl_json_string(&json, "unit", series->unit);
    rdl_json_unsigned(&json, "samples", series->count);
    rdl_json_number(&json, "min", sorted[0]);
    rdl_json_number(&json, "median", median);
    rdl_json_number(&json, "max", sorted[series->count - 1]);
    rdl_json_number(&json, "cpu_ns", cpu_ns >= 0 ? cpu_ns : __builtin_nan(""));
    rdl_json_unsigned(&json, "loops", series->loops);
    rdl_json_close(&json, '}');
    if (rdl_json_finish(&json) >= 0)
        puts(text);
    (void)fflush(stdout);
}

void rdl_stopwatch_start(struct rdl_stopwatch *watch)
{
    watch->cpu_ns = rdl_process_cpu();
    watch->wall_ns = rdl_sys_now();
}

void rdl_stopwatch_add(const struct rdl_stopwatch *watch, uint64_t operations,
                       struct rdl_series *series)
{
    int64_t wall = rdl_sys_now() - watch->wall_ns, cpu = rdl_process_cpu() - watch->cpu_ns;

    rdl_series_add(series, (double)wall / (double)operations, (double)cpu / (double)operations);
}

unsigned rdl_bench_samples(const struct rdl_bench *bench, unsigned usual)
{
    if (bench->samples)
        return bench->samples;
    return bench->quick ? (usual + 2) / 3 : usual;
}

int rdl_bench_run(const struct rdl_bench *bench, unsigned loops, raddle_task_fn *fn, void *arg)
{
    struct rdl_run_options run = bench->run;

    run.loops = loops;
    return rdl_run(&run, 0, fn, arg);
}

int rdl_bench_wrong(const char *name, uint64_t got, uint64_t wanted)
{
    (void)rdl_cli_error("bench %s: %llu of something that should be %llu", name,
                        (unsigned long long)got, (unsigned long long)wanted);
    return -EPROTO;
}

/* Nothing of the library runs in this process, so the child is free to do anything. */
static int run_in_child(struct rdl_bench *bench, rdl_bench_fn *run)
{
    int status;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        status = run(bench);
        exit(fflush(stdout) ? 1 : status);
    }
    if (child < 0)
        return rdl_cli_error("fork: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return 1;
    if (WIFSIGNALED(status))
        return rdl_cli_error("the benchmark was ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

int rdl_command_bench(int argc, char **argv)
{
    struct asked asked = {0};
    int status = 0;

    rdl_cli_parse(&argp, "raddle bench", argc, argv, &asked);
    asked.bench.cpus = rdl_cpus_allowed();
    if (!asked.bench.json)
        printf("%-28s %12s %12s %12s  %-9s %12s %7s\n", "name", "median", "min", "max", "unit",
               "cpu ns", "samples");
    for (size_t i = 0; i < BENCHES; i++)
        if (asked.chosen[i] && run_in_child(&asked.bench, benches[i].run))
            status = 1;
    return status;
}
