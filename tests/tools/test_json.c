/* The JSON that the tools print. */
#include "tools/raddle/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

TestSuite(json, .timeout = 30);

Test(json, values_of_all_kinds_are_separated_by_commas)
{
    char text[512];
    struct rdl_json json;

    rdl_json_init(&json, text, sizeof text);
    rdl_json_open(&json, NULL, '{');
    rdl_json_string(&json, "s", "x");
    rdl_json_string(&json, "none", NULL);
    rdl_json_open(&json, "a", '[');
    rdl_json_unsigned(&json, NULL, UINT64_MAX);
    rdl_json_signed(&json, NULL, INT64_MIN);
    rdl_json_signed(&json, NULL, 0);
    rdl_json_open(&json, NULL, '{');
    rdl_json_close(&json, '}');
    rdl_json_close(&json, ']');
    rdl_json_boolean(&json, "b", true);
    rdl_json_number(&json, "n", -1.25);
    rdl_json_close(&json, '}');
    cr_assert_eq(rdl_json_finish(&json), (int64_t)strlen(text));
    cr_assert_str_eq(text, "{\"s\":\"x\",\"none\":null,\"a\":[18446744073709551615,"
                           "-9223372036854775808,0,{}],\"b\":true,\"n\":-1.250}");
}

static const char *number(double value)
{
    static char text[64];
    struct rdl_json json;

    rdl_json_init(&json, text, sizeof text);
    rdl_json_number(&json, NULL, value);
    cr_assert_geq(rdl_json_finish(&json), 0);
    return text;
}

Test(json, numbers_are_what_json_allows)
{
    cr_expect_str_eq(number(NAN), "null");
    cr_expect_str_eq(number(-INFINITY), "null");
    cr_expect_str_eq(number(0), "0.000");
    cr_expect_str_eq(number(1e15), "1000000000000000");
    cr_expect_str_eq(number(1e300), "1.000000e+300");
}

static const char *quoted(const char *value)
{
    static char text[256];
    struct rdl_json json;

    rdl_json_init(&json, text, sizeof text);
    rdl_json_string(&json, NULL, value);
    cr_assert_geq(rdl_json_finish(&json), 0);
    return text;
}

Test(json, strings_are_escaped)
{
    cr_expect_str_eq(quoted("a\"b\\c/\n\t\x01\x7f"),
                     "\"a\\\"b\\\\c/\\u000a\\u0009\\u0001\\u007f\"");
    cr_expect_str_eq(quoted("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
                     "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
}

Test(json, bytes_that_are_no_utf8_are_replaced)
{
    cr_expect_str_eq(quoted("a\xff"), "\"a\\ufffd\"");
    cr_expect_str_eq(quoted("\xc3"), "\"\\ufffd\"");
    cr_expect_str_eq(quoted("\xc0\x80"), "\"\\ufffd\\ufffd\"");
    cr_expect_str_eq(quoted("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
    cr_expect_str_eq(quoted("\xf5x"), "\"\\ufffdx\"");
}

Test(json, what_does_not_fit_is_an_error_at_every_size)
{
    for (size_t size = 1; size < 40; size++) {
        char text[64];
        struct rdl_json json;

        memset(text, '#', sizeof text);
        rdl_json_init(&json, text, size);
        rdl_json_open(&json, NULL, '{');
        rdl_json_string(&json, "key", "value");
        rdl_json_unsigned(&json, "n", 12345);
        rdl_json_close(&json, '}');
        if (size > strlen("{\"key\":\"value\",\"n\":12345}"))
            cr_expect_gt(rdl_json_finish(&json), 0);
        else
            cr_expect_eq(rdl_json_finish(&json), -1);
        for (size_t i = size; i < sizeof text; i++)
            cr_expect_eq(text[i], '#');
    }
}
