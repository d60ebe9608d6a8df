/*
 * tests/runtime/test_loop.c - loops that a program makes, runs, stops, posts to and closes itself.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(loop, .timeout = 30);

enum { SHORT = 5 * 1000000 };

static raddle_loop *new_loop(void)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_not_null(loop);
    return loop;
}

/* What ran, in order. */
struct log {
    raddle_loop *loop;
    int seen[512];
    unsigned count;
};

struct entry {
    struct log *log;
    int number;
};

static void note(struct log *log, int number)
{
    log->seen[log->count++ % 512] = number;
}

static void called(void *arg)
{
    struct entry *e = arg;

    note(e->log, e->number);
}

static int task(void *arg)
{
    struct entry *e = arg;

    note(e->log, e->number);
    return 0;
}

static void stops(void *arg)
{
    struct entry *e = arg;

    note(e->log, e->number);
    raddle_loop_stop(e->log->loop);
}

static void expect_log(const struct log *log, const int *numbers, unsigned count)
{
    EXPECT_EQ(log->count, count);
    for (unsigned i = 0; i < count && i < log->count; i++)
        EXPECT_EQ(log->seen[i], numbers[i]);
}

#define EXPECT_LOG(log, ...)                                                                       \
    do {                                                                                           \
        static const int wanted_[] = {__VA_ARGS__};                                                \
        expect_log((log), wanted_, sizeof(wanted_) / sizeof(wanted_[0]));                          \
    } while (0)

RuntimeTest(loop, bad_arguments_are_refused)
{
    struct raddle_spawn_options o = {.name = "x"};
    raddle_loop *loop = new_loop(), *other = new_loop();

    cr_assert_eq(raddle_new_loop(NULL), -EINVAL);
    cr_assert_eq(raddle_get_loop(NULL), -EINVAL);
    cr_assert_eq(raddle_loop_run_until_complete(NULL, test_nothing, NULL), -EINVAL);
    cr_assert_eq(raddle_loop_run_until_complete(loop, NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_loop_run_forever(NULL), -EINVAL);
    cr_assert_eq(raddle_loop_close(NULL), -EINVAL);
    cr_assert_eq(raddle_call_soon(NULL, called, NULL), -EINVAL);
    cr_assert_eq(raddle_call_soon(loop, NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_loop_spawn(NULL, test_nothing, NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_loop_spawn(loop, NULL, NULL, NULL), -EINVAL);
    o.loop = other;
    cr_assert_eq(raddle_loop_spawn(loop, test_nothing, NULL, &o), -EINVAL);
    o = (struct raddle_spawn_options){.reserved = {0, 0, 1}};
    cr_assert_eq(raddle_loop_spawn(loop, test_nothing, NULL, &o), -EINVAL);
    o = (struct raddle_spawn_options){.mobility = (enum raddle_mobility)9};
    cr_assert_eq(raddle_loop_spawn(loop, test_nothing, NULL, &o), -EINVAL);
    o = (struct raddle_spawn_options){.stack_bytes = SIZE_MAX};
    cr_assert_eq(raddle_loop_spawn(loop, test_nothing, NULL, &o), -EINVAL);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(raddle_loop_close(other), 0);
}

static int alone(void *arg)
{
    raddle_loop *loop = NULL;

    EXPECT(raddle_running_loop() == arg);
    EXPECT_EQ(raddle_get_loop(&loop), 0);
    EXPECT(loop == arg);
    EXPECT_EQ(raddle_loop_count(), 1);
    EXPECT_EQ(raddle_loop_index(arg), 0);
    EXPECT_EQ(raddle_set_loop(arg), -EBUSY);
    EXPECT_EQ(raddle_sleep(1000), 0);
    return 23;
}

RuntimeTest(loop, run_until_complete_returns_what_the_task_returned)
{
    raddle_loop *loop = new_loop();
    int rc = -EPIPE;

    cr_assert_null(raddle_running_loop());
    cr_assert_eq(raddle_loop_count(), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(raddle_loop_run_until_complete(loop, alone, loop), 23);
    cr_assert_eq(raddle_loop_run_until_complete(loop, test_return, &rc), -EPIPE);
    cr_assert_null(raddle_running_loop());
    cr_assert_eq(raddle_loop_close(loop), 0);
}

RuntimeTest(loop, the_driver_is_the_policys)
{
    const char *wanted = getenv("RADDLE_POLICY");
    raddle_loop *loop = new_loop();
    const char *driver = raddle_loop_driver(loop);

    if (wanted)
        cr_assert_str_eq(driver, test_simulated() ? "sim" : wanted);
    else
        cr_assert(strcmp(driver, "uring") == 0 || strcmp(driver, "epoll") == 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

static int spawns_then_posts(void *arg)
{
    struct log *log = arg;
    static struct entry e[10];
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 3; i++) {
        e[i] = (struct entry){log, i + 1};
        EXPECT_EQ(raddle_spawn(&g, NULL, task, &e[i], NULL), 0);
    }
    for (int i = 3; i < 6; i++) {
        e[i] = (struct entry){log, 2 - i};
        EXPECT_EQ(raddle_call_soon(log->loop, called, &e[i]), 0);
    }
    note(log, 0); /* nothing has run meanwhile */
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    return 0;
}

RuntimeTest(loop, tasks_and_callbacks_run_in_the_order_in_which_they_were_queued)
{
    struct log log = {.loop = new_loop()};

    cr_assert_eq(raddle_loop_run_until_complete(log.loop, spawns_then_posts, &log), 0);
    EXPECT_LOG(&log, 0, 1, 2, 3, -1, -2, -3);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

/* a posts d while c is waiting. */
static void posts_more(void *arg)
{
    struct entry *e = arg;

    note(e->log, e->number);
    EXPECT_EQ(raddle_call_soon(e->log->loop, called, e + 1), 0);
    EXPECT_EQ(raddle_sleep(0), -EPERM);
    EXPECT(!raddle_self());
    EXPECT(raddle_running_loop() == e->log->loop);
}

RuntimeTest(loop, what_a_callback_posts_runs_after_what_was_posted_before)
{
    struct log log = {.loop = new_loop()};
    struct entry a[2] = {{&log, 1}, {&log, 4}}, b = {&log, 2}, c = {&log, 3};

    cr_assert_eq(raddle_call_soon(log.loop, posts_more, a), 0);
    cr_assert_eq(raddle_call_soon(log.loop, called, &b), 0);
    cr_assert_eq(raddle_call_soon(log.loop, called, &c), 0);
    cr_assert_eq(log.count, 0);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
    EXPECT_LOG(&log, 1, 2, 3, 4);
}

/* test_run_forever_pre_stopped and its kin of asyncio. */
RuntimeTest(loop, a_stop_lets_the_turn_it_is_in_come_to_its_end)
{
    struct log log = {.loop = new_loop()};
    struct entry e[5];

    for (int i = 0; i < 5; i++) {
        e[i] = (struct entry){&log, i};
        cr_assert_eq(raddle_call_soon(log.loop, i == 1 ? stops : called, &e[i]), 0);
    }
    cr_assert_eq(raddle_loop_run_forever(log.loop), 0);
    EXPECT_LOG(&log, 0, 1, 2, 3, 4);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

RuntimeTest(loop, a_stop_before_the_run_leaves_it_one_turn)
{
    struct log log = {.loop = new_loop()};
    struct entry a = {&log, 1}, b[2] = {{&log, 2}, {&log, 3}};

    raddle_loop_stop(log.loop);
    cr_assert_eq(raddle_call_soon(log.loop, called, &a), 0);
    cr_assert_eq(raddle_call_soon(log.loop, posts_more, b), 0);
    cr_assert_eq(raddle_loop_run_forever(log.loop), 0);
    EXPECT_LOG(&log, 1, 2);
    raddle_loop_stop(log.loop);
    cr_assert_eq(raddle_loop_run_forever(log.loop), 0);
    EXPECT_LOG(&log, 1, 2, 3);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

static void posts_itself_and_stops(void *arg)
{
    struct entry *e = arg;

    note(e->log, e->number);
    if (e->log->count < 10) {
        int rc = raddle_call_soon(e->log->loop, posts_itself_and_stops, e);
        EXPECT(rc == 0 || rc == RADDLE_ESHUTDOWN);
    }
    raddle_loop_stop(e->log->loop);
}

/* Before, each stop made the end wait for all that had been posted by then. */
RuntimeTest(loop, another_stop_does_not_put_the_first_one_off)
{
    struct log log = {.loop = new_loop()};
    struct entry e = {&log, 1};

    raddle_loop_stop(log.loop);
    cr_assert_eq(raddle_call_soon(log.loop, posts_itself_and_stops, &e), 0);
    cr_assert_eq(raddle_loop_run_forever(log.loop), 0);
    EXPECT_LOG(&log, 1);
    cr_assert_eq(raddle_loop_run_forever(log.loop), 0);
    EXPECT_LOG(&log, 1, 1, 1); /* what the stopper had posted before its stop is in that turn */
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

static int stops_and_goes_on(void *arg)
{
    raddle_loop_stop(arg);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(2)), 0);
    raddle_loop_stop(arg);
    EXPECT_EQ(raddle_yield(), 0);
    return 4;
}

RuntimeTest(loop, run_until_complete_is_not_ended_by_a_stop)
{
    raddle_loop *loop = new_loop();

    raddle_loop_stop(loop);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(raddle_loop_run_until_complete(loop, stops_and_goes_on, loop), 4);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

/* Tasks of the loop's own. */

static int counts_up(void *arg)
{
    unsigned *count = arg;
    int rc;

    while ((rc = raddle_sleep(RADDLE_US(100))) == 0)
        ++*count;
    EXPECT_STR(raddle_cancel_reason(), "its loop is closing");
    *count |= 1u << 31;
    return rc;
}

static int until(void *arg)
{
    unsigned start = *(unsigned *)arg;

    while (*(volatile unsigned *)arg < start + 3)
        EXPECT_EQ(raddle_sleep(RADDLE_US(50)), 0);
    return 0;
}

RuntimeTest(loop, its_tasks_stay_between_runs_and_are_cancelled_by_the_close)
{
    raddle_loop *loop = new_loop();
    unsigned count = 0, before;

    cr_assert_eq(raddle_loop_spawn(loop, counts_up, &count, NULL), 0);
    cr_assert_eq(count, 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, until, &count), 0);
    before = count;
    usleep(3000);
    cr_assert_eq(count, before);
    cr_assert_eq(raddle_loop_run_until_complete(loop, until, &count), 0);
    cr_assert_gt(count, before);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert(count & 1u << 31);
}

static int counts_once(void *arg)
{
    unsigned *count = arg;
    int rc;

    ++*count;
    rc = raddle_sleep_until(RADDLE_NEVER);
    *count |= 1u << 31;
    return rc;
}

RuntimeTest(loop, a_task_that_never_began_begins_in_the_close)
{
    raddle_loop *loop = new_loop();
    unsigned count = 0;

    cr_assert_eq(raddle_loop_spawn(loop, counts_once, &count, NULL), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(count, 1u << 31 | 1);
}

/* The callbacks that a callback posts, down to depth 0; and a task's. */
struct chain {
    raddle_loop *loop;
    unsigned left, ran, accepted;
};

static void one_more(void *arg)
{
    struct chain *c = arg;

    c->ran++;
    if (c->left-- == 1 && raddle_call_soon(c->loop, one_more, c) == 0)
        c->accepted++;
}

RuntimeTest(loop, the_close_runs_all_that_was_accepted)
{
    for (unsigned n = 1; n < 300; n++) {
        struct chain c = {.loop = new_loop(), .left = n, .accepted = n};

        for (unsigned i = 0; i < n; i++)
            cr_assert_eq(raddle_call_soon(c.loop, one_more, &c), 0);
        cr_assert_eq(raddle_loop_close(c.loop), 0);
        cr_assert_eq(c.ran, c.accepted, "%u of %u ran", c.ran, c.accepted);
    }
}

static void for_ever(void *arg)
{
    struct chain *c = arg;

    c->ran++;
    if (raddle_call_soon(c->loop, for_ever, c) == 0)
        c->accepted++;
}

RuntimeTest(loop, a_callback_that_posts_itself_again_does_not_keep_the_close_from_ending)
{
    struct chain c = {.loop = new_loop(), .accepted = 1};

    cr_assert_eq(raddle_call_soon(c.loop, for_ever, &c), 0);
    cr_assert_eq(raddle_loop_run_until_complete(c.loop, test_nothing, NULL), 0);
    cr_assert_eq(raddle_loop_close(c.loop), 0);
    cr_assert_eq(c.ran, c.accepted);
}

static int late_spawner(void *arg)
{
    struct log *log = arg;
    static struct entry e[2];

    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    e[0] = (struct entry){log, 1};
    e[1] = (struct entry){log, 2};
    /* While the tasks are waited for, both are accepted. */
    EXPECT_EQ(raddle_loop_spawn(log->loop, task, &e[0], NULL), 0);
    EXPECT_EQ(raddle_call_soon(log->loop, called, &e[1]), 0);
    return 0;
}

RuntimeTest(loop, what_its_tasks_post_during_the_close_is_run)
{
    struct log log = {.loop = new_loop()};

    cr_assert_eq(raddle_loop_spawn(log.loop, late_spawner, &log, NULL), 0);
    cr_assert_eq(raddle_loop_run_until_complete(log.loop, test_nothing, NULL), 0);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
    cr_assert_eq(log.count, 2);
}

/* No memory. */

static int no_malloc(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_MALLOC || call == RDL_SYS_CALLOC || call == RDL_SYS_MMAP ? -ENOMEM : 0;
}

static int no_descriptor(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_EVENTFD ? -EMFILE : 0;
}

RuntimeTest(loop, without_memory_or_descriptors_none_is_made_and_nothing_is_posted)
{
    struct log log = {.loop = new_loop()};
    struct entry e = {&log, 1};
    raddle_loop *none = NULL;

    rdl_sys_set_hook(no_malloc);
    EXPECT_EQ(raddle_new_loop(&none), -ENOMEM);
    EXPECT_EQ(raddle_call_soon(log.loop, called, &e), -ENOMEM);
    EXPECT_EQ(test_run(test_nothing, NULL), -ENOMEM);
    if (!test_simulated()) { /* which needs none */
        rdl_sys_set_hook(no_descriptor);
        EXPECT_EQ(raddle_new_loop(&none), -EMFILE);
        EXPECT_EQ(test_run(test_nothing, NULL), -EMFILE);
    }
    rdl_sys_set_hook(NULL);
    cr_assert_null(none);
    cr_assert_eq(raddle_loop_run_until_complete(log.loop, test_nothing, NULL), 0);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
    cr_assert_eq(log.count, 0);
}
