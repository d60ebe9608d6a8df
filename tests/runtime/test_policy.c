/*
 * tests/runtime/test_policy.c - how threads get their loops: the built-in rules, the environment's wish,
 * and policies that build on each other.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/driver.h"

TestSuite(policy, .timeout = 30);

/* Counts calls and passes them on to its base. */
struct counting {
    struct raddle_policy policy; /* first */
    unsigned made, got, set, closed;
    rdl_atomic(unsigned) started; /* in the thread of each loop */
    int fail_with;
    const char *driver;
};

static struct counting *of(const struct raddle_policy *policy)
{
    return (struct counting *)(uintptr_t)policy;
}

static const struct raddle_policy *base_of(const struct raddle_policy *policy)
{
    return policy->base ? policy->base : raddle_default_policy();
}

static int counting_new_loop(const struct raddle_policy *policy,
                             const struct raddle_loop_options *options, raddle_loop **out)
{
    struct raddle_loop_options mine = *options;

    of(policy)->made++;
    if (of(policy)->fail_with)
        return of(policy)->fail_with;
    if (of(policy)->driver)
        mine.driver = of(policy)->driver;
    return base_of(policy)->new_loop(base_of(policy), &mine, out);
}

static int counting_get_loop(const struct raddle_policy *policy, raddle_loop **out)
{
    of(policy)->got++;
    return base_of(policy)->get_loop(base_of(policy), out);
}

static int counting_set_loop(const struct raddle_policy *policy, raddle_loop *loop)
{
    of(policy)->set++;
    return base_of(policy)->set_loop(base_of(policy), loop);
}

static void counting_started(const struct raddle_policy *policy, raddle_loop *loop)
{
    EXPECT(loop);
    rdl_atomic_fetch_add_relaxed(&of(policy)->started, 1u);
    base_of(policy)->loop_started(base_of(policy), loop);
}

static void counting_closed(const struct raddle_policy *policy, raddle_loop *loop)
{
    EXPECT(loop);
    of(policy)->closed++;
    base_of(policy)->loop_closed(base_of(policy), loop);
}

static struct counting counting(const struct raddle_policy *base)
{
    return (struct counting){.policy = {
                                 .base = base,
                                 .name = "counting",
                                 .new_loop = counting_new_loop,
                                 .get_loop = counting_get_loop,
                                 .set_loop = counting_set_loop,
                                 .loop_started = counting_started,
                                 .loop_closed = counting_closed,
                             }};
}

RuntimeTest(policy, the_default_is_whole_and_the_process_has_it)
{
    const struct raddle_policy *policy = raddle_default_policy();

    cr_assert_not_null(policy);
    cr_assert_eq(raddle_get_policy(), policy);
    cr_assert(policy->new_loop && policy->get_loop && policy->set_loop && policy->loop_started &&
              policy->loop_closed);
    cr_assert_null(policy->base);
    cr_assert_eq(raddle_set_policy(NULL), 0);
    cr_assert_eq(raddle_get_policy(), policy);
}

RuntimeTest(policy, one_of_the_programs_own_is_called_and_calls_its_base)
{
    struct counting c = counting(NULL);
    raddle_loop *loop = NULL, *got = NULL;

    cr_assert_eq(raddle_set_policy(&c.policy), 0);
    cr_assert_eq(raddle_get_policy(), &c.policy);
    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(c.made, 1);
    cr_assert_eq(c.started, 0);
    cr_assert_eq(raddle_set_loop(loop), 0);
    cr_assert_eq(raddle_get_loop(&got), 0);
    cr_assert_eq(got, loop);
    cr_assert(c.set == 1 && c.got == 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(raddle_loop_run_until_complete(loop, test_nothing, NULL), 0);
    cr_assert_eq(c.started, 1);
    /* A loop stays with the policy by which it was made. */
    cr_assert_eq(raddle_set_policy(NULL), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(c.closed, 1);
}

RuntimeTest(policy, functions_that_are_missing_are_the_bases)
{
    struct counting c = counting(NULL);
    struct raddle_policy middle = {.base = &c.policy, .name = "middle"};
    struct raddle_policy top = {.base = &middle};
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_set_policy(&top), 0);
    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, test_nothing, NULL), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(raddle_set_policy(NULL), 0);
    cr_assert(c.made == 1 && c.started == 1 && c.closed == 1);
}

RuntimeTest(policy, one_that_is_no_good_is_refused)
{
    struct raddle_policy a = {.name = "a"}, b = {.name = "b", .base = &a};

    a.base = &b;
    cr_assert_eq(raddle_set_policy(&a), -EINVAL);
    a.base = &a;
    cr_assert_eq(raddle_set_policy(&a), -EINVAL);
    a.base = NULL;
    for (int i = 0; i < 3; i++) {
        a.reserved[i] = 1;
        cr_assert_eq(raddle_set_policy(&a), -EINVAL);
        cr_assert_eq(raddle_set_policy(&b), -EINVAL);
        a.reserved[i] = 0;
    }
    cr_assert_eq(raddle_get_policy(), raddle_default_policy());
}

RuntimeTest(policy, its_new_loop_says_why_there_is_none)
{
    struct counting c = counting(NULL);
    raddle_loop *const untouched = (raddle_loop *)&c;
    raddle_loop *loop = untouched;

    c.fail_with = -EMFILE;
    cr_assert_eq(raddle_set_policy(&c.policy), 0);
    cr_assert_eq(raddle_new_loop(&loop), -EMFILE);
    cr_assert_eq(raddle_get_loop(&loop), -EMFILE);
    cr_assert_eq(loop, untouched);
    cr_assert_eq(test_run_on(2, test_nothing, NULL), -EMFILE);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}

static int two_loops(void *arg)
{
    EXPECT_EQ(raddle_loop_count(), *(unsigned *)arg);
    return 1;
}

RuntimeTest(policy, a_run_has_the_one_of_its_options_before_the_processs)
{
    struct counting process = counting(NULL), run = counting(&process.policy);
    struct raddle_run_options o = {.loops = 3, .policy = &run.policy};
    unsigned loops = 3;

    cr_assert_eq(raddle_run(two_loops, &loops, &o), 1);
    cr_assert(run.made == 3 && run.started == 3 && run.closed == 3);
    cr_assert(process.made == 3 && process.started == 3 && process.closed == 3);
    cr_assert_eq(raddle_set_policy(&process.policy), 0);
    o.policy = NULL;
    cr_assert_eq(raddle_run(two_loops, &loops, &o), 1);
    cr_assert(process.made == 6 && process.closed == 6 && run.made == 3);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}

static int fails_third(const struct raddle_policy *policy,
                       const struct raddle_loop_options *options, raddle_loop **out)
{
    if (++of(policy)->made == 3)
        return -ENFILE;
    return raddle_default_policy()->new_loop(raddle_default_policy(), options, out);
}

RuntimeTest(policy, a_run_that_gets_too_few_loops_leaves_none)
{
    struct counting c = counting(NULL);
    struct raddle_run_options o = {.loops = 4, .policy = &c.policy};

    c.policy.new_loop = fails_third;
    cr_assert_eq(raddle_run(test_nothing, NULL, &o), -ENFILE);
    cr_assert_eq(c.made, 3);
    cr_assert_eq(c.closed, 2);
    cr_assert_eq(c.started, 0);
}

/* What the environment asks for. */

static int driver_is(void *arg)
{
    EXPECT_STR(raddle_loop_driver(raddle_running_loop()), arg);
    return 0;
}

static const char *best(void)
{
    struct rdl_uring_facts facts;

    return rdl_uring_probe(&facts) == 0 ? "uring" : "epoll";
}

static char *writable(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* X14 AA4 */
RuntimeTest(policy, the_environment_picks_the_driver)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(setenv("RADDLE_POLICY", "epoll", 1), 0);
    cr_assert_eq(test_run_on(2, driver_is, writable("epoll")), 0);
    /* Where the kernel denies it, asking for it is no error. */
    cr_assert_eq(setenv("RADDLE_POLICY", "uring", 1), 0);
    cr_assert_eq(test_run_on(2, driver_is, writable(best())), 0);
    cr_assert_eq(setenv("RADDLE_POLICY", "", 1), 0);
    cr_assert_eq(test_run_on(2, driver_is, writable(best())), 0);
    cr_assert_eq(setenv("RADDLE_POLICY", "kqueue", 1), 0);
    cr_assert_eq(raddle_new_loop(&loop), -EINVAL);
    cr_assert_eq(test_run_on(2, test_nothing, NULL), -EINVAL);
    cr_assert_null(loop);
    cr_assert_eq(unsetenv("RADDLE_POLICY"), 0);
    cr_assert_eq(test_run_on(2, driver_is, writable(best())), 0);
}

/* X14 */
RuntimeTest(policy, the_options_of_a_loop_pick_the_driver)
{
    const struct raddle_policy *policy = raddle_default_policy();
    struct raddle_loop_options o = {.driver = "epoll"};
    struct counting c = counting(NULL);
    raddle_loop *loop = NULL;

    cr_assert_eq(policy->new_loop(policy, &o, &loop), 0);
    cr_assert_str_eq(raddle_loop_driver(loop), "epoll");
    cr_assert_eq(raddle_loop_close(loop), 0);
    o.driver = "select";
    cr_assert_eq(policy->new_loop(policy, &o, &loop), -EINVAL);
    if (strcmp(best(), "uring") == 0) {
        o.driver = "uring";
        cr_assert_eq(policy->new_loop(policy, &o, &loop), 0);
        cr_assert_str_eq(raddle_loop_driver(loop), "uring");
        cr_assert_eq(raddle_loop_close(loop), 0);
    }
    /* A policy that wants epoll gets it, whatever the environment says. */
    c.driver = "epoll";
    cr_assert_eq(raddle_set_policy(&c.policy), 0);
    cr_assert_eq(test_run_on(2, driver_is, writable("epoll")), 0);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}
