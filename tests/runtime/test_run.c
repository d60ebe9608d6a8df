/*
 * tests/runtime/test_run.c - a whole program: its options, its loops, its main task, and what it leaves.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sched/stack.h"
#include "sched/sys.h"

TestSuite(run, .timeout = 60);

enum { SHORT = 5 * 1000000 };

RuntimeTest(run, returns_what_the_main_task_returned)
{
    int rcs[] = {0, 7, -EIO, -ETIMEDOUT, INT32_MAX};

    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(test_run(test_return, &rcs[i]), rcs[i]);
    cr_assert_eq(raddle_run(test_return, &rcs[1], NULL), 7);
}

RuntimeTest(run, bad_options_run_nothing)
{
    struct raddle_run_options bad[] = {
        {.loops = 1025},     {.flags = 32},        {.mobility = (enum raddle_mobility)4},
        {.slow_ns = -1},     {.reserved = {1}},    {.reserved = {0, 1}},
        {.debug = "always"}, {.driver = "kqueue"},
    };
    int rc = 5;

    cr_assert_eq(raddle_run(NULL, NULL, NULL), -EINVAL);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(raddle_run(test_return, &rc, &bad[i]), -EINVAL, "options %u", i);
}

static int counts_loops(void *arg)
{
    struct raddle_loop_stats stats;
    unsigned count = raddle_loop_count();
    raddle_loop *loop = NULL;

    if (arg)
        EXPECT_EQ(count, *(unsigned *)arg);
    EXPECT(count > 0);
    for (unsigned i = 0; i < count; i++)
        EXPECT_EQ(raddle_get_loop_stats(i, &stats), 0);
    EXPECT_EQ(raddle_get_loop_stats(count, &stats), -ENOENT);
    EXPECT_EQ(raddle_get_loop_stats(UINT32_MAX, &stats), -ENOENT);
    EXPECT_EQ(raddle_get_loop_stats(0, NULL), -EINVAL);
    EXPECT_EQ(raddle_loop_index(raddle_running_loop()), 0);
    EXPECT_EQ(raddle_get_loop(&loop), 0);
    EXPECT(loop == raddle_running_loop());
    /* It belongs to the run. */
    EXPECT_EQ(raddle_loop_close(loop), -EBUSY);
    return (int)count;
}

RuntimeTest(run, has_the_loops_that_were_asked_for)
{
    for (unsigned loops = 1; loops <= 8; loops++)
        cr_assert_eq(test_run_on(loops, counts_loops, &loops), (int)loops);
    cr_assert_eq(raddle_loop_count(), 0);
}

RuntimeTest(run, has_no_more_loops_than_cpus_by_default)
{
    cpu_set_t before, one;

    cr_assert_eq(sched_getaffinity(0, sizeof(before), &before), 0);
    cr_assert_leq(raddle_run(counts_loops, NULL, NULL), CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &one);
            break;
        }
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    cr_assert_eq(raddle_run(counts_loops, NULL, NULL), 1);
    cr_assert_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}

RuntimeTest(run, outside_of_one_there_are_no_stats)
{
    struct raddle_loop_stats stats;

    cr_assert_eq(raddle_get_loop_stats(0, &stats), -EPERM);
    cr_assert_eq(raddle_get_loop_stats(0, NULL), -EINVAL);
}

static void *runs_in_thread(void *arg)
{
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(test_run(counts_loops, NULL), test_loops());
    return arg;
}

RuntimeTest(run, several_at_once_in_threads_of_their_own)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, runs_in_thread, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

static int nested_job(void *arg)
{
    return test_run(test_return, arg);
}

static int runs_in_job(void *arg)
{
    int result = 0;

    EXPECT_EQ(raddle_run_in_executor(NULL, nested_job, arg, &result), 0);
    return result;
}

RuntimeTest(run, one_inside_a_job_of_an_executor_is_allowed)
{
    if (test_left_out("jobs run on the thread of the loop"))
        return;

    int rc = 31;

    cr_assert_eq(test_run(runs_in_job, &rc), 31);
}

/* What the main task leaves behind. */

struct left {
    rdl_atomic(unsigned) began, ended;
};

static int left_behind(void *arg)
{
    struct left *left = arg;
    int rc;

    rdl_atomic_fetch_add_relaxed(&left->began, 1u);
    rc = raddle_sleep_until(RADDLE_NEVER);
    EXPECT_STR(raddle_cancel_reason(), "the run has ended");
    rdl_atomic_fetch_add_relaxed(&left->ended, 1u);
    return rc;
}

static int leaves(void *arg)
{
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(raddle_loop_spawn(raddle_running_loop(), left_behind, arg, NULL), 0);
    return 3;
}

RuntimeTest(run, waits_for_tasks_that_were_left_behind)
{
    struct left left = {.began = 0};

    cr_assert_eq(test_run(leaves, &left), 3);
    cr_assert_eq(left.began, 10);
    cr_assert_eq(left.ended, 10);
}

static void counts(void *arg)
{
    rdl_atomic_fetch_add_relaxed((rdl_atomic(unsigned) *)arg, 1u);
}

static int posts_and_leaves(void *arg)
{
    struct left *left = arg;

    for (int i = 0; i < 200; i++) {
        EXPECT_EQ(raddle_call_soon(raddle_running_loop(), counts, &left->ended), 0);
        left->began++;
        if (i % 3 == 0)
            EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

RuntimeTest(run, callbacks_that_were_accepted_are_run)
{
    struct left left = {.began = 0};

    cr_assert_eq(test_run(posts_and_leaves, &left), 0);
    cr_assert_eq(left.ended, left.began);
}

/* A stop is for loops that run for ever. */
static int stops_loops(void *arg)
{
    rdl_atomic(raddle_loop *) *loops = arg;
    unsigned index = raddle_loop_index(raddle_running_loop());

    rdl_atomic_store_relaxed(&loops[index], raddle_running_loop());
    test_burn(RADDLE_MS(1));
    raddle_loop_stop(raddle_running_loop());
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    EXPECT_EQ(raddle_loop_index(raddle_running_loop()), index);
    return 0;
}

static int stops_all(void *arg)
{
    rdl_atomic(raddle_loop *) loops[16] = {NULL};
    struct raddle_group g;

    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        for (unsigned k = 0; k < 4 * raddle_loop_count(); k++)
            EXPECT_EQ(raddle_spawn(&g, NULL, stops_loops, loops, NULL), 0);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
        for (unsigned k = 0; k < raddle_loop_count(); k++)
            if (rdl_atomic_load_relaxed(&loops[k]))
                raddle_loop_stop(rdl_atomic_load_relaxed(&loops[k]));
    }
    (void)arg;
    return 8;
}

RuntimeTest(run, its_loops_are_not_stopped_from_outside)
{
    test_keep_still();
    cr_assert_eq(test_run(stops_all, NULL), 8);
}

static int moves_at_the_end(void *arg)
{
    *(raddle_task **)arg = raddle_task_ref(raddle_self());
    return raddle_sleep(SHORT);
}

RuntimeTest(run, many_short_ones_leave_nothing)
{
    for (int i = 0; i < 100; i++) {
        raddle_task *task = NULL;
        cr_assert_eq(test_run(i % 10 ? test_nothing : moves_at_the_end, &task), 0);
        raddle_task_unref(task);
    }
}

/* The options reach what they are for. */

static int default_mobility(void *arg)
{
    raddle_loop *first = raddle_running_loop();

    (void)arg;
    for (int i = 0; i < 50; i++) {
        test_burn(RADDLE_US(20));
        EXPECT_EQ(raddle_yield(), 0);
        EXPECT(raddle_running_loop() == first);
    }
    EXPECT_EQ(raddle_loop_index(first), 0);
    return 0;
}

static int spawns_default(void *arg)
{
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, default_mobility, NULL, NULL), 0);
    return raddle_group_close(&g, 0);
}

RuntimeTest(run, tasks_that_do_not_say_have_the_mobility_of_its_options)
{
    struct raddle_run_options o = {.loops = 4, .mobility = RADDLE_PINNED};

    cr_assert_eq(raddle_run(spawns_default, NULL, &o), 0);
}

static int own_executor(void *arg)
{
    char name[16] = "";

    (void)arg;
    pthread_getname_np(pthread_self(), name, sizeof(name));
    return strncmp(name, "mine-", 5);
}

static int uses_executor(void *arg)
{
    int result = -1;

    (void)arg;
    EXPECT_EQ(raddle_run_in_executor(NULL, own_executor, NULL, &result), 0);
    return result;
}

RuntimeTest(run, its_default_executor_has_the_options_that_were_given)
{
    if (test_left_out("there are no threads"))
        return;

    struct raddle_executor_options e = {.max_threads = 1, .name = "mine"};
    struct raddle_run_options o = {.loops = test_loops(), .executor = &e};

    cr_assert_eq(raddle_run(uses_executor, NULL, &o), 0);
}

/* Every call that a run makes fails once: an error, or no difference; and nothing is left. */

static rdl_atomic(int) fail_call, fails_in;
static rdl_atomic(int) fail_error;

static int failing(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if ((int)call != rdl_atomic_load_relaxed(&fail_call))
        return 0;
    return rdl_atomic_fetch_sub_relaxed(&fails_in, 1) == 1 ? rdl_atomic_load_relaxed(&fail_error)
                                                           : 0;
}

static int small_program(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, test_nothing, NULL, NULL);
    if (rc == 0)
        rc = raddle_run_in_executor(NULL, test_nothing, NULL, NULL);
    return raddle_group_close(&g, rc);
}

static void fail_each(enum rdl_sys_call call, int error)
{
    struct test_footprint before = test_footprint();

    for (int n = 1; n < 100; n++) {
        int rc;
        bool spent;
        rdl_atomic_store_relaxed(&fail_call, (int)call);
        rdl_atomic_store_relaxed(&fail_error, error);
        rdl_atomic_store_relaxed(&fails_in, n);
        rdl_sys_set_hook(failing);
        rc = test_run(small_program, NULL);
        rdl_sys_set_hook(NULL);
        spent = rdl_atomic_load_relaxed(&fails_in) <= 0;
        if (rc != 0 && rc != error)
            fprintf(stderr, "%s failing with %d the %d. time: %d\n", rdl_sys_name(call), error, n,
                    rc);
        EXPECT(rc == 0 || rc == error || rc == -EAGAIN || rc == -ENOMEM);
        test_same_footprint(&before);
        if (!spent)
            break;
    }
}

RuntimeTest(run, whatever_call_fails_it_ends_and_leaves_nothing)
{
    fail_each(RDL_SYS_MALLOC, -ENOMEM);
    fail_each(RDL_SYS_CALLOC, -ENOMEM);
    fail_each(RDL_SYS_MMAP, -ENOMEM);
    fail_each(RDL_SYS_MPROTECT, -ENOMEM);
    fail_each(RDL_SYS_MADVISE, -EINVAL);
    fail_each(RDL_SYS_THREAD_CREATE, -EAGAIN);
    fail_each(RDL_SYS_EVENTFD, -EMFILE);
    fail_each(RDL_SYS_EPOLL_CREATE, -EMFILE);
    fail_each(RDL_SYS_EPOLL_CTL, -ENOSPC);
    fail_each(RDL_SYS_URING_SETUP, -ENOMEM);
    fail_each(RDL_SYS_URING_REGISTER, -ENOMEM);
}

static int spawns_until_enomem(void *arg)
{
    unsigned *count = arg;
    struct raddle_group g;
    int rc = 0;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    while (rc == 0 && *count < 1000000) {
        rc = raddle_spawn(&g, NULL, test_sleep_forever, NULL, NULL);
        *count += rc == 0;
    }
    EXPECT_EQ(rc, -ENOMEM);
    EXPECT_EQ(raddle_group_live(&g), *count);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    raddle_group_cancel(&g, NULL);
    return raddle_group_close(&g, 0);
}

static unsigned long address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file && fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

RuntimeTest(run, without_address_space_a_spawn_fails_and_the_rest_goes_on)
{
    struct rlimit old, limit;
    unsigned count = 0;

    /* A sanitizer has taken all of it. */
    if (RDL_STACK_SCALE > 1)
        cr_skip("the sanitizer's own memory");
    cr_assert_eq(getrlimit(RLIMIT_AS, &old), 0);
    limit = old;
    limit.rlim_cur = address_space() + (512ul << 20);
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_expect_eq(test_run(spawns_until_enomem, &count), 0);
    cr_assert_eq(setrlimit(RLIMIT_AS, &old), 0);
    cr_assert_gt(count, 500);
    cr_assert_eq(test_run(small_program, NULL), 0);
}
