/* The samples of one figure of `raddle bench`. */
#include "tools/raddle/bench_series.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(bench_series, .timeout = 30);

static struct rdl_series series;

static void add_all(const double *values, unsigned count)
{
    rdl_series_init(&series, "name", "ns", 2);
    for (unsigned i = 0; i < count; i++)
        rdl_series_add(&series, values[i], -1);
}

Test(bench_series, the_median_of_an_odd_number_is_the_one_in_the_middle)
{
    add_all((double[]){9, 1, 5, 7, 3}, 5);
    cr_assert_float_eq(rdl_series_median(&series), 5, 1e-9);
}

Test(bench_series, the_median_of_an_even_number_lies_between_the_two_in_the_middle)
{
    add_all((double[]){8, -2, 4, 1}, 4);
    cr_assert_float_eq(rdl_series_median(&series), 2.5, 1e-9);
}

Test(bench_series, one_sample_is_its_own_median_and_none_is_0)
{
    add_all((double[]){3}, 1);
    cr_assert_float_eq(rdl_series_median(&series), 3, 1e-9);
    add_all(NULL, 0);
    cr_assert_float_eq(rdl_series_median(&series), 0, 1e-9);
}

Test(bench_series, more_samples_than_there_is_room_for_are_left_out)
{
    rdl_series_init(&series, "name", "ns", 1);
    for (int i = 0; i < RDL_BENCH_SAMPLES_MAX; i++)
        rdl_series_add(&series, 1, 1);
    for (int i = 0; i < 2 * RDL_BENCH_SAMPLES_MAX; i++)
        rdl_series_add(&series, 100, 100);
    cr_assert_eq(series.count, RDL_BENCH_SAMPLES_MAX);
    cr_assert_float_eq(rdl_series_median(&series), 1, 1e-9);
}

Test(bench_series, json_has_the_least_the_median_and_the_greatest)
{
    char text[512];

    rdl_series_init(&series, "a.b", "ns", 2);
    rdl_series_add(&series, 4, 40);
    rdl_series_add(&series, 2, 10);
    rdl_series_add(&series, 3, 20);
    cr_assert_eq(rdl_series_json(&series, text, sizeof text), (int64_t)strlen(text));
    cr_assert_str_eq(
        text, "{\"name\":\"a.b\",\"value\":3.000,\"unit\":\"ns\",\"samples\":3,\"min\":2.000,"
              "\"median\":3.000,\"max\":4.000,\"cpu_ns\":20.000,\"loops\":2}");
}

Test(bench_series, json_has_null_for_cpu_time_that_was_not_measured)
{
    char text[512];

    add_all((double[]){1}, 1);
    cr_assert_gt(rdl_series_json(&series, text, sizeof text), 0);
    cr_assert_not_null(strstr(text, "\"cpu_ns\":null"));
}

Test(bench_series, json_that_does_not_fit_is_refused)
{
    char text[32];

    add_all((double[]){1}, 1);
    cr_assert_lt(rdl_series_json(&series, text, sizeof text), 0);
}
