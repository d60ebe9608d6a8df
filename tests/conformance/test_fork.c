/*
 * tests/conformance/test_fork.c - what a fork does to loops, row by row of asyncio's section on it.
 *
 * A child tells by its status: 0, or the number of expectations that were not met.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(fork, .timeout = 60);

static raddle_loop *new_loop(void)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    return loop;
}

static int status_of(pid_t child)
{
    int status = -1;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static int sleeps_a_little(void *arg)
{
    (void)arg;
    return raddle_sleep(RADDLE_MS(1));
}

static int is_running_on(void *arg)
{
    EXPECT(raddle_running_loop() == arg);
    return raddle_sleep(RADDLE_MS(1));
}

/* D1 D2 */
RuntimeTest(fork, the_child_has_no_loop_and_the_parents_are_shut)
{
    raddle_loop *loop = new_loop();
    raddle_handle *handle = NULL;
    pid_t child;

    cr_assert_eq(raddle_set_loop(loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, sleeps_a_little, NULL), 0);
    cr_assert_eq(raddle_call_at(loop, RADDLE_NEVER, NULL, NULL, &handle), -EINVAL);
    child = fork();
    if (child == 0) {
        EXPECT(!raddle_running_loop());
        EXPECT_EQ(raddle_loop_run_until_complete(loop, test_nothing, NULL), RADDLE_ESHUTDOWN);
        EXPECT_EQ(raddle_loop_close(loop), RADDLE_ESHUTDOWN);
        EXPECT_EQ(raddle_call_later(loop, 0, NULL, NULL, NULL), -EINVAL);
        EXPECT_EQ(raddle_loop_spawn(loop, test_nothing, NULL, NULL), RADDLE_ESHUTDOWN);
        _exit(test_result());
    }
    cr_assert_eq(status_of(child), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, is_running_on, loop), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

static void unexpected(void *arg)
{
    (void)arg;
    EXPECT(false); /* called */
}

static int forks(void *arg)
{
    raddle_handle *handle = arg;
    pid_t child = fork();

    if (child == 0) {
        /* Inside no loop, in the middle of a task: it goes on as plain code. */
        EXPECT(!raddle_running_loop());
        EXPECT_EQ(raddle_sleep(1), -EPERM);
        EXPECT_EQ(raddle_handle_cancel(handle), 0);
        EXPECT_EQ(test_run(sleeps_a_little, NULL), 0);
        _exit(test_result());
    }
    EXPECT_EQ(status_of(child), 0);
    return raddle_sleep(RADDLE_MS(1));
}

/* D1 D2 */
RuntimeTest(fork, a_task_that_forks_is_plain_code_in_the_child_and_goes_on_in_the_parent)
{
    raddle_loop *loop = new_loop();
    raddle_handle *handle = NULL;

    cr_assert_eq(raddle_call_later(loop, RADDLE_S(3600), unexpected, NULL, &handle), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, forks, handle), 0);
    cr_assert_not(
        raddle_handle_cancelled(handle)); /* which the child's did not do to the parent's */
    cr_assert_eq(raddle_loop_close(loop), 0);
    raddle_handle_unref(handle);
}

/* Hooks. */

static struct {
    int seen[32];
    unsigned count;
    raddle_loop *loop;
} hooks;

static void note(int what)
{
    hooks.seen[hooks.count++ % 32] = what;
}

static void before_1(void)
{
    note(1);
}

static void before_2(void)
{
    note(2);
}

static void parent_1(void)
{
    note(11);
}

static void parent_3(void)
{
    note(13);
}

static void child_1(void)
{
    note(21);
}

static void child_3(void)
{
    note(23);
}

static void registers(void)
{
    static bool once;

    note(31);
    if (!once)
        EXPECT_EQ(raddle_at_fork(before_2, NULL, NULL), 0);
    once = true;
}

static void expect_seen(const int *wanted, unsigned count)
{
    EXPECT_EQ(hooks.count, count);
    for (unsigned i = 0; i < count && i < hooks.count; i++)
        EXPECT_EQ(hooks.seen[i], wanted[i]);
    hooks.count = 0;
}

#define EXPECT_SEEN(...)                                                                           \
    do {                                                                                           \
        static const int wanted_[] = {__VA_ARGS__};                                                \
        expect_seen(wanted_, sizeof(wanted_) / sizeof(wanted_[0]));                                \
    } while (0)

/* D3 */
RuntimeTest(fork, hooks_run_before_it_in_reverse_and_after_it_in_order)
{
    pid_t child;

    cr_assert_eq(raddle_at_fork(NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_at_fork(before_1, parent_1, child_1), 0);
    cr_assert_eq(raddle_at_fork(before_2, NULL, NULL), 0);
    cr_assert_eq(raddle_at_fork(NULL, parent_3, child_3), 0);
    child = fork();
    if (child == 0) {
        EXPECT_SEEN(2, 1, 21, 23);
        _exit(test_result());
    }
    EXPECT_SEEN(2, 1, 11, 13);
    cr_assert_eq(status_of(child), 0);
    /* What a hook registers is for the next fork. */
    cr_assert_eq(raddle_at_fork(registers, NULL, NULL), 0);
    child = fork();
    if (child == 0)
        _exit(0);
    EXPECT_SEEN(31, 2, 1, 11, 13);
    cr_assert_eq(status_of(child), 0);
    child = fork();
    if (child == 0)
        _exit(0);
    EXPECT_SEEN(2, 31, 2, 1, 11, 13);
    cr_assert_eq(status_of(child), 0);
}

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_CALLOC ? -ENOMEM : 0;
}

/* D3 */
RuntimeTest(fork, without_memory_no_hook_is_registered)
{
    pid_t child;

    hooks.count = 0;
    rdl_sys_set_hook(no_memory);
    EXPECT_EQ(raddle_at_fork(before_1, NULL, NULL), -ENOMEM);
    rdl_sys_set_hook(NULL);
    child = fork();
    if (child == 0)
        _exit(0);
    cr_assert_eq(status_of(child), 0);
    cr_assert_eq(hooks.count, 0);
}

static void on_signal(int number)
{
    note(number);
}

static int interrupts_child(void *arg)
{
    pid_t child = fork();

    (void)arg;
    if (child == 0) {
        raise(SIGINT); /* the program's own handler, and not the parent's run */
        EXPECT_SEEN(SIGINT);
        _exit(test_result());
    }
    EXPECT_EQ(status_of(child), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(5)), 0); /* not interrupted */
    return 0;
}

/* D4 */
RuntimeTest(fork, a_signal_to_the_child_does_not_reach_the_parents_run)
{
    struct sigaction mine = {.sa_handler = on_signal}, old;

    hooks.count = 0;
    sigemptyset(&mine.sa_mask);
    cr_assert_eq(sigaction(SIGINT, &mine, &old), 0);
    cr_assert_eq(test_run(interrupts_child, NULL), 0);
    cr_assert_eq(hooks.count, 0);
    cr_assert_eq(sigaction(SIGINT, &old, NULL), 0);
}

/* D5 */
RuntimeTest(fork, runs_work_in_children_forked_before_between_and_during_runs)
{
    pid_t child;

    for (int i = 0; i < 3; i++) {
        child = fork();
        if (child == 0) {
            EXPECT_EQ(test_run(sleeps_a_little, NULL), 0);
            EXPECT_EQ(test_run(sleeps_a_little, NULL), 0);
            _exit(test_result());
        }
        cr_assert_eq(status_of(child), 0);
        cr_assert_eq(test_run(sleeps_a_little, NULL), 0);
    }
}

static int forks_and_runs(void *arg)
{
    pid_t child = fork();

    (void)arg;
    if (child == 0) {
        EXPECT_EQ(test_run(sleeps_a_little, NULL), 0);
        _exit(test_result());
    }
    return status_of(child);
}

/* Without the thread that takes signals: it may just be starting, with a lock of gcc 12's AddressSanitizer that the
 * child would then wait for for ever. */
/* D5 */
RuntimeTest(fork, a_child_of_a_running_team_has_runs_of_its_own)
{
    struct raddle_run_options options = {.loops = test_loops(), .flags = RADDLE_RUN_NO_SIGINT};

    cr_assert_eq(raddle_run(forks_and_runs, NULL, &options), 0);
}

/* The articles' loop per process: the hooks make one for each. */

static void makes_a_loop(void)
{
    EXPECT_EQ(raddle_new_loop(&hooks.loop), 0);
    EXPECT_EQ(raddle_set_loop(hooks.loop), 0);
}

static void expect_own_loop(void)
{
    raddle_loop *loop = NULL;

    EXPECT_EQ(raddle_get_loop(&loop), 0);
    EXPECT(loop == hooks.loop);
    EXPECT_EQ(raddle_loop_run_until_complete(loop, is_running_on, loop), 0);
    EXPECT_EQ(raddle_loop_close(loop), 0);
}

/* D6 */
RuntimeTest(fork, hooks_give_parent_and_child_a_loop_each)
{
    raddle_loop *first = new_loop();
    pid_t child;

    cr_assert_eq(raddle_set_loop(first), 0);
    cr_assert_eq(raddle_at_fork(NULL, makes_a_loop, makes_a_loop), 0);
    child = fork();
    if (child == 0) {
        expect_own_loop();
        _exit(test_result());
    }
    cr_assert_eq(status_of(child), 0);
    cr_assert_neq(hooks.loop, first);
    expect_own_loop();
    cr_assert_eq(raddle_loop_close(first), 0);
}

static void in_child_of_policy(const struct raddle_policy *policy)
{
    (void)policy;
    makes_a_loop();
}

/* C2 D6 */
RuntimeTest(fork, a_policy_gives_the_child_a_loop)
{
    struct raddle_policy policy = {.name = "per process", .after_fork_child = in_child_of_policy};
    pid_t child;

    cr_assert_eq(raddle_set_policy(&policy), 0);
    child = fork();
    if (child == 0) {
        expect_own_loop();
        _exit(test_result());
    }
    cr_assert_eq(status_of(child), 0);
    cr_assert_eq(raddle_set_policy(NULL), 0);
}
