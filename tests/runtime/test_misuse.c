/*
 * tests/runtime/test_misuse.c - what only a bug in the caller can do stops the process.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>

TestSuite(misuse, .timeout = 30);

Test(misuse, entering_a_scope_outside_a_task_stops_the_process, .signal = SIGABRT)
{
    struct raddle_scope s;

    raddle_scope_enter(&s, 0, 0);
}

Test(misuse, leaving_a_scope_outside_a_task_stops_the_process, .signal = SIGABRT)
{
    struct raddle_scope s = {{0}};

    cr_assert_eq(raddle_scope_leave(&s, 0), 0);
}

static int bad_flags(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, 0, 4);
    return 0;
}

Test(misuse, entering_a_scope_with_unknown_flags_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(bad_flags, NULL), 0);
}

static int wrong_order(void *arg)
{
    struct raddle_scope outer, inner;

    (void)arg;
    raddle_scope_enter(&outer, 0, 0);
    raddle_scope_enter(&inner, 0, 0);
    return raddle_scope_leave(&outer, 0);
}

/* TC35 */
Test(misuse, leaving_scopes_in_the_wrong_order_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(wrong_order, NULL), 0);
}

static int twice(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, 0, 0);
    return raddle_scope_leave(&s, raddle_scope_leave(&s, 0));
}

Test(misuse, leaving_a_scope_twice_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(twice, NULL), 0);
}

static int stays_in(void *arg)
{
    static struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, 0, 0);
    return 0;
}

Test(misuse, returning_inside_a_scope_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(stays_in, NULL), 0);
}

static struct raddle_scope theirs;

static int leaves_theirs(void *arg)
{
    (void)arg;
    return raddle_scope_leave(&theirs, 0);
}

static int wrong_task(void *arg)
{
    struct raddle_group g;
    int rc;

    (void)arg;
    rc = raddle_group_open(&g, NULL);
    raddle_scope_enter(&theirs, 0, 0);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, leaves_theirs, NULL, NULL);
    if (rc == 0)
        rc = raddle_sleep(RADDLE_S(5));
    return raddle_group_close(&g, raddle_scope_leave(&theirs, rc));
}

/* TC35 */
Test(misuse, leaving_a_scope_in_another_task_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(wrong_task, NULL), 0);
}

static int forgets_group(void *arg)
{
    static struct raddle_group g;

    (void)arg;
    return raddle_group_open(&g, NULL);
}

Test(misuse, returning_without_closing_a_group_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(forgets_group, NULL), 0);
}

static int closes_outer(void *arg)
{
    struct raddle_group outer, inner;
    int rc;

    (void)arg;
    rc = raddle_group_open(&outer, NULL);
    if (rc == 0)
        rc = raddle_group_open(&inner, NULL);
    return raddle_group_close(&outer, rc);
}

Test(misuse, closing_groups_in_the_wrong_order_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(closes_outer, NULL), 0);
}

static int closes_inside_scope(void *arg)
{
    struct raddle_group g;
    struct raddle_scope s;
    int rc;

    (void)arg;
    rc = raddle_group_open(&g, NULL);
    raddle_scope_enter(&s, 0, 0);
    return raddle_group_close(&g, rc);
}

Test(misuse, closing_a_group_inside_a_scope_entered_later_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(closes_inside_scope, NULL), 0);
}

static int closes_theirs(void *arg)
{
    return raddle_group_close(arg, 0);
}

static int lends_group(void *arg)
{
    struct raddle_group g;
    int rc;

    (void)arg;
    rc = raddle_group_open(&g, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, closes_theirs, &g, NULL);
    return raddle_group_close(&g, rc);
}

Test(misuse, closing_the_group_of_another_task_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(lends_group, NULL), 0);
}

static int leaves_group_scope(void *arg)
{
    struct raddle_group g;
    int rc;

    (void)arg;
    rc = raddle_group_open(&g, NULL);
    rc = raddle_scope_leave(&g.scope, rc);
    return raddle_group_close(&g, rc);
}

Test(misuse, leaving_the_scope_of_a_group_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(leaves_group_scope, NULL), 0);
}
