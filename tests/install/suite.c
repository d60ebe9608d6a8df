/*
 * tests/install/suite.c - a user's tests: one, with children on two loops.
 */
#include <raddle.h>
#include <raddle/test.h>

static int child(void *arg)
{
    cr_assert_not_null(arg);
    return raddle_yield();
}

RADDLE_TEST(consumer, has_children, .loops = 2, .virtual_time = true)
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    for (int i = 0; i < 10 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, child, &group, NULL);
    raddle_assert_ok(raddle_group_close(&group, rc));
    raddle_assert_ok(raddle_sleep(RADDLE_S(3600)));
}
