/*
 * tools/histogram.h - a log-linear histogram of latencies: any percentile, to three digits.
 *
 * Values are nanoseconds, from 0 to 9.7 hours. Up to 2,047 each has a bucket of its own; above,
 * each power of two is cut into 1,024, so that a value is known to better than 0.1 %. Recording
 * takes a few instructions, and memory does not grow: 288 KiB, which is too much for a task's
 * stack.
 *
 * A histogram belongs to one thread. Several threads record into one each, and merge them at the
 * end.
 */
#ifndef RDL_TOOLS_HISTOGRAM_H
#define RDL_TOOLS_HISTOGRAM_H

#include <stdint.h>

enum {
    RDL_HISTOGRAM_BITS = 45, /* of the greatest value that is told from greater ones */
    RDL_HISTOGRAM_BUCKETS = (RDL_HISTOGRAM_BITS - 9) * 1024,
};

/* All zero is an empty one. */
struct rdl_histogram {
    uint64_t count;
    uint64_t clipped; /* values beyond the range: counted in the last bucket */
    int64_t min_ns;   /* exact, like max_ns; if count */
    int64_t max_ns;
    double sum_ns;
    uint64_t buckets[RDL_HISTOGRAM_BUCKETS];
};

void rdl_histogram_init(struct rdl_histogram *histogram);

/* A negative value counts as 0. */
void rdl_histogram_record(struct rdl_histogram *histogram, int64_t value_ns);
void rdl_histogram_record_n(struct rdl_histogram *histogram, int64_t value_ns, uint64_t n);

/*
 * Records a value that was measured by a client that waits for each answer before it asks again,
 * but was meant to ask every interval_ns: while one answer was late it has not asked, so the
 * requests that it left out are recorded too, each late by one interval less. interval_ns <= 0:
 * just records.
 *
 * A client that keeps to its schedule and counts from the moment it meant to ask doesn't need this,
 * and measures instead of guessing.
 */
void rdl_histogram_record_corrected(struct rdl_histogram *histogram, int64_t value_ns,
                                    int64_t interval_ns);

/* Adds what from has recorded. */
void rdl_histogram_merge(struct rdl_histogram *into, const struct rdl_histogram *from);

/* The value that percent of the recorded ones don't exceed, from 0 (the least) to 100 (the
 * greatest): the upper end of its bucket, so never flattering, but no more than the greatest. 0 if
 * empty. */
int64_t rdl_histogram_percentile(const struct rdl_histogram *histogram, double percent);

/* How many of the recorded values are at most value_ns, to the accuracy of a bucket. */
uint64_t rdl_histogram_count_up_to(const struct rdl_histogram *histogram, int64_t value_ns);

/* 0 if empty. */
int64_t rdl_histogram_min(const struct rdl_histogram *histogram);
int64_t rdl_histogram_max(const struct rdl_histogram *histogram);
double rdl_histogram_mean(const struct rdl_histogram *histogram);

#endif
