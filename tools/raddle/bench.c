/*
 * raddle/bench.c - `raddle bench`: its options, its clocks, its samples.
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
#include "tools/raddle/process.h"

static const struct {
    const char *name;
    rdl_bench_fn *run;
} benches[] = {
    {"switch", rdl_bench_switch},     {"yield", rdl_bench_yield},     {"spawn", rdl_bench_spawn},
    {"wake", rdl_bench_wake},         {"channel", rdl_bench_channel}, {"sync", rdl_bench_sync},
    {"skynet", rdl_bench_skynet},     {"fib", rdl_bench_fib},         {"timers", rdl_bench_timers},
    {"executor", rdl_bench_executor}, {"parked", rdl_bench_parked},   {"stall", rdl_bench_stall},
    {"echo", rdl_bench_echo},         {"http", rdl_bench_http},       {"idle", rdl_bench_idle},
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
    KEY_PIPELINE,
    KEY_CONNECT,
    KEY_PID,
    KEY_DURATION,
    KEY_MPROTECT
};

static const struct argp_option options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON object per line instead of a table", 0},
    {"quick", KEY_QUICK, NULL, 0, "Less work and fewer samples: a look, not a measurement", 0},
    {"samples", KEY_SAMPLES, "N", 0,
     "Samples per figure, 1 to 64, after one that is thrown away (default: 9; of what runs in a "
     "process of its own 3, none thrown away; quick: a third)",
     0},
    {"count", KEY_COUNT, "N", 0,
     "How much: tasks alive at a time of spawn (default: 1,000), parked tasks (100k; quick: 20k), "
     "leaves of skynet (1M; 100k), the number "
     "of which fib is computed (32; 27), timers (1M; 50k), jobs of a sample of executor (200k; "
     "20k)",
     0},
    {"mprotect", KEY_MPROTECT, NULL, 0,
     "parked: guard stacks as before Linux 6.13, within the budget of vm.max_map_count", 0},
    {"connections", KEY_CONNECTIONS, "N", 0,
     "Connections (default: echo 4, then 50, then 1,000, http 64, then 512, idle 10,000; quick: "
     "50, 64, 1,000)",
     0},
    {"size", KEY_SIZE, "BYTES", 0,
     "echo: bytes per message, up to 1M (default: 64, then 1k, then 16k)", 0},
    {"pipeline", KEY_PIPELINE, "N", 0,
     "Requests sent together on a connection (default: echo 1, http 1, then 16)", 0},
    {"connect", KEY_CONNECT, "ADDRESS", 0,
     "idle: an echo server to measure instead, tcp:127.0.0.1:PORT, with --server-pid", 0},
    {"server-pid", KEY_PID, "PID", 0, "idle: its process", 0},
    {"duration", KEY_DURATION, "SEC", 0,
     "echo, http, stall: length of a sample in seconds (default: 2; quick: 0.5)", 0},
    {0}};

/* All of them, for error lines. */
static const char *names(char *list, size_t size)
{
    size_t used = 0;

    list[0] = '\0';
    for (size_t i = 0; i < BENCHES && used < size; i++)
        used += (size_t)snprintf(list + used, size - used, "%s%s", i ? ", " : "", benches[i].name);
    return list;
}

static void choose(const struct argp_state *state, struct asked *asked, const char *name)
{
    bool all = strcmp(name, "all") == 0, found = all;
    char list[256];

    for (size_t i = 0; i < BENCHES; i++) {
        if (!all && strcmp(name, benches[i].name) != 0)
            continue;
        asked->chosen[i] = asked->any = found = true;
    }
    if (!found)
        rdl_cli_fail(state, "no benchmark '%s' (%s or all)", name, names(list, sizeof list));
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct asked *asked = state->input;
    struct rdl_bench *bench = &asked->bench;
    char list[256];

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
    case KEY_PIPELINE:
        bench->pipeline = (unsigned)rdl_cli_count(state, "--pipeline", text, 1, 256);
        return 0;
    case KEY_CONNECT:
        bench->connect = text;
        if (strncmp(text, "tcp:127.0.0.1:", 14) != 0)
            rdl_cli_fail(state, "--connect: not tcp:127.0.0.1:PORT: '%s'", text);
        (void)rdl_cli_count(state, "--connect", text + 14, 1, 65535);
        return 0;
    case KEY_PID:
        bench->server_pid = (pid_t)rdl_cli_count(state, "--server-pid", text, 1, 1 << 30);
        return 0;
    case KEY_DURATION:
        bench->duration_ns = rdl_cli_time(state, "--duration", text, RADDLE_MS(10), RADDLE_S(3600));
        return 0;
    case ARGP_KEY_ARG:
        choose(state, asked, text);
        return 0;
    case ARGP_KEY_END:
        if (!asked->any)
            rdl_cli_fail(state, "a benchmark is missing (%s or all)", names(list, sizeof list));
        if (!bench->connect != !bench->server_pid)
            rdl_cli_fail(state, "--connect and --server-pid go together");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&rdl_run_argp_short, 0, "Loops:", 1}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "BENCHMARK|all ...",
    .doc =
        "Measures this machine: each figure is the median of several samples, with the least and "
        "the greatest, and the CPU time per operation beside it.\v"
        "switch: between two coroutines. yield: give way and come back. spawn: start a task, run "
        "it, wait for it. wake: one task wakes another, on the same loop, on another one, and a "
        "thread wakes a task. channel: hand a number to another task, on one loop and on two. "
        "sync: locks, permits, channels and scopes that nobody waits for. skynet: a tree of a "
        "million tasks. fib: fork and join without a cut-off. timers: sleeps, and timers that are "
        "cancelled. executor: jobs that do nothing, one and 64 at a time. parked: what a task that "
        "waits costs. stall: how late the others are when some tasks burn CPU time. echo: a "
        "server, its CPU time per request, beside others written by hand. http: the same of "
        "`raddle serve http`. idle: what a connection costs that does nothing.\n\n"
        "--loops: of yield and parked (default: 1), of spawn, skynet, fib and stall (default: one, "
        "then all). Exit status 1 when something went wrong, be it that the work was not done.",
    .children = children,
};

void rdl_bench_print(const struct rdl_bench *bench, const struct rdl_series *series)
{
    rdl_series_print(series, bench->json);
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

int rdl_bench_repeat(const struct rdl_bench *bench, const char *name, const char *unit,
                     rdl_sample_fn *take, void *arg)
{
    unsigned samples = rdl_bench_samples(bench, 9);
    struct rdl_series series, warm_up;
    int rc = 0;

    rdl_series_init(&series, name, unit, raddle_loop_count());
    rdl_series_init(&warm_up, name, unit, raddle_loop_count());
    for (unsigned i = 0; rc == 0 && i < samples + 1; i++)
        rc = take(arg, i ? &series : &warm_up);
    if (rc == 0)
        rdl_bench_print(bench, &series);
    return rc;
}

struct told {
    raddle_task_fn *fn;
    void *arg;
};

/* What went wrong in the work itself has been said. */
static int tell_main(void *arg)
{
    const struct told *told = arg;
    int rc = told->fn(told->arg);

    if (rc < 0 && rc != -EPROTO)
        (void)rdl_cli_error("bench: %s", raddle_strerror(rc));
    return rc;
}

int rdl_bench_run(const struct rdl_bench *bench, unsigned loops, raddle_task_fn *fn, void *arg)
{
    struct rdl_run_options run = bench->run;
    struct told told = {fn, arg};

    run.loops = loops;
    return rdl_run(&run, 0, tell_main, &told);
}

uint64_t rdl_bench_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

int rdl_bench_wrong(const char *name, uint64_t got, uint64_t wanted)
{
    (void)rdl_cli_error("bench %s: %llu of something that should be %llu", name,
                        (unsigned long long)got, (unsigned long long)wanted);
    return -EPROTO;
}

/* Nothing of the library runs in this process, so the child is free to do anything. */
static int run_alone(struct rdl_bench *bench, rdl_bench_fn *run)
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
    rdl_bench_bind(0, true); /* so that it knows which CPUs were allowed at the start */
    if (!asked.bench.json)
        printf("%-28s %12s %12s %12s  %-9s %12s %7s\n", "name", "median", "min", "max", "unit",
               "cpu ns", "samples");
    for (size_t i = 0; i < BENCHES; i++)
        if (asked.chosen[i] && run_alone(&asked.bench, benches[i].run))
            status = 1;
    return status;
}
