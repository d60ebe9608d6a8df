/*
 * tests/conformance/testing_fails.c - tests that fail, each in its way. What is said of them is checked by
 * tests/conformance/testing_fails.sh, which finds a line of this file by the comment at its end.
 */
#include <raddle.h>
#include <raddle/test.h>

#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* What Criterion's new assertions expand to. */
#pragma GCC diagnostic ignored "-Wconversion"

static void say(const char *what)
{
    fprintf(stderr, "said: %s\n", what);
}

static void tear_down(void)
{
    raddle_assert_ok(raddle_yield()); /* which would fail if it were cancelled */
    say("teardown");
}

static char first_one[] = "first clean-up", second_one[] = "second clean-up";

static int clean(void *arg)
{
    int rc = raddle_yield();

    say(arg);
    return rc;
}

static int sleep_forever(void *arg)
{
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER);
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

static void nothing(void *arg)
{
    (void)arg;
}

RADDLE_TEST_SUITE(fails, .teardown = tear_down)

/* Assertions. */

/* AB1 */
RADDLE_TEST(fails, assert_in_the_body)
{
    raddle_test_cleanup(clean, first_one);
    raddle_test_cleanup(clean, second_one);
    cr_assert(eq(int, 1, 2), "new style"); /* body */
    say("not reached");
}

RADDLE_TEST(fails, assert_ok)
{
    raddle_assert_ok(fail(NULL));
    say("not reached");
}

RADDLE_TEST(fails, expect_goes_on)
{
    cr_expect_eq(1, 2, "expected");
    say("reached");
}

static int assert_deep(void *arg)
{
    struct raddle_group group;
    struct raddle_scope scope;
    int rc = raddle_yield();

    raddle_scope_enter(&scope, raddle_in(RADDLE_S(1000)), 0);
    if (rc == 0)
        rc = raddle_group_open(&group, NULL);
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, sleep_forever, arg, NULL);
    cr_assert_eq(rc, 1, "deep in a child"); /* child */
    say("not reached");
    rc = raddle_group_close(&group, rc);
    return raddle_scope_leave(&scope, rc);
}

/* Siblings keep the other loops busy, so that they take some of the children. */
static int busy(void *arg)
{
    for (int i = 0; i < 50; i++)
        if (raddle_yield() < 0)
            break;
    return sleep_forever(arg);
}

RADDLE_TEST(fails, assert_in_children)
{
    const struct raddle_spawn_options small = {.stack_bytes = 16384, .mobility = RADDLE_MIGRATABLE};
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    for (int i = 0; i < 50 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, busy, NULL, NULL);
    for (int i = 0; i < 4 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, assert_deep, NULL, &small);
    rc = raddle_group_close(&group, rc);
    say(raddle_strerror(rc));
}

/* On another loop than the body's, where there is one. */
static int assert_there(void *arg)
{
    (void)arg;
    fprintf(stderr, "said: on loop %u of %u\n", raddle_loop_index(raddle_running_loop()),
            raddle_loop_count());
    cr_assert_eq(1, 2, "there");
    return 0;
}

static int assert_elsewhere(void *arg)
{
    if (raddle_loop_count() > 1 && raddle_loop_index(raddle_running_loop()) == 0)
        return raddle_yield();
    return assert_there(arg);
}

RADDLE_TEST(fails, assert_on_another_loop)
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    /* Until one of them was taken by another loop. */
    for (unsigned i = 1; rc == 0; i++) {
        rc = raddle_spawn(&group, NULL, assert_elsewhere, NULL, NULL);
        if (rc == 0 && i % 16 == 0)
            rc = raddle_sleep(RADDLE_MS(1));
    }
    rc = raddle_group_close(&group, rc);
    say(raddle_cancelled() ? "cancelled" : raddle_strerror(rc));
}

static struct raddle_mutex held;

static int take_over(void *arg)
{
    int rc = raddle_lock(&held);

    (void)arg;
    say(rc == -EOWNERDEAD ? "the owner is dead" : raddle_strerror(rc));
    if (rc == 0 || rc == -EOWNERDEAD)
        raddle_unlock(&held);
    return 0;
}

RADDLE_TEST(fails, assert_with_a_lock)
{
    const struct raddle_spawn_options here = {.loop = raddle_running_loop()};

    raddle_assert_ok(raddle_lock(&held));
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, take_over, NULL, &here));
    raddle_assert_ok(raddle_yield()); /* both are pinned to this loop: it waits by then */
    cr_assert_eq(1, 2, "locked");
}

static void assert_callback(void *arg)
{
    cr_assert_null(arg, "in a callback");
}

RADDLE_TEST(fails, assert_in_a_callback)
{
    raddle_assert_ok(raddle_call_soon(raddle_running_loop(), assert_callback, &held));
    (void)!sleep_forever(NULL);
}

static void *assert_thread(void *arg)
{
    cr_assert_null(arg, "in a thread");
    return NULL;
}

RADDLE_TEST(fails, assert_in_a_thread)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, assert_thread, &held), 0);
    (void)!sleep_forever(NULL);
}

/* Parts. */

static void assert_part(void)
{
    cr_assert_eq(raddle_yield(), 1, "part");
}

/* AB1 */
RADDLE_TEST(fails, setup_fails, .setup = assert_part)
{
    say("not reached");
}

static void setup_with_clean_up(void)
{
    raddle_test_cleanup(clean, first_one);
    assert_part();
}

/* AB1 */
RADDLE_TEST(fails, setup_fails_with_a_clean_up, .setup = setup_with_clean_up)
{
    say("not reached");
}

/* AB1 */
RADDLE_TEST(fails, teardown_fails, .teardown = assert_part)
{
    raddle_test_cleanup(clean, first_one);
}

static int assert_clean_up(void *arg)
{
    cr_assert_null(arg, "clean-up asserts");
    return 0;
}

/* AB1 */
RADDLE_TEST(fails, clean_ups_fail)
{
    raddle_test_cleanup(clean, first_one);
    raddle_test_cleanup(fail, NULL); /* clean-up */
    raddle_test_cleanup(assert_clean_up, &held);
}

/* AB1 */
RADDLE_TEST(fails, group_fails)
{
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, fail, NULL, NULL));
    (void)!sleep_forever(NULL);
    say("the body was cancelled");
}

RADDLE_TEST(fails, group_asserts)
{
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, assert_clean_up, &held, NULL));
    (void)!sleep_forever(NULL);
    say("the body was cancelled");
}

static struct raddle_event may_fail;

static int fail_late(void *arg)
{
    int rc = raddle_event_wait(&may_fail);

    return rc < 0 ? rc : fail(arg);
}

static void let_one_fail(void)
{
    raddle_event_set(&may_fail);
    for (int i = 0; i < 100; i++)
        raddle_assert_ok(raddle_yield());
    raddle_assert_ok(raddle_sleep(RADDLE_MS(50)));
    tear_down();
}

/* AB1 */
RADDLE_TEST(fails, group_fails_in_the_teardown, .teardown = let_one_fail)
{
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, fail_late, NULL, NULL));
}

/* Time. */

RADDLE_TEST(fails, hangs, .timeout_ns = RADDLE_MS(500))
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    if (rc == 0)
        rc = raddle_spawn(&group, NULL, sleep_forever, NULL, NULL); /* hangs */
    rc = raddle_group_close(&group, rc);
    say(rc == -ECANCELED ? "the body was cancelled" : raddle_strerror(rc));
}

static void hang(void)
{
    (void)!sleep_forever(NULL);
    say("it was cancelled");
}

RADDLE_TEST(fails, teardown_hangs, .teardown = hang, .teardown_ns = RADDLE_MS(500))
{
    raddle_test_cleanup(clean, first_one);
}

RADDLE_TEST(fails, is_stubborn, .timeout_ns = RADDLE_MS(500))
{
    struct raddle_scope scope;

    raddle_scope_enter(&scope, RADDLE_NEVER, RADDLE_SHIELD);
    (void)!raddle_scope_leave(&scope, sleep_forever(NULL));
}

static _Noreturn void spin(void)
{
    for (volatile int i = 0;; i = 0)
        (void)i;
}

RADDLE_TEST(fails, never_suspends, .timeout_ns = RADDLE_MS(500))
{
    spin();
}

/* More and more tasks, faster than one can look at them. */
static int spawn_more(void *arg)
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    while (rc == 0) {
        rc = raddle_spawn(&group, NULL, spawn_more, arg, NULL);
        if (rc == 0)
            rc = raddle_yield();
    }
    return raddle_group_close(&group, rc);
}

RADDLE_TEST(fails, spawns_without_end, .timeout_ns = RADDLE_MS(200))
{
    (void)!spawn_more(NULL);
}

/* AB3 X12 */
RADDLE_TEST(fails, waits_in_vain, .virtual_time = true)
{
    (void)!sleep_forever(NULL);
    say("it was cancelled");
}

/* What is left. */

/* X2 X9 AB2 */
RADDLE_TEST(fails, leaves_tasks)
{
    raddle_assert_ok(raddle_spawn(raddle_background(), NULL, sleep_forever, NULL, NULL)); /* task */
    raddle_assert_ok(raddle_loop_spawn(raddle_running_loop(), sleep_forever, NULL, NULL));
}

/* X2 X9 AB2 */
RADDLE_TEST(fails, leaves_a_callback)
{
    raddle_loop *loop = raddle_running_loop();

    raddle_assert_ok(raddle_call_later(loop, RADDLE_S(3600), nothing, NULL, NULL)); /* callback */
}

/* X9 AB2 */
RADDLE_TEST(fails, leaves_descriptors)
{
    struct sockaddr address = {.sa_family = AF_INET};
    int ends[2], fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(bind(fd, &address, sizeof(address)) + listen(fd, 1) + pipe(ends), 0);
    raddle_fd_close(ends[0]);
}

/* X9 AB2 */
RADDLE_TEST(fails, leaves_a_lock)
{
    static struct raddle_mutex mutex;

    raddle_assert_ok(raddle_lock(&mutex));
}

static int lock_in_a_child(void *arg)
{
    return raddle_lock(arg);
}

/* X9 AB2 */
RADDLE_TEST(fails, a_child_leaves_a_lock)
{
    static struct raddle_mutex mutex;
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    if (rc == 0)
        rc = raddle_spawn(&group, NULL, lock_in_a_child, &mutex, NULL); /* lock */
    raddle_assert_ok(raddle_group_close(&group, rc));
}

/* X2 X8 AB2 */
RADDLE_TEST(fails, leaves_a_failure)
{
    raddle_assert_ok(raddle_spawn(raddle_background(), NULL, fail, NULL, NULL)); /* failure */
    raddle_assert_ok(raddle_sleep(RADDLE_MS(1)));
}

/* X2 X8 AB2 */
RADDLE_TEST(fails, leaves_an_unread_future)
{
    raddle_future *future;

    raddle_assert_ok(raddle_future_create(&future)); /* future */
    raddle_assert_ok(raddle_future_set(future, -EIO, NULL));
    raddle_future_unref(future);
}

/* Cancellation points. */

static int yields(void *arg)
{
    (void)arg;
    return raddle_yield();
}

RADDLE_TEST(fails, expects_a_cancellation_point)
{
    raddle_assert_cancel_point(fail, NULL);
    say("not reached");
}

RADDLE_TEST(fails, expects_no_cancellation_point)
{
    raddle_assert_no_cancel_point(yields, NULL);
    say("not reached");
}

static volatile bool elsewhere;

static int hold_a_loop(void *arg)
{
    while (raddle_loop_count() > 1 && raddle_loop_index(raddle_running_loop()) == 0)
        if (raddle_yield() < 0)
            return 0;
    elsewhere = true;
    (void)arg;
    spin();
}

/* Another loop than the first one's is still held when the parts are over. */
RADDLE_TEST(fails, leaves_a_loop_that_is_held, .loops = 2, .teardown_ns = RADDLE_MS(500))
{
    const struct raddle_spawn_options options = {.mobility = RADDLE_MIGRATABLE};

    raddle_assert_ok(raddle_spawn(raddle_background(), NULL, hold_a_loop, NULL, &options));
    while (!elsewhere)
        raddle_assert_ok(raddle_sleep(RADDLE_MS(1)));
}

static int clean_up_late(void *arg)
{
    (void)!sleep_forever(NULL);
    raddle_test_cleanup(clean, arg); /* late */
    return 0;
}

RADDLE_TEST(fails, cleans_up_late)
{
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, clean_up_late, first_one, NULL));
    raddle_assert_ok(raddle_sleep(RADDLE_MS(1)));
}

/* Seeds. */

static unsigned long first;

static int note_first(void *arg)
{
    if (!first)
        first = (unsigned long)arg;
    return 0;
}

/* Which of them is the first is drawn. */
/* AB7 */
RADDLE_TEST(fails, with_some_seed, .seeds = 1000, .loops = 3, .policy = "sim:latency=2ms")
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    first = 0;
    for (unsigned long i = 1; i < 4 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, note_first, (void *)i, NULL);
    raddle_assert_ok(raddle_group_close(&group, rc));
    cr_assert_eq(first, 3, "order");
}
