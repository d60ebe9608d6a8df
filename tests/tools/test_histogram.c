/*
 * tests/tools/test_histogram.c - the latency histogram: accuracy, edges, merging, correction.
 */
#include "tools/histogram.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(histogram, .timeout = 30);

static struct rdl_histogram *make(void)
{
    struct rdl_histogram *h = malloc(sizeof(*h));

    cr_assert_not_null(h);
    rdl_histogram_init(h);
    return h;
}

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

Test(histogram, an_empty_one_answers_zero)
{
    struct rdl_histogram *h = make();

    cr_expect_eq(rdl_histogram_percentile(h, 50), 0);
    cr_expect_eq(rdl_histogram_min(h), 0);
    cr_expect_eq(rdl_histogram_max(h), 0);
    cr_expect_eq(rdl_histogram_count_up_to(h, INT64_MAX), 0u);
    cr_expect(rdl_histogram_mean(h) == 0.0);
    free(h);
}

Test(histogram, small_values_are_exact)
{
    struct rdl_histogram *h = make();

    for (int64_t v = 0; v < 2048; v++)
        rdl_histogram_record(h, v);
    for (int64_t v = 0; v < 2048; v++) {
        cr_assert_eq(rdl_histogram_percentile(h, 100.0 * (double)(v + 1) / 2048), v);
        cr_assert_eq(rdl_histogram_count_up_to(h, v), (uint64_t)v + 1);
    }
    cr_expect_eq(h->count, 2048u);
    cr_expect(rdl_histogram_mean(h) == 1023.5);
    free(h);
}

Test(histogram, any_value_is_known_to_a_thousandth_and_never_flattered)
{
    struct rdl_histogram *h = make();

    for (unsigned shift = 0; shift < RDL_HISTOGRAM_BITS; shift++) {
        for (int64_t off = -1; off <= 1; off++) {
            int64_t value = (INT64_C(1) << shift) + off;
            int64_t seen;

            if (value >= INT64_C(1) << RDL_HISTOGRAM_BITS)
                continue;
            rdl_histogram_init(h);
            rdl_histogram_record(h, value);
            /* So that the greatest doesn't answer for it. */
            rdl_histogram_record(h, INT64_MAX);
            seen = rdl_histogram_percentile(h, 50);
            cr_assert_geq(seen, value);
            cr_assert_leq(seen - value, value / 1000);
        }
    }
    free(h);
}

Test(histogram, the_first_and_last_value_of_each_bucket_share_it_and_their_neighbours_do_not)
{
    struct rdl_histogram *h = make();

    for (unsigned shift = 1; shift < RDL_HISTOGRAM_BITS - 11; shift++) {
        int64_t first = INT64_C(1500) << shift;
        int64_t last = (INT64_C(1501) << shift) - 1;

        rdl_histogram_init(h);
        rdl_histogram_record(h, 0);
        rdl_histogram_record(h, first);
        rdl_histogram_record(h, last);
        rdl_histogram_record(h, INT64_MAX);
        cr_assert_eq(rdl_histogram_count_up_to(h, first - 1), 1u);
        cr_assert_eq(rdl_histogram_count_up_to(h, first), 3u);
        cr_assert_eq(rdl_histogram_count_up_to(h, last + 1), 3u);
        cr_assert_eq(rdl_histogram_percentile(h, 50), last);
    }
    free(h);
}

Test(histogram, percentiles_match_a_sorted_array)
{
    enum { N = 100000 };
    static const double percents[] = {0,  0.001, 1,    10,    25,     50, 75,
                                      90, 99,    99.9, 99.99, 99.999, 100};
    struct rdl_histogram *h = make();
    int64_t *values = malloc(N * sizeof(*values));
    uint64_t seed = 42;
    double sum = 0;

    cr_assert_not_null(values);
    for (unsigned i = 0; i < N; i++) {
        /* Log-uniform, from nanoseconds to hours. */
        values[i] = (int64_t)(draw(&seed) >> (19 + draw(&seed) % 40));
        rdl_histogram_record(h, values[i]);
        sum += (double)values[i];
    }
    qsort(values, N, sizeof(*values), compare);
    for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        unsigned rank = (unsigned)(percents[i] / 100 * N + 0.5);
        int64_t exact = values[rank ? rank - 1 : 0];
        int64_t seen = rdl_histogram_percentile(h, percents[i]);

        cr_expect_geq(seen, exact, "%g", percents[i]);
        cr_expect_leq(seen - exact, exact / 1000, "%g", percents[i]);
    }
    cr_expect_eq(rdl_histogram_min(h), values[0]);
    cr_expect_eq(rdl_histogram_max(h), values[N - 1]);
    cr_expect(rdl_histogram_mean(h) == sum / N);
    cr_expect_eq(h->clipped, 0u);
    free(values);
    free(h);
}

Test(histogram, a_percentile_that_is_a_whole_number_of_values_is_not_rounded_up)
{
    struct rdl_histogram *h = make();

    for (int64_t v = 1; v <= 1000; v++)
        rdl_histogram_record(h, v);
    cr_expect_eq(rdl_histogram_percentile(h, 99.9), 999);
    cr_expect_eq(rdl_histogram_percentile(h, 99.91), 1000);
    cr_expect_eq(rdl_histogram_percentile(h, 99), 990);
    cr_expect_eq(rdl_histogram_percentile(h, 7), 70);
    cr_expect_eq(rdl_histogram_percentile(h, -3), 1);
    cr_expect_eq(rdl_histogram_percentile(h, 200), 1000);
    free(h);
}

Test(histogram, values_beyond_the_range_are_counted_and_the_greatest_is_exact)
{
    struct rdl_histogram *h = make();

    rdl_histogram_record(h, -5);
    rdl_histogram_record(h, INT64_C(1) << RDL_HISTOGRAM_BITS);
    rdl_histogram_record(h, INT64_MAX);
    cr_expect_eq(h->clipped, 2u);
    cr_expect_eq(rdl_histogram_min(h), 0);
    cr_expect_eq(rdl_histogram_max(h), INT64_MAX);
    cr_expect_eq(rdl_histogram_percentile(h, 33), 0);
    cr_expect_eq(rdl_histogram_percentile(h, 100), INT64_MAX);
    cr_expect_eq(rdl_histogram_count_up_to(h, 100), 1u);
    free(h);
}

Test(histogram, all_values_beyond_the_range_keep_min_and_max_apart)
{
    struct rdl_histogram *h = make();

    rdl_histogram_record(h, INT64_C(1) << 50);
    rdl_histogram_record(h, INT64_C(1) << 51);
    cr_expect_eq(rdl_histogram_percentile(h, 0), INT64_C(1) << 50);
    cr_expect_eq(rdl_histogram_percentile(h, 100), INT64_C(1) << 51);
    free(h);
}

Test(histogram, recording_n_is_recording_n_times)
{
    struct rdl_histogram *a = make();
    struct rdl_histogram *b = make();

    for (unsigned i = 0; i < 7; i++)
        rdl_histogram_record(a, 123456);
    rdl_histogram_record_n(b, 123456, 7);
    rdl_histogram_record_n(b, 1, 0);
    cr_expect_arr_eq(a, b, sizeof(*a));
    free(a);
    free(b);
}

Test(histogram, merging_is_recording_both)
{
    struct rdl_histogram *part[2] = {make(), make()};
    struct rdl_histogram *both = make();
    struct rdl_histogram *merged = make();
    uint64_t seed = 7;

    for (unsigned i = 0; i < 10000; i++) {
        int64_t value = (int64_t)(draw(&seed) % 1000000);

        rdl_histogram_record(part[i % 2], value);
        rdl_histogram_record(both, value);
    }
    for (unsigned i = 0; i < 2; i++)
        rdl_histogram_merge(merged, part[i]);
    cr_expect_arr_eq(merged, both, sizeof(*both));
    /* An empty one adds nothing, not even a least value. */
    rdl_histogram_init(part[0]);
    rdl_histogram_merge(merged, part[0]);
    cr_expect_arr_eq(merged, both, sizeof(*both));
    free(part[0]);
    free(part[1]);
    free(both);
    free(merged);
}

Test(histogram, correction_adds_the_requests_that_were_left_out)
{
    struct rdl_histogram *h = make();

    /* Every 100 us, each answered in 1 us, then one answer that takes 1 ms. */
    for (unsigned i = 0; i < 100; i++)
        rdl_histogram_record_corrected(h, 1000, 100000);
    rdl_histogram_record_corrected(h, 1000000, 100000);
    cr_expect_eq(h->count, 110u);
    cr_expect_eq(rdl_histogram_count_up_to(h, 1000), 100u);
    cr_expect_eq(rdl_histogram_count_up_to(h, 110000), 101u);
    cr_expect_eq(rdl_histogram_max(h), 1000000);
    rdl_histogram_init(h);
    rdl_histogram_record_corrected(h, 1000000, 0);
    cr_expect_eq(h->count, 1u);
    free(h);
}
