/*
 * tests/conformance/test_policies.c - policies and whose loop is whose, row by row of asyncio's section on them.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(policies, .timeout = 60);

static raddle_loop *new_loop(void)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    return loop;
}

/* Logs the loops it makes, and passes on to its base: what the articles do. */
struct logging {
    struct raddle_policy policy; /* first */
    rdl_atomic(unsigned) made, closed;
    char log[256];
};

static struct logging *of(const struct raddle_policy *policy)
{
    return (struct logging *)(uintptr_t)policy;
}

static const struct raddle_policy *base_of(const struct raddle_policy *policy)
{
    return policy->base ? policy->base : raddle_default_policy();
}

static int logged_new_loop(const struct raddle_policy *policy,
                           const struct raddle_loop_options *options, raddle_loop **out)
{
    int rc = base_of(policy)->new_loop(base_of(policy), options, out);

    rdl_atomic_fetch_add_relaxed(&of(policy)->made, 1u);
    snprintf(of(policy)->log, sizeof(of(policy)->log), "new loop: %s",
             rc < 0 ? raddle_strerror(rc) : raddle_loop_driver(*out));
    return rc;
}

static void logged_closed(const struct raddle_policy *policy, raddle_loop *loop)
{
    rdl_atomic_fetch_add_relaxed(&of(policy)->closed, 1u);
    base_of(policy)->loop_closed(base_of(policy), loop);
}

static struct logging logging(const char *name, const struct raddle_policy *base)
{
    struct logging l = {
        .policy = {
            .base = base, .name = name, .new_loop = logged_new_loop, .loop_closed = logged_closed}};

    return l;
}

struct lines {
    unsigned count;
    char last[512];
};

static void note_line(const char *line, void *arg)
{
    struct lines *l = arg;

    l->count++;
    snprintf(l->last, sizeof(l->last), "%s", line);
}

/* C1 */
RuntimeTest(policies, the_process_has_one_and_null_is_the_built_in_one)
{
    struct logging mine = logging("mine", NULL);

    cr_assert_eq(raddle_get_policy(), raddle_default_policy());
    cr_assert_eq(raddle_set_policy(&mine.policy), 0);
    cr_assert_eq(raddle_set_policy(&mine.policy), 0);
    cr_assert_eq(raddle_get_policy(), &mine.policy);
    cr_assert_eq(raddle_set_policy(NULL), 0);
    cr_assert_eq(raddle_get_policy(), raddle_default_policy());
}

/* C1 */
RuntimeTest(policies, a_second_one_that_knows_nothing_of_the_first_is_refused_with_both_places)
{
    struct logging first = logging("first", NULL), second = logging("second", NULL);
    struct lines lines = {.count = 0};
    char places[2][64];

    raddle_on_report(note_line, &lines);
    snprintf(places[0], sizeof(places[0]), "test_policies.c:%d", __LINE__ + 1);
    cr_assert_eq(raddle_set_policy(&first.policy), 0);
    snprintf(places[1], sizeof(places[1]), "test_policies.c:%d", __LINE__ + 1);
    cr_assert_eq(raddle_set_policy(&second.policy), -EBUSY);
    raddle_on_report(NULL, NULL);
    cr_assert_eq(raddle_get_policy(), &first.policy);
    cr_assert_eq(lines.count, 1);
    for (int i = 0; i < 2; i++)
        cr_assert(strstr(lines.last, places[i]), "%s: %s", places[i], lines.last);
    cr_assert(strstr(lines.last, "\"first\"") && strstr(lines.last, "\"second\""));
    /* Who means it says so. */
    cr_assert_eq(raddle_set_policy(NULL), 0);
    cr_assert_eq(raddle_set_policy(&second.policy), 0);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}

/* C1 C2 */
RuntimeTest(policies, one_that_builds_on_what_is_set_replaces_it_and_back)
{
    struct logging first = logging("first", NULL), second;
    raddle_loop *loop;

    cr_assert_eq(raddle_set_policy(&first.policy), 0);
    second = logging("second", raddle_get_policy());
    cr_assert_eq(raddle_set_policy(&second.policy), 0);
    loop = new_loop();
    cr_assert_eq(rdl_atomic_load_relaxed(&first.made), 1);
    cr_assert_eq(rdl_atomic_load_relaxed(&second.made), 1);
    cr_assert_eq(raddle_set_policy(&first.policy), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(rdl_atomic_load_relaxed(&second.closed), 1);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}

static int runs_on_three(void *arg)
{
    (void)arg;
    EXPECT_EQ(raddle_loop_count(), 3);
    return raddle_yield();
}

/* C2 AA3 */
RuntimeTest(policies, one_logs_the_making_of_each_loop)
{
    struct logging mine = logging("mine", NULL);
    struct raddle_run_options options = {.loops = 3};
    raddle_loop *loop;

    cr_assert_eq(raddle_set_policy(&mine.policy), 0);
    loop = new_loop();
    cr_assert_str_eq(mine.log + strlen("new loop: "), raddle_loop_driver(loop));
    cr_assert_eq(raddle_run(runs_on_three, NULL, &options), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(rdl_atomic_load_relaxed(&mine.made), 4);
    cr_assert_eq(rdl_atomic_load_relaxed(&mine.closed), 4);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}

/* One for many connections: a driver of its choice, and tasks that may move. */
static int wide_new_loop(const struct raddle_policy *policy,
                         const struct raddle_loop_options *options, raddle_loop **out)
{
    struct raddle_loop_options mine = *options;

    mine.driver = "epoll";
    mine.mobility = RADDLE_MIGRATABLE;
    return base_of(policy)->new_loop(base_of(policy), &mine, out);
}

static int is_on_epoll(void *arg)
{
    (void)arg;
    EXPECT_STR(raddle_loop_driver(raddle_running_loop()), "epoll");
    return 0;
}

/* C2 C1 */
RuntimeTest(policies, a_run_has_one_of_its_own_that_chooses_the_driver)
{
    struct logging process = logging("process", NULL);
    struct raddle_policy wide = {.name = "wide", .new_loop = wide_new_loop};
    struct raddle_run_options options = {.loops = 2, .policy = &wide};
    struct raddle_runner_options of_runner = {.policy = &wide};
    struct raddle_loop_thread_options of_thread = {.policy = &wide};
    raddle_loop_thread *thread = NULL;
    struct raddle_runner runner;

    cr_assert_eq(raddle_set_policy(&process.policy), 0);
    cr_assert_eq(raddle_run(is_on_epoll, NULL, &options), 0);
    cr_assert_eq(raddle_runner_open(&runner, &of_runner), 0);
    cr_assert_eq(raddle_runner_run(&runner, is_on_epoll, NULL), 0);
    cr_assert_eq(raddle_runner_close(&runner), 0);
    cr_assert_eq(raddle_loop_thread_start(&thread, is_on_epoll, NULL, &of_thread), 0);
    cr_assert_eq(raddle_loop_thread_join(thread, NULL), 0);
    cr_assert_eq(rdl_atomic_load_relaxed(&process.made), 0);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}

struct threads_own {
    struct logging policy;
    rdl_atomic(unsigned) set;
};

static void *has_its_own_policy(void *arg)
{
    struct threads_own *t = arg;
    struct raddle_run_options options = {.loops = 3};
    struct raddle_policy bad = {.reserved = {1}};
    raddle_loop *loop = NULL, *got = NULL;

    EXPECT_EQ(raddle_set_thread_policy(&bad), -EINVAL);
    EXPECT_EQ(raddle_set_thread_policy(&t->policy.policy), 0);
    EXPECT(raddle_get_policy() == &t->policy.policy);
    EXPECT_EQ(raddle_new_loop(&loop), 0);
    EXPECT_EQ(raddle_set_loop(loop), 0);
    EXPECT_EQ(raddle_get_loop(&got), 0);
    EXPECT(got == loop);
    EXPECT_EQ(raddle_run(runs_on_three, NULL, &options), 0);
    EXPECT_EQ(raddle_loop_close(loop), 0);
    EXPECT_EQ(rdl_atomic_load_relaxed(&t->policy.made), 4);
    EXPECT_EQ(raddle_set_thread_policy(NULL), 0);
    EXPECT(raddle_get_policy() != &t->policy.policy);
    return NULL;
}

/* C1 */
RuntimeTest(policies, a_thread_has_one_of_its_own)
{
    struct logging process = logging("process", NULL);
    struct threads_own t = {.policy = logging("thread's", NULL)};
    pthread_t thread;

    cr_assert_eq(raddle_set_policy(&process.policy), 0);
    cr_assert_eq(pthread_create(&thread, NULL, has_its_own_policy, &t), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(raddle_get_policy(), &process.policy);
    cr_assert_eq(rdl_atomic_load_relaxed(&process.made), 0);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}

/* Whose loop is whose. */

static void asks_in_callback(void *arg)
{
    *(raddle_loop **)arg = raddle_running_loop();
}

struct seen {
    raddle_loop *in_task, *after_sleep, *in_callback, *got;
};

static int looks(void *arg)
{
    struct seen *s = arg;

    s->in_task = raddle_running_loop();
    EXPECT_EQ(raddle_call_soon(s->in_task, asks_in_callback, &s->in_callback), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    s->after_sleep = raddle_running_loop();
    return raddle_get_loop(&s->got);
}

/* C3 G6 */
RuntimeTest(policies, the_running_loop_is_that_of_the_task_or_callback_and_there_is_none_outside)
{
    raddle_loop *loop = new_loop();
    struct seen seen = {.in_task = NULL};

    cr_assert_null(raddle_running_loop());
    cr_assert_eq(raddle_loop_run_until_complete(loop, looks, &seen), 0);
    cr_assert(seen.in_task == loop && seen.after_sleep == loop && seen.in_callback == loop &&
              seen.got == loop);
    cr_assert_null(raddle_running_loop());
    cr_assert_eq(raddle_loop_close(loop), 0);
}

static void *has_none(void *arg)
{
    raddle_loop *loop = arg;

    EXPECT_EQ(raddle_get_loop(&loop), -ENXIO);
    EXPECT(loop == arg);
    EXPECT(!raddle_running_loop());
    return NULL;
}

/* C4 */
RuntimeTest(policies, the_main_thread_gets_a_loop_on_first_asking_and_another_thread_none)
{
    raddle_loop *first = NULL, *again = NULL;
    pthread_t thread;

    cr_assert_eq(raddle_get_loop(&first), 0);
    cr_assert_eq(raddle_get_loop(&again), 0);
    cr_assert_eq(first, again);
    cr_assert_eq(pthread_create(&thread, NULL, has_none, first), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(raddle_loop_close(first), 0);
}

/* C5 */
RuntimeTest(policies, who_has_said_that_there_is_none_gets_none_made)
{
    raddle_loop *loop = NULL, *mine;

    cr_assert_eq(raddle_set_loop(NULL), 0);
    cr_assert_eq(raddle_get_loop(&loop), -ENXIO);
    cr_assert_eq(raddle_get_loop(&loop), -ENXIO);
    mine = new_loop();
    cr_assert_eq(raddle_set_loop(mine), 0);
    cr_assert_eq(raddle_get_loop(&loop), 0);
    cr_assert_eq(loop, mine);
    cr_assert_eq(raddle_set_loop(NULL), 0);
    cr_assert_eq(raddle_get_loop(&loop), -ENXIO);
    cr_assert_eq(raddle_loop_close(mine), 0);
}

/* C6 */
RuntimeTest(policies, a_new_loop_is_not_yet_anybodys)
{
    raddle_loop *loop, *got = NULL;

    cr_assert_eq(raddle_set_loop(NULL), 0);
    loop = new_loop();
    cr_assert_eq(raddle_get_loop(&got), -ENXIO);
    cr_assert_null(got);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

static void *sets_its_own(void *arg)
{
    raddle_loop *mine = NULL, *got = NULL;

    EXPECT_EQ(raddle_new_loop(&mine), 0);
    EXPECT_EQ(raddle_set_loop(mine), 0);
    EXPECT_EQ(raddle_get_loop(&got), 0);
    EXPECT(got == mine && got != arg);
    EXPECT_EQ(raddle_loop_close(mine), 0);
    return NULL;
}

/* C7 */
RuntimeTest(policies, each_thread_sets_its_own_loop)
{
    raddle_loop *mine = new_loop(), *got = NULL;
    pthread_t thread;

    cr_assert_eq(raddle_set_loop(mine), 0);
    cr_assert_eq(pthread_create(&thread, NULL, sets_its_own, mine), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(raddle_get_loop(&got), 0);
    cr_assert_eq(got, mine);
    cr_assert_eq(raddle_loop_close(mine), 0);
}
