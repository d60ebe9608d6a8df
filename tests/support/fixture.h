/*
 * tests/support/fixture.h - the Criterion tests of the runtime: what was expected was met, and no
 * descriptor and no stack is left.
 *
 *     TestSuite(scope, .timeout = 30);
 *     RuntimeTest(scope, names_are_sentences) { ... }
 *
 * Not as Criterion's .fini: what fails there does not fail the test.
 */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include <criterion/criterion.h>

#include "tests/support/runtime.h"

/* After a first run: what the library keeps for good, its probes and handlers, is not counted. */
static struct test_footprint fixture_begin(void)
{
    cr_assert_eq(test_run_on(1, test_nothing, NULL), 0);
    return test_footprint();
}

static void fixture_end(const struct test_footprint *before)
{
    test_same_footprint(before);
    cr_assert_eq(test_failures(), 0, "%u expectations failed", test_failures());
}

#define RuntimeTest(suite, name)                                                                   \
    static void suite##_##name##_body(void);                                                       \
    Test(suite, name)                                                                              \
    {                                                                                              \
        struct test_footprint before = fixture_begin();                                            \
        suite##_##name##_body();                                                                   \
        fixture_end(&before);                                                                      \
    }                                                                                              \
    static void suite##_##name##_body(void)

#endif
