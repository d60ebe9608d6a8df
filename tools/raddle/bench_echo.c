/*
 * raddle/bench_echo.c - an echo server under load: its CPU time per request, beside that of two that
 * were written by hand, in turns, in the same run.
 *
 *     echo.raddle.cC.bB   C connections, messages of B bytes; CPU time of the server per request
 *     echo.epoll.cC.bB    the same of the one by hand on epoll
 *     echo.uring.cC.bB    and on io_uring, where it can be had
 *     echo.ratio.cC.bB    the first by the better one of the others, round by round
 *     echo.rate..., echo.p99...
 */
#include "tools/raddle/bench_server.h"

#include <stdio.h>

#include "tools/raddle/bench_floor.h"
#include "tools/raddle/cli.h"

enum { KINDS = 3 };

static const struct {
    enum rdl_bench_server kind;
    const char *name;
} kinds[KINDS] = {
    {RDL_SERVER_ECHO, "raddle"}, {RDL_SERVER_EPOLL, "epoll"}, {RDL_SERVER_URING, "uring"}};

struct echo {
    struct rdl_bench *bench;
    uint64_t connections;
    size_t size;
    int kinds; /* KINDS, or one less: without io_uring */
    struct rdl_series cpu[KINDS], rate[KINDS], p99[KINDS], ratio;
};

static void init_series(const struct echo *echo, struct rdl_series *series, const char *what,
                        const char *who, const char *unit)
{
    char name[64];

    (void)snprintf(name, sizeof name, "echo.%s%s.c%llu.b%zu", what, who,
                   (unsigned long long)echo->connections, echo->size);
    rdl_series_init(series, name, unit, 1);
}

/* One round: each of them, and who goes first changes. */
static int take_round(struct echo *echo, unsigned round)
{
    struct rdl_load load = rdl_load_defaults;
    struct rdl_bench_load sample[KINDS] = {0};
    double floor;

    load.protocol = &rdl_load_echo;
    load.connections = echo->connections;
    load.size = echo->size;
    load.pipeline = echo->bench->pipeline ? echo->bench->pipeline : 1;
    for (int turn = 0; turn < echo->kinds; turn++) {
        int i = (turn + (int)round) % echo->kinds;

        if (rdl_bench_load(echo->bench, kinds[i].kind, &load, &sample[i]))
            return 1;
        rdl_series_add(&echo->cpu[i], sample[i].server_ns, sample[i].server_ns);
        rdl_series_add(&echo->rate[i], sample[i].per_second, -1);
        rdl_series_add(&echo->p99[i], sample[i].p99_us, -1);
    }
    floor = sample[1].server_ns;
    if (echo->kinds == KINDS && sample[2].server_ns < floor)
        floor = sample[2].server_ns;
    rdl_series_add(&echo->ratio, sample[0].server_ns / floor, -1);
    return 0;
}

static int measure(struct rdl_bench *bench, uint64_t connections, size_t size, bool uring)
{
    unsigned samples = rdl_bench_samples(bench, 3);
    struct echo echo = {.bench = bench,
                        .connections = connections,
                        .size = size,
                        .kinds = uring ? KINDS : KINDS - 1};

    for (int i = 0; i < echo.kinds; i++) {
        init_series(&echo, &echo.cpu[i], "", kinds[i].name, "ns/req");
        init_series(&echo, &echo.rate[i], "rate.", kinds[i].name, "req/s");
        init_series(&echo, &echo.p99[i], "p99.", kinds[i].name, "us");
    }
    init_series(&echo, &echo.ratio, "", "ratio", "x");
    for (unsigned i = 0; i < samples; i++)
        if (take_round(&echo, i))
            return 1;
    for (int i = 0; i < echo.kinds; i++) {
        rdl_bench_print(bench, &echo.cpu[i]);
        rdl_bench_print(bench, &echo.rate[i]);
        rdl_bench_print(bench, &echo.p99[i]);
    }
    rdl_bench_print(bench, &echo.ratio);
    return 0;
}

int rdl_bench_echo(struct rdl_bench *bench)
{
    static const uint64_t connections[] = {4, 50, 1000};
    static const size_t sizes[] = {64, 1024, 16384};
    int rc = rdl_bench_floor_uring_probe();

    if (rc < 0)
        (void)rdl_cli_error("bench echo: nothing by hand on io_uring: %s", raddle_strerror(rc));
    for (size_t i = 0; i < sizeof connections / sizeof connections[0]; i++) {
        uint64_t count = bench->connections ? bench->connections : connections[i];

        if (bench->connections ? i > 0 : bench->quick && count != 50)
            continue;
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            if (bench->size && j > 0)
                continue;
            if (measure(bench, count, bench->size ? bench->size : sizes[j], rc == 0))
                return 1;
        }
    }
    return 0;
}
