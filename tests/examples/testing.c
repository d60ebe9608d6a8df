/*
 * tests/examples/testing.c - tests of a small thing that uses raddle: a limit on how often something may be done.
 */
#include <raddle.h>
#include <raddle/test.h>

#include <errno.h>

/* What is tested: so many a minute, and who comes too early waits for the next one. */
struct limit {
    struct raddle_mutex mutex;
    unsigned per_minute, used;
    raddle_time begin;
};

static int limit_take(struct limit *l)
{
    int rc = raddle_lock(&l->mutex);

    if (rc < 0)
        return rc;
    if (l->used == l->per_minute && raddle_now() < l->begin + RADDLE_S(60))
        rc = raddle_sleep_until(l->begin + RADDLE_S(60));
    if (rc == 0 && (l->used == 0 || raddle_now() >= l->begin + RADDLE_S(60))) {
        l->begin = raddle_now();
        l->used = 0;
    }
    if (rc == 0)
        l->used++;
    raddle_unlock(&l->mutex);
    return rc;
}

/* Each test has these for itself: Criterion runs it in a process of its own. */
static struct limit limit;

static void set_up(void)
{
    limit.per_minute = 10;
}

RADDLE_TEST_SUITE(limit, .virtual_time = true, .setup = set_up)

RADDLE_TEST(limit, ten_in_the_first_minute_and_the_next_one_later)
{
    raddle_time begin = raddle_now();

    for (int i = 0; i < 10; i++)
        raddle_assert_ok(limit_take(&limit));
    cr_assert_lt(raddle_now() - begin, RADDLE_S(1));
    raddle_assert_ok(limit_take(&limit));
    cr_assert_geq(raddle_now() - begin, RADDLE_S(60)); /* which takes no time to find out */
}

static int take(void *arg)
{
    return limit_take(arg);
}

RADDLE_TEST(limit, holds_for_all_tasks_together, .loops = 4, .seeds = 20)
{
    raddle_time begin = raddle_now();
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    for (int i = 0; i < 35 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, take, &limit, NULL);
    raddle_assert_ok(raddle_group_close(&group, rc));
    cr_assert_geq(raddle_now() - begin, RADDLE_S(180));
    limit = (struct limit){.per_minute = 10}; /* for the next seed */
}

RADDLE_TEST(limit, who_is_cancelled_while_it_waits_takes_nothing)
{
    int rc;

    for (int i = 0; i < 10; i++)
        raddle_assert_ok(limit_take(&limit));
    RADDLE_WITHIN(RADDLE_S(5), rc, limit_take(&limit));
    cr_assert_eq(rc, -ETIMEDOUT);
    cr_assert_eq(limit.used, 10);
}
