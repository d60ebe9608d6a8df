/*
 * tests/conformance/test_testing.c - what raddle/test.h promises of tests that pass: rows AB1 to AB3 and AB7.
 */
#include <raddle.h>
#include <raddle/test.h>

#include <criterion/parameterized.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char steps[16]; /* one letter each, in the order in which they were taken */

static void step(char letter)
{
    size_t length = strlen(steps);

    if (length + 1 < sizeof(steps))
        steps[length] = letter;
}

/* In the process of a test, after its raddle_test(). */
static void expect_steps(const char *wanted)
{
    cr_assert_str_eq(steps, wanted);
}

static int sleep_forever(void *arg)
{
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER);
}

/* The order of the parts, in one context and on one loop. */

static struct raddle_var variable = {.name = "variable"};
static raddle_loop *loop_of_setup;

static void set_up(void)
{
    step('s');
    loop_of_setup = raddle_running_loop();
    raddle_assert_ok(raddle_var_set(&variable, "set up", NULL));
}

static void tear_down(void)
{
    step('t');
    cr_assert_eq(raddle_running_loop(), loop_of_setup);
    cr_assert_str_eq(raddle_var_get(&variable), "body");
}

static char one[] = "1", two[] = "2", three[] = "3";

static int clean(void *arg)
{
    step(*(const char *)arg);
    return raddle_yield();
}

static int clean_and_more(void *arg)
{
    raddle_test_cleanup(clean, three);
    return clean(arg);
}

static void ordered(void *arg)
{
    (void)arg;
    step('b');
    cr_assert_eq(raddle_running_loop(), loop_of_setup);
    cr_assert_str_eq(raddle_var_get(&variable), "set up");
    raddle_assert_ok(raddle_var_set(&variable, "body", NULL));
    raddle_test_cleanup(clean, one);
    raddle_test_cleanup(clean_and_more, two);
}

/* AB1 */
Test(testing, setup_body_teardown_and_clean_ups_the_last_first_on_one_loop_in_one_context)
{
    raddle_test(ordered, NULL, .setup = set_up, .teardown = tear_down);
    expect_steps("sbt231");
}

/* A fresh run for each. */

/* AB2 */
RADDLE_TEST(testing, has_the_loops_that_the_environment_says)
{
    const char *loops = getenv("RADDLE_TEST_LOOPS");

    cr_assert_eq(raddle_loop_count(), loops ? (unsigned)atoi(loops) : 1);
}

/* AB2 */
RADDLE_TEST(testing, has_the_loops_that_it_says, .loops = 3)
{
    cr_assert_eq(raddle_loop_count(), 3);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

/* AB2 */
Test(testing, may_run_several_times_in_one_process)
{
    static int runs;

    raddle_test(count, &runs);
    raddle_test(count, &runs, .loops = 2);
    cr_assert_eq(runs, 2);
}

static void begins_anew(void *arg)
{
    cr_assert_null(raddle_var_get(&variable));
    raddle_assert_ok(raddle_var_set(&variable, "of this run", NULL));
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, sleep_forever, NULL, NULL));
    cr_assert_eq(raddle_group_live(raddle_test_group()), 1);
    ++*(int *)arg;
}

/* AB2 */
Test(testing, the_second_has_nothing_of_the_first)
{
    static int runs;

    raddle_test(begins_anew, &runs);
    raddle_test(begins_anew, &runs);
    cr_assert_eq(runs, 2);
}

static void is_odd(void *arg)
{
    cr_assert_eq(*(int *)arg % 2, 1);
    raddle_assert_ok(raddle_yield());
}

ParameterizedTestParameters(testing, takes_parameters)
{
    static int numbers[] = {1, 3, 5};

    return cr_make_param_array(int, numbers, 3);
}

ParameterizedTest(int *number, testing, takes_parameters)
{
    raddle_test(is_odd, number);
}

static int child(void *arg)
{
    cr_assert_eq(raddle_yield(), 0);
    cr_expect_not_null(arg);
    return 0;
}

RADDLE_TEST(testing, tasks_on_all_loops_may_assert)
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    for (int i = 0; i < 100 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, child, &group, NULL);
    raddle_assert_ok(raddle_group_close(&group, rc));
}

RADDLE_TEST(testing, assert_ok_gives_the_result)
{
    int fd = (int)raddle_assert_ok(raddle_fd_socket(AF_INET, SOCK_STREAM, 0));

    cr_assert_geq(fd, 0);
    cr_assert_eq(raddle_assert_ok(raddle_fd_close(fd)), 0);
}

/* What runs beside the body. */

static int serve(void *arg)
{
    int rc = sleep_forever(arg);

    *(int *)arg = rc;
    return rc;
}

static int served;

static int expect_still_served(void *arg)
{
    (void)arg;
    cr_assert_eq(served, 0);
    step('c');
    return 0;
}

static void with_server(void *arg)
{
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, serve, arg, NULL));
    raddle_test_cleanup(expect_still_served, NULL);
    raddle_assert_ok(raddle_yield());
}

/* AB1 */
Test(testing, its_group_is_cancelled_after_the_last_clean_up)
{
    raddle_test(with_server, &served);
    cr_assert_eq(served, -ECANCELED);
    expect_steps("c");
    cr_assert_null(raddle_test_group());
}

/* Virtual time. */

/* AB3 */
RADDLE_TEST(testing, in_virtual_time_hours_take_no_time, .virtual_time = true)
{
    raddle_time before = raddle_now();
    uint64_t seed;

    raddle_assert_ok(raddle_sim_seed(&seed));
    raddle_assert_ok(raddle_sleep(RADDLE_S(100 * 3600)));
    cr_assert_geq(raddle_now() - before, RADDLE_S(100 * 3600));
}

/* Seeds, unless the environment says one. */

static uint64_t seeds[8];
static int seeds_seen;

static void note_seed(void *arg)
{
    (void)arg;
    raddle_assert_ok(raddle_sim_seed(&seeds[seeds_seen++]));
}

/* AB7 */
Test(testing, runs_with_each_seed)
{
    const char *policy = getenv("RADDLE_POLICY");

    raddle_test(note_seed, NULL, .seed = 5, .seeds = 3, .policy = "sim:latency=2ms");
    if (policy && strncmp(policy, "sim:seed=1", 10) == 0) {
        cr_assert_eq(seeds_seen, 1);
        cr_assert_eq(seeds[0], 1);
        return;
    }
    cr_assert_eq(seeds_seen, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(seeds[i], 5 + i);
}

RADDLE_TEST(testing, the_environment_s_driver_goes_before_its_own, .policy = "epoll")
{
    const char *policy = getenv("RADDLE_POLICY");
    const char *driver = raddle_loop_driver(raddle_running_loop());

    cr_assert_eq(strncmp(policy ? policy : "epoll", driver, strlen(driver)), 0);
}

/* What may be left if the test says so. */

static void nothing(void *arg)
{
    (void)arg;
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

/* AB2 */
RADDLE_TEST(testing, what_is_allowed_may_be_left,
            .allow = RADDLE_TEST_TASKS | RADDLE_TEST_CALLBACKS | RADDLE_TEST_DESCRIPTORS |
                     RADDLE_TEST_REPORTS)
{
    static int ends[2];

    cr_assert_eq(pipe(ends), 0);
    raddle_assert_ok(raddle_call_later(raddle_running_loop(), RADDLE_S(3600), nothing, NULL, NULL));
    raddle_assert_ok(raddle_spawn(raddle_background(), NULL, sleep_forever, NULL, NULL));
    raddle_assert_ok(raddle_spawn(raddle_background(), NULL, fail, NULL, NULL));
    raddle_assert_ok(raddle_yield());
}

/* AB2 */
RADDLE_TEST(testing, what_is_about_to_end_is_not_left)
{
    raddle_task *task;

    raddle_assert_ok(raddle_spawn(raddle_background(), &task, sleep_forever, NULL, NULL));
    raddle_assert_ok(raddle_task_cancel(task, NULL));
    raddle_task_unref(task);
}

/* What a suite says, and what a test of it says itself. */

static void set_up_suite(void)
{
    step('S');
}

RADDLE_TEST_SUITE(testing_suite, .loops = 2, .virtual_time = true, .setup = set_up_suite)

/* AB1 AB2 */
RADDLE_TEST(testing_suite, has_the_options_of_its_suite)
{
    uint64_t seed;

    cr_assert_str_eq(steps, "S");
    cr_assert_eq(raddle_loop_count(), 2);
    raddle_assert_ok(raddle_sim_seed(&seed));
}

/* AB1 AB2 */
RADDLE_TEST(testing_suite, has_options_of_its_own, .loops = 3, .setup = set_up)
{
    cr_assert_str_eq(steps, "s");
    cr_assert_eq(raddle_loop_count(), 3);
}
