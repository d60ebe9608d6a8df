/*
 * raddle/bench_echo.c - an echo server under load: its CPU time per request, beside that of one
 * written by hand on epoll, in turns, in the same run.
 *
 * Server and client are processes of their own; with two CPUs and more the server has one of them and
 * the client the others, so that what a core spends on one is not spent on the other. Both servers run
 * on one thread.
 *
 *     echo.raddle.cC.bB   C connections, messages of B bytes; cpu ns of the server per request
 *     echo.epoll.cC.bB    the same of the one written by hand
 *     echo.ratio.cC.bB    the first by the second, round by round
 *     echo.p99...         latency, in us
 */
#define _GNU_SOURCE
#include "tools/raddle/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/raddle/bench_floor.h"
#include "tools/raddle/cli.h"
#include "tools/raddle/commands.h"
#include "tools/raddle/load.h"

struct echo_sample {
    double server_ns, client_ns, per_second, p99_us;
};

/* Binds the calling process to the first CPU it may use, or to all but that one. */
static void bind_to(bool first)
{
    cpu_set_t allowed, chosen;
    bool seen = false;

    if (sched_getaffinity(0, sizeof allowed, &allowed) || CPU_COUNT(&allowed) < 2)
        return;
    CPU_ZERO(&chosen);
    for (size_t cpu = 0; cpu < (size_t)CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        if (first != seen)
            CPU_SET(cpu, &chosen);
        seen = true;
    }
    (void)sched_setaffinity(0, sizeof chosen, &chosen);
}

/* In the child: a server on a port of its choice, which it tells through standard output. */
static _Noreturn void serve(const struct rdl_bench *bench, bool by_hand, int output)
{
    static char address[] = "tcp:127.0.0.1:0", loops[] = "1", drain[] = "0";
    static char name[] = "serve", echo[] = "echo", listen_option[] = "--listen";
    static char loops_option[] = "--loops", drain_option[] = "--drain",
                policy_option[] = "--policy";
    char *policy = bench->run.driver ? strdup(bench->run.driver) : NULL;
    char *argv[] = {name,         echo,         listen_option,
                    address,      loops_option, loops,
                    drain_option, drain,        policy ? policy_option : NULL,
                    policy,       NULL};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof any;
    int listener;

    /* Also when the benchmark is interrupted. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bind_to(true);
    if (dup2(output, STDOUT_FILENO) < 0)
        exit(1);
    if (!by_hand)
        exit(rdl_command_serve(policy ? 10 : 8, argv));

    rdl_raise_descriptors();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof any) ||
        listen(listener, 4096) || getsockname(listener, (struct sockaddr *)&any, &length))
        exit(rdl_cli_error("bench echo: %s", strerror(errno)));
    printf("listening on tcp:127.0.0.1:%u\n", ntohs(any.sin_port));
    (void)fflush(stdout);
    exit(rdl_cli_error("bench echo: %s", strerror(-rdl_bench_floor(listener))));
}

/* Returns the server's process, with its address, or -1. */
static pid_t start_server(const struct rdl_bench *bench, bool by_hand, char *address, size_t size)
{
    static const char begin[] = "listening on ";
    char line[128] = "";
    size_t used = 0;
    int ends[2];
    pid_t child;

    if (pipe(ends))
        return -1;
    child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        serve(bench, by_hand, ends[1]);
    }
    (void)close(ends[1]);
    while (child > 0 && used + 1 < sizeof line && !strchr(line, '\n')) {
        ssize_t n = read(ends[0], line + used, sizeof line - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
        line[used] = '\0';
    }
    (void)close(ends[0]);
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, begin, sizeof begin - 1) != 0) {
        (void)rdl_cli_error("bench echo: the server did not start");
        if (child > 0) {
            (void)kill(child, SIGKILL);
            (void)waitpid(child, NULL, 0);
        }
        return -1;
    }
    (void)snprintf(address, size, "%s", line + sizeof begin - 1);
    return child;
}

/* In another child: the load. */
static _Noreturn void load(const struct rdl_bench *bench, const char *address, size_t size,
                           pid_t server, int output)
{
    struct rdl_load load = rdl_load_defaults;
    struct rdl_load_result result;
    struct echo_sample sample;
    double requests;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bind_to(false);
    load.protocol = &rdl_load_echo;
    load.connect = address;
    (void)snprintf(load.address, sizeof load.address, "%s", address);
    load.connections = bench->connections ? bench->connections : 50;
    load.size = size;
    load.server_pid = server;
    load.duration_ns = bench->duration_ns ? bench->duration_ns
                       : bench->quick     ? RADDLE_MS(500)
                                          : RADDLE_S(2);
    load.run.driver = bench->run.driver;
    if (rdl_load_run(&load, &result))
        exit(1);
    if (result.errors_sum || result.requests == 0)
        exit(rdl_cli_error("bench echo: %llu errors", (unsigned long long)result.errors_sum));
    requests = (double)result.requests;
    sample.server_ns = (double)result.server_cpu_ns / requests;
    sample.client_ns = (double)result.cpu_ns / requests;
    sample.per_second = requests * 1e9 / (double)result.measured_ns;
    sample.p99_us = (double)rdl_histogram_percentile(result.latency, 99) / 1e3;
    rdl_load_free(&result);
    exit(write(output, &sample, sizeof sample) != (ssize_t)sizeof sample);
}

static int take_sample(const struct rdl_bench *bench, bool by_hand, size_t size,
                       struct echo_sample *sample)
{
    char address[128];
    pid_t server = start_server(bench, by_hand, address, sizeof address), client = -1;
    int ends[2], status = 1;
    ssize_t n = -1;

    if (server < 0)
        return 1;
    if (pipe(ends) == 0) {
        client = fork();
        if (client == 0) {
            (void)close(ends[0]);
            load(bench, address, size, server, ends[1]);
        }
        (void)close(ends[1]);
        if (client > 0)
            n = read(ends[0], sample, sizeof *sample);
        (void)close(ends[0]);
    }
    while (client > 0 && waitpid(client, &status, 0) < 0 && errno == EINTR)
        ;
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    return n == (ssize_t)sizeof *sample && status == 0 ? 0 : 1;
}

static void init_series(struct rdl_series *series, const char *what, const struct rdl_bench *bench,
                        size_t size, const char *unit)
{
    char name[64];

    (void)snprintf(name, sizeof name, "echo.%s.c%llu.b%zu", what,
                   (unsigned long long)(bench->connections ? bench->connections : 50), size);
    rdl_series_init(series, name, unit, 1);
}

static int measure_size(struct rdl_bench *bench, size_t size)
{
    unsigned samples = bench->samples ? bench->samples : bench->quick ? 1 : 3;
    struct rdl_series cpu[2], rate[2], p99[2], ratio;

    for (int by_hand = 0; by_hand < 2; by_hand++) {
        const char *name = by_hand ? "epoll" : "raddle";
        char what[32];

        init_series(&cpu[by_hand], name, bench, size, "ns/req");
        (void)snprintf(what, sizeof what, "rate.%s", name);
        init_series(&rate[by_hand], what, bench, size, "req/s");
        (void)snprintf(what, sizeof what, "p99.%s", name);
        init_series(&p99[by_hand], what, bench, size, "us");
    }
    init_series(&ratio, "ratio", bench, size, "x");

    for (unsigned i = 0; i < samples; i++) {
        struct echo_sample sample[2];

        for (int turn = 0; turn < 2; turn++) {
            /* Who goes first changes from round to round. */
            int by_hand = (turn + (int)i) % 2;

            if (take_sample(bench, by_hand, size, &sample[by_hand]))
                return 1;
            rdl_series_add(&cpu[by_hand], sample[by_hand].server_ns, sample[by_hand].server_ns);
            rdl_series_add(&rate[by_hand], sample[by_hand].per_second, -1);
            rdl_series_add(&p99[by_hand], sample[by_hand].p99_us, -1);
        }
        rdl_series_add(&ratio, sample[0].server_ns / sample[1].server_ns, -1);
    }
    for (int by_hand = 0; by_hand < 2; by_hand++) {
        rdl_series_print(bench, &cpu[by_hand]);
        rdl_series_print(bench, &rate[by_hand]);
        rdl_series_print(bench, &p99[by_hand]);
    }
    rdl_series_print(bench, &ratio);
    return 0;
}

int rdl_bench_echo(struct rdl_bench *bench)
{
    static const size_t sizes[] = {64, 1024, 16384};

    if (bench->size)
        return measure_size(bench, bench->size);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (measure_size(bench, sizes[i]))
            return 1;
    return 0;
}
