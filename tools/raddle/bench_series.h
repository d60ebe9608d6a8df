/*
 * raddle/bench_series.h - the samples of one figure.
 */
#ifndef RDL_TOOLS_BENCH_SERIES_H
#define RDL_TOOLS_BENCH_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RDL_BENCH_SAMPLES_MAX = 64 };

struct rdl_series {
    char name[64];
    const char *unit;
    unsigned loops;
    unsigned count;
    double value[RDL_BENCH_SAMPLES_MAX];
    double cpu_ns[RDL_BENCH_SAMPLES_MAX]; /* per unit of work; negative: not measured */
};

void rdl_series_init(struct rdl_series *series, const char *name, const char *unit, unsigned loops);
/* Of more than RDL_BENCH_SAMPLES_MAX the first are kept. */
void rdl_series_add(struct rdl_series *series, double value, double cpu_ns);
double rdl_series_median(const struct rdl_series *series); /* 0 without samples */

/* A JSON object. The series has samples. Returns the length, or -1 if size is too small. */
int64_t rdl_series_json(const struct rdl_series *series, char *text, size_t size);

/* One line: of a table, or a JSON object. Nothing for a series without samples. */
void rdl_series_print(const struct rdl_series *series, bool as_json);

#endif
