/*
 * raddle/bench_http.c - `raddle serve http` under load: its CPU time per request.
 *
 *     http.cC.pP          C connections, P requests sent together on each; CPU time of the server per request
 *     http.rate..., http.p99...
 */
#include "tools/raddle/bench_server.h"

#include <stdio.h>

#include "tools/raddle/cli.h"

#if RADDLE_HAVE_HTTP

static void init_series(struct rdl_series *series, const char *what, const struct rdl_load *load,
                        const char *unit)
{
    char name[64];

    (void)snprintf(name, sizeof name, "http.%sc%llu.p%u", what,
                   (unsigned long long)load->connections, load->pipeline);
    rdl_series_init(series, name, unit, 1);
}

static int measure(struct rdl_bench *bench, uint64_t connections, unsigned pipeline)
{
    unsigned samples = rdl_bench_samples(bench, 3);
    struct rdl_load load = rdl_load_defaults;
    struct rdl_series cpu, rate, p99;

    load.protocol = &rdl_load_http;
    load.path = "/";
    (void)snprintf(load.host, sizeof load.host, "localhost");
    load.connections = connections;
    load.pipeline = pipeline;
    init_series(&cpu, "", &load, "ns/req");
    init_series(&rate, "rate.", &load, "req/s");
    init_series(&p99, "p99.", &load, "us");
    for (unsigned i = 0; i < samples; i++) {
        struct rdl_bench_load sample;

        if (rdl_bench_load(bench, RDL_SERVER_HTTP, &load, &sample))
            return 1;
        rdl_series_add(&cpu, sample.server_ns, sample.server_ns);
        rdl_series_add(&rate, sample.per_second, -1);
        rdl_series_add(&p99, sample.p99_us, -1);
    }
    rdl_bench_print(bench, &cpu);
    rdl_bench_print(bench, &rate);
    rdl_bench_print(bench, &p99);
    return 0;
}

int rdl_bench_http(struct rdl_bench *bench)
{
    static const uint64_t connections[] = {64, 512};
    static const unsigned pipelines[] = {1, 16};

    for (size_t i = 0; i < sizeof connections / sizeof connections[0]; i++) {
        if (i > 0 && (bench->connections || bench->quick))
            break;
        for (size_t j = 0; j < sizeof pipelines / sizeof pipelines[0]; j++) {
            if (j > 0 && bench->pipeline)
                break;
            if (measure(bench, bench->connections ? bench->connections : connections[i],
                        bench->pipeline ? bench->pipeline : pipelines[j]))
                return 1;
        }
    }
    return 0;
}

#else

int rdl_bench_http(struct rdl_bench *bench)
{
    (void)bench;
    return rdl_cli_error("bench http: built without http: llhttp was not found (Debian: "
                         "node-llhttp)");
}

#endif
