/*
 * tools/histogram.c - the buckets of a log-linear histogram.
 *
 * A value is shifted right until 11 bits are left. The shift names the power of two, the 11 bits
 * the bucket in it; as their top bit is set whenever there was a shift, shift * 1024 + bits runs
 * through all indices without a gap or an overlap:
 *
 *     value            shift   bits           index
 *     0 to 2047        0       0 to 2047      0 to 2047
 *     2048 to 4095     1       1024 to 2047   2048 to 3071
 *     4096 to 8191     2       1024 to 2047   3072 to 4095
 */
#include "tools/histogram.h"

#include <assert.h>
#include <string.h>

enum {
    VALUE_BITS = 11,              /* that are kept of a value */
    HALF = 1 << (VALUE_BITS - 1), /* buckets per power of two */
};

#define VALUE_MAX ((INT64_C(1) << RDL_HISTOGRAM_BITS) - 1)

static_assert(RDL_HISTOGRAM_BUCKETS == (RDL_HISTOGRAM_BITS - VALUE_BITS + 2) * HALF,
              "the greatest value has the last index");

static unsigned index_of(int64_t value)
{
    uint64_t v = (uint64_t)value;
    unsigned shift = 64 - VALUE_BITS - (unsigned)__builtin_clzll(v | (2 * HALF - 1));

    return shift * HALF + (unsigned)(v >> shift);
}

/* The greatest value of a bucket. */
static int64_t end_of(unsigned index)
{
    unsigned shift = index < 2 * HALF ? 0 : index / HALF - 1;
    uint64_t bits = index - shift * HALF;

    return (int64_t)(((bits + 1) << shift) - 1);
}

void rdl_histogram_init(struct rdl_histogram *h)
{
    memset(h, 0, sizeof(*h));
}

void rdl_histogram_record_n(struct rdl_histogram *h, int64_t value, uint64_t n)
{
    if (n == 0)
        return;
    if (value < 0)
        value = 0;
    if (h->count == 0 || value < h->min_ns)
        h->min_ns = value;
    if (h->count == 0 || value > h->max_ns)
        h->max_ns = value;
    h->count += n;
    h->sum_ns += (double)value * (double)n;
    if (value > VALUE_MAX) {
        value = VALUE_MAX;
        h->clipped += n;
    }
    h->buckets[index_of(value)] += n;
}

void rdl_histogram_record(struct rdl_histogram *h, int64_t value)
{
    rdl_histogram_record_n(h, value, 1);
}

void rdl_histogram_record_corrected(struct rdl_histogram *h, int64_t value, int64_t interval)
{
    rdl_histogram_record(h, value);
    if (interval <= 0)
        return;
    while (value - interval >= interval) {
        value -= interval;
        rdl_histogram_record(h, value);
    }
}

void rdl_histogram_merge(struct rdl_histogram *into, const struct rdl_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min_ns < into->min_ns)
        into->min_ns = from->min_ns;
    if (into->count == 0 || from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    into->count += from->count;
    into->clipped += from->clipped;
    into->sum_ns += from->sum_ns;
    for (unsigned i = 0; i < RDL_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

/* How many values a percentile has at or below it, at least one: rounded up, but not for the last
 * digit of a double, so that 99.9 % of 1,000 are 999. */
static uint64_t rank_of(uint64_t count, double percent)
{
    double exact = percent / 100 * (double)count;
    uint64_t rank;

    if (!(percent > 0))
        return 1;
    if (percent >= 100)
        return count;
    rank = (uint64_t)exact;
    if (exact - (double)rank > exact * 1e-12)
        rank++;
    return rank ? rank : 1;
}

int64_t rdl_histogram_percentile(const struct rdl_histogram *h, double percent)
{
    uint64_t rank = rank_of(h->count, percent);
    uint64_t seen = 0;
    int64_t value;

    if (h->count == 0)
        return 0;
    /* Exact, and right for what was clipped too. */
    if (!(percent > 0))
        return h->min_ns;
    for (unsigned i = 0; i < RDL_HISTOGRAM_BUCKETS - 1; i++) {
        seen += h->buckets[i];
        if (seen >= rank) {
            value = end_of(i);
            return value < h->max_ns ? value : h->max_ns;
        }
    }
    return h->max_ns;
}

uint64_t rdl_histogram_count_up_to(const struct rdl_histogram *h, int64_t value)
{
    uint64_t seen = 0;
    unsigned last;

    if (h->count == 0 || value < h->min_ns)
        return 0;
    if (value >= h->max_ns)
        return h->count;
    last = index_of(value < VALUE_MAX ? value : VALUE_MAX);
    for (unsigned i = 0; i <= last; i++)
        seen += h->buckets[i];
    return seen;
}

int64_t rdl_histogram_min(const struct rdl_histogram *h)
{
    return h->count ? h->min_ns : 0;
}

int64_t rdl_histogram_max(const struct rdl_histogram *h)
{
    return h->count ? h->max_ns : 0;
}

double rdl_histogram_mean(const struct rdl_histogram *h)
{
    return h->count ? h->sum_ns / (double)h->count : 0;
}
