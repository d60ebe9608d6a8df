/*
 * raddle/load_report.c - the result of `raddle load`, as a table or as JSON.
 */
#include <stdio.h>

#include "tools/raddle/json.h"
#include "tools/raddle/load.h"

static const char *const error_names[RDL_LOAD_ERRORS] = {
    "connect", "read", "write", "closed", "timeout", "status", "protocol", "mismatch"};

static const struct {
    const char *key, *title;
    double percent;
} percentiles[] = {
    {"p50_us", "p50", 50},      {"p90_us", "p90", 90},         {"p99_us", "p99", 99},
    {"p999_us", "p99.9", 99.9}, {"p9999_us", "p99.99", 99.99},
};

enum { PERCENTILES = sizeof percentiles / sizeof percentiles[0] };

static double percentile_us(const struct rdl_load_result *result, size_t i)
{
    return (double)rdl_histogram_percentile(result->latency, percentiles[i].percent) / 1e3;
}

static double per_request(const struct rdl_load_result *result, int64_t cpu_ns)
{
    return result->requests ? (double)cpu_ns / (double)result->requests : 0;
}

static double seconds(const struct rdl_load_result *result)
{
    return (double)result->measured_ns / 1e9;
}

static void print_json(const struct rdl_load *load, const struct rdl_load_result *result)
{
    char text[4096], name[32];
    struct rdl_json json;

    (void)snprintf(name, sizeof name, "load.%s", load->protocol->name);
    rdl_json_init(&json, text, sizeof text);
    rdl_json_open(&json, NULL, '{');
    rdl_json_string(&json, "name", name);
    rdl_json_string(&json, "address", load->address);
    if (load->url)
        rdl_json_string(&json, "url", load->url);
    rdl_json_unsigned(&json, "connections", load->connections);
    rdl_json_unsigned(&json, "pipeline", load->pipeline);
    if (load->protocol == &rdl_load_echo)
        rdl_json_unsigned(&json, "size", load->size);
    rdl_json_string(&json, "loop", load->rate > 0 ? "open" : "closed");
    if (load->rate > 0)
        rdl_json_number(&json, "rate", load->rate);
    rdl_json_number(&json, "seconds", seconds(result));
    rdl_json_unsigned(&json, "requests", result->requests);
    rdl_json_unsigned(&json, "errors", result->errors_sum);
    rdl_json_unsigned(&json, "not_started", result->not_started);
    rdl_json_number(&json, "req_per_s", (double)result->requests / seconds(result));
    rdl_json_number(&json, "bytes_per_s", (double)result->bytes / seconds(result));
    rdl_json_unsigned(&json, "samples", result->latency->count);
    rdl_json_number(&json, "min_us", (double)rdl_histogram_min(result->latency) / 1e3);
    rdl_json_number(&json, "mean_us", rdl_histogram_mean(result->latency) / 1e3);
    for (size_t i = 0; i < PERCENTILES; i++)
        rdl_json_number(&json, percentiles[i].key, percentile_us(result, i));
    rdl_json_number(&json, "max_us", (double)rdl_histogram_max(result->latency) / 1e3);
    rdl_json_number(&json, "cpu_ns", per_request(result, result->cpu_ns));
    if (result->server_cpu_ns >= 0)
        rdl_json_number(&json, "server_cpu_ns", per_request(result, result->server_cpu_ns));
    rdl_json_open(&json, "error_kinds", '{');
    for (size_t i = 0; i < RDL_LOAD_ERRORS; i++)
        rdl_json_unsigned(&json, error_names[i], result->errors[i]);
    rdl_json_close(&json, '}');
    rdl_json_unsigned(&json, "loops", result->loops);
    rdl_json_string(&json, "driver", result->driver);
    rdl_json_close(&json, '}');
    if (rdl_json_finish(&json) >= 0)
        puts(text);
}

static void print_table(const struct rdl_load *load, const struct rdl_load_result *result)
{
    printf("%s at %s, %llu connection%s, ", load->protocol->name,
           load->url && !load->connect ? load->url : load->address,
           (unsigned long long)load->connections, load->connections == 1 ? "" : "s");
    if (load->protocol == &rdl_load_echo)
        printf("%zu bytes, ", load->size);
    if (load->pipeline > 1)
        printf("pipeline %u, ", load->pipeline);
    if (load->rate > 0)
        printf("open loop at %.6g/s, ", load->rate);
    else
        printf("closed loop, ");
    printf("%.1f s, client: %u loop%s (%s)\n", seconds(result), result->loops,
           result->loops == 1 ? "" : "s", result->driver);

    printf("  requests     %12llu   %.0f per second\n", (unsigned long long)result->requests,
           (double)result->requests / seconds(result));
    printf("  errors       %12llu", (unsigned long long)result->errors_sum);
    for (size_t i = 0; i < RDL_LOAD_ERRORS; i++)
        if (result->errors[i])
            printf("   %s %llu", error_names[i], (unsigned long long)result->errors[i]);
    printf("\n");
    if (result->not_started)
        printf("  not started  %12llu   due, but the answer before never came in time\n",
               (unsigned long long)result->not_started);
    printf("  latency us  ");
    for (size_t i = 0; i < PERCENTILES; i++)
        printf(" %s %.1f ", percentiles[i].title, percentile_us(result, i));
    printf(" max %.1f\n", (double)rdl_histogram_max(result->latency) / 1e3);
    printf("  CPU us/req    client %.2f", per_request(result, result->cpu_ns) / 1e3);
    if (result->server_cpu_ns >= 0)
        printf("  server %.2f", per_request(result, result->server_cpu_ns) / 1e3);
    printf("\n");
}

void rdl_load_report(const struct rdl_load *load, const struct rdl_load_result *result)
{
    if (load->json)
        print_json(load, result);
    else
        print_table(load, result);
}
