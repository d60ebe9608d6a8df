/*
 * raddle/bench_server.c - starts a server in a process of its own, and puts load on it from another.
 */
#include "tools/raddle/bench_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

static _Noreturn void serve_ours(const struct rdl_bench *bench, const char *what, bool paged)
{
    const char *usual[] = {"serve",   what, "--listen", "tcp:127.0.0.1:0",
                           "--loops", "1",  "--drain",  "0"};
    const char *words[12];
    char *argv[13] = {NULL};
    int argc = 0, count = sizeof usual / sizeof usual[0];

    memcpy(words, usual, sizeof usual);
    if (bench->run.driver) {
        words[count++] = "--policy";
        words[count++] = bench->run.driver;
    }
    if (paged)
        words[count++] = "--page-out";
    while (argc < count) {
        argv[argc] = strdup(words[argc]);
        if (!argv[argc++])
            exit(rdl_cli_error("no memory"));
    }
    exit(rdl_command_serve(argc, argv));
}

static _Noreturn void serve_by_hand(int (*serve)(int listener))
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof any;
    int listener;

    rdl_raise_descriptors();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof any) ||
        listen(listener, 4096) || getsockname(listener, (struct sockaddr *)&any, &length))
        exit(rdl_cli_error("bench: %s", strerror(errno)));
    printf("listening on tcp:127.0.0.1:%u\n", ntohs(any.sin_port));
    (void)fflush(stdout);
    exit(rdl_cli_error("bench: %s", strerror(-serve(listener))));
}

/* In the child: a server on a port of its choice, which it tells through standard output. */
static _Noreturn void serve(const struct rdl_bench *bench, enum rdl_bench_server kind, int output)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    rdl_bench_bind(0, false);
    if (dup2(output, STDOUT_FILENO) < 0)
        exit(1);
    switch (kind) {
    case RDL_SERVER_EPOLL:
        serve_by_hand(rdl_bench_floor_epoll);
    case RDL_SERVER_URING:
        serve_by_hand(rdl_bench_floor_uring);
    case RDL_SERVER_HTTP:
        serve_ours(bench, "http", false);
    case RDL_SERVER_ECHO_PAGED:
        serve_ours(bench, "echo", true);
    case RDL_SERVER_ECHO:
    default:
        serve_ours(bench, "echo", false);
    }
}

int rdl_bench_serve(const struct rdl_bench *bench, enum rdl_bench_server kind,
                    struct rdl_bench_served *served)
{
    static const char begin[] = "listening on ";
    char line[sizeof served->address] = "";
    size_t used = 0;
    int ends[2];

    served->pid = -1;
    if (pipe(ends))
        return rdl_cli_error("pipe: %s", strerror(errno));
    (void)fflush(stdout);
    served->pid = fork();
    if (served->pid == 0) {
        (void)close(ends[0]);
        serve(bench, kind, ends[1]);
    }
    (void)close(ends[1]);
    while (served->pid > 0 && used + 1 < sizeof line && !strchr(line, '\n')) {
        ssize_t n = read(ends[0], line + used, sizeof line - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
        line[used] = '\0';
    }
    (void)close(ends[0]);
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, begin, sizeof begin - 1) != 0) {
        rdl_bench_stop(served);
        return rdl_cli_error("bench: the server did not start");
    }
    (void)snprintf(served->address, sizeof served->address, "%s", line + sizeof begin - 1);
    return 0;
}

void rdl_bench_stop(struct rdl_bench_served *served)
{
    if (served->pid <= 0)
        return;
    (void)kill(served->pid, SIGKILL);
    (void)waitpid(served->pid, NULL, 0);
    served->pid = -1;
}

struct loading {
    const struct rdl_bench *bench;
    const struct rdl_load *load;
    const struct rdl_bench_served *served;
};

static int put_load(void *arg, void *out)
{
    const struct loading *loading = arg;
    const struct rdl_bench *bench = loading->bench;
    struct rdl_bench_load *sample = out;
    struct rdl_load load = *loading->load;
    struct rdl_load_result result;
    double requests;
    int status;

    rdl_bench_bind(1, true);
    load.connect = loading->served->address;
    (void)snprintf(load.address, sizeof load.address, "%s", load.connect);
    load.server_pid = loading->served->pid;
    load.duration_ns = bench->duration_ns ? bench->duration_ns
                       : bench->quick     ? RADDLE_MS(500)
                                          : RADDLE_S(2);
    if (load.warmup_ns > load.duration_ns)
        load.warmup_ns = load.duration_ns;
    load.run.driver = bench->run.driver;
    status = rdl_load_run(&load, &result);
    if (status == 0 && (result.errors_sum || result.requests == 0))
        status =
            rdl_cli_error("bench: %llu requests, %llu errors", (unsigned long long)result.requests,
                          (unsigned long long)result.errors_sum);
    if (status == 0 && result.server_cpu_ns < 0)
        status = rdl_cli_error("bench: the server has ended");
    if (status == 0) {
        requests = (double)result.requests;
        sample->server_ns = (double)result.server_cpu_ns / requests;
        sample->client_ns = (double)result.cpu_ns / requests;
        sample->per_second = requests * 1e9 / (double)result.measured_ns;
        sample->p99_us = (double)rdl_histogram_percentile(result.latency, 99) / 1e3;
    }
    rdl_load_free(&result);
    return status;
}

int rdl_bench_load(const struct rdl_bench *bench, enum rdl_bench_server kind,
                   const struct rdl_load *load, struct rdl_bench_load *out)
{
    struct rdl_bench_served served;
    struct loading loading = {bench, load, &served};
    int status = rdl_bench_serve(bench, kind, &served);

    if (status == 0)
        status = rdl_bench_in_child(put_load, &loading, out, sizeof *out);
    rdl_bench_stop(&served);
    return status;
}
