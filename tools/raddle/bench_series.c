/*
 * raddle/bench_series.c - the samples of one figure: their median, and the way they are printed.
 */
#include "tools/raddle/bench_series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/raddle/json.h"

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

int64_t rdl_series_json(const struct rdl_series *series, char *text, size_t size)
{
    double sorted[RDL_BENCH_SAMPLES_MAX], cpu[RDL_BENCH_SAMPLES_MAX];
    double median = median_of(series->value, series->count, sorted);
    double cpu_ns = median_of(series->cpu_ns, series->count, cpu);
    struct rdl_json json;

    rdl_json_init(&json, text, size);
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
    return rdl_json_finish(&json);
}

static void print_row(const struct rdl_series *series)
{
    double sorted[RDL_BENCH_SAMPLES_MAX], cpu[RDL_BENCH_SAMPLES_MAX];
    double median = median_of(series->value, series->count, sorted);
    double cpu_ns = median_of(series->cpu_ns, series->count, cpu);

    printf("%-28s %12.2f %12.2f %12.2f  %-9s", series->name, median, sorted[0],
           sorted[series->count - 1], series->unit);
    if (cpu_ns >= 0)
        printf(" %12.2f", cpu_ns);
    else
        printf(" %12s", "-");
    printf(" %7u\n", series->count);
}

void rdl_series_print(const struct rdl_series *series, bool as_json)
{
    char text[1024];

    if (series->count == 0)
        return;
    if (!as_json)
        print_row(series);
    else if (rdl_series_json(series, text, sizeof text) >= 0)
        puts(text);
    (void)fflush(stdout);
}
