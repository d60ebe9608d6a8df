/*
 * tests/runtime/test_signal.c - what a run does with SIGINT and SIGPIPE.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/atomic.h"
#include "sched/sys.h"

TestSuite(signal, .timeout = 30);

enum { SHORT = 5 * 1000000 };

/* In a child, which has its signals to itself. */

static int in_child(int (*body)(void))
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(body() | (test_failures() ? 100 : 0));
    cr_assert(child > 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

static int interrupted(void *arg)
{
    if (arg) {
        EXPECT_EQ(kill(getpid(), SIGINT), 0);
        test_burn(RADDLE_MS(20));
        while (raddle_checkpoint() == 0)
            test_burn(RADDLE_US(100));
    } else {
        EXPECT_EQ(raddle_run_in_executor(NULL, test_nothing, NULL, NULL), 0);
        EXPECT_EQ(kill(getpid(), SIGINT), 0);
        EXPECT_EQ(raddle_sleep(RADDLE_S(20)), -ECANCELED);
    }
    EXPECT_STR(raddle_cancel_reason(), "SIGINT");
    /* It cleans up, as long as it likes. */
    struct raddle_scope shield;
    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT_EQ(raddle_scope_leave(&shield, raddle_sleep(SHORT)), 0);
    return -ECANCELED;
}

static int first_sigint(void)
{
    struct sigaction action;
    int parked = test_run(interrupted, NULL);
    int computing = test_run(interrupted, &parked);

    EXPECT_EQ(sigaction(SIGINT, NULL, &action), 0);
    EXPECT(action.sa_handler == SIG_DFL);
    return parked == -ECANCELED && computing == -ECANCELED ? 0 : 1;
}

/* A10 TC113 */
RuntimeTest(signal, the_first_sigint_cancels_the_main_task)
{
    int status = in_child(first_sigint);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static int twice(void *arg)
{
    int rc = interrupted(arg);

    EXPECT_EQ(kill(getpid(), SIGINT), 0);
    test_burn(RADDLE_S(5));
    return rc;
}

static int second_sigint(void)
{
    return test_run(twice, NULL) ? 0 : 1;
}

/* A10 TC113 */
RuntimeTest(signal, the_second_sigint_has_the_action_from_before)
{
    int status = in_child(second_sigint);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "status %x", status);
}

/* Cancelled by somebody before: that is why, and one SIGINT more changes nothing. */
static int cancelled_before(void *arg)
{
    (void)arg;
    EXPECT_EQ(raddle_task_cancel(raddle_self(), "somebody"), 0);
    EXPECT_EQ(kill(getpid(), SIGINT), 0);
    while (raddle_cancelling(raddle_self()) < 2)
        test_burn(RADDLE_US(100));
    EXPECT_EQ(raddle_sleep(RADDLE_S(20)), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "somebody");
    return -ECANCELED;
}

static int late_sigint(void)
{
    return test_run(cancelled_before, NULL) == -ECANCELED ? 0 : 1;
}

/* TC113 */
RuntimeTest(signal, a_sigint_to_a_main_task_that_is_cancelled_already_changes_no_reason)
{
    int status = in_child(late_sigint);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static volatile sig_atomic_t own_sigints;

static void on_sigint(int number)
{
    (void)number;
    own_sigints++;
}

static int own_handler_main(void *arg)
{
    (void)arg;
    EXPECT_EQ(raise(SIGINT), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(20)), 0);
    return 5;
}

static int leaves_sigint(void)
{
    struct raddle_run_options o = {.loops = test_loops(), .flags = RADDLE_RUN_NO_SIGINT};

    signal(SIGINT, on_sigint);
    EXPECT_EQ(raddle_run(own_handler_main, NULL, &o), 5);
    EXPECT_EQ(own_sigints, 1);
    return 0;
}

RuntimeTest(signal, sigint_is_left_alone_if_so_asked)
{
    int status = in_child(leaves_sigint);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

/* A Ctrl-C that comes while the threads are being made is not lost. */
static void interrupts(const struct raddle_policy *policy, raddle_loop *loop)
{
    (void)policy;
    if (raddle_loop_index(loop) == 0)
        EXPECT_EQ(kill(getpid(), SIGINT), 0);
}

static int is_cancelled(void *arg)
{
    (void)arg;
    return raddle_sleep(RADDLE_S(2));
}

static int early_sigint(void)
{
    struct raddle_policy policy = {.loop_started = interrupts};
    struct raddle_run_options o = {.loops = 32, .policy = &policy};
    int rc;

    signal(SIGINT, on_sigint);
    rc = raddle_run(is_cancelled, NULL, &o);
    /* Either it was before the run took the signal, or it counts. */
    return rc == -ECANCELED || own_sigints ? 0 : 1;
}

RuntimeTest(signal, an_early_sigint_is_not_lost)
{
    int status = in_child(early_sigint);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

/* One loop sees to its SIGINT itself, without a thread beside it. */

static int interrupted_alone(void *arg)
{
    EXPECT_EQ(test_entries("/proc/self/task"), *(unsigned *)arg);
    EXPECT_EQ(kill(getpid(), SIGINT), 0);
    EXPECT(raddle_cancelled()); /* before the loop has had a turn */
    EXPECT_EQ(raddle_sleep(RADDLE_S(20)), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "SIGINT");
    return -ECANCELED;
}

static int without_a_thread(void)
{
    unsigned before = test_entries("/proc/self/task");
    int rc = test_run_on(1, interrupted_alone, &before);

    EXPECT(before > 0);
    return rc == -ECANCELED ? 0 : 1;
}

RuntimeTest(signal, a_run_of_one_loop_has_one_thread)
{
    int status = in_child(without_a_thread);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static int interrupts_at_the_end(void *arg)
{
    (void)arg;
    EXPECT_EQ(raise(SIGINT), 0);
    return 3;
}

/* Cancellation points that never wait give the loop no turn. */
static int never_waits(void *arg)
{
    struct raddle_event event = {0};
    struct raddle_mutex mutex = {0};
    int rc = 0, by = *(int *)arg;

    raddle_event_set(&event);
    EXPECT_EQ(kill(getpid(), SIGINT), 0);
    while (rc == 0) {
        rc = by == 0 ? raddle_event_wait(&event) : by == 1 ? raddle_lock(&mutex) : raddle_yield();
        if (rc == 0 && by == 1)
            raddle_unlock(&mutex);
    }
    EXPECT_STR(raddle_cancel_reason(), "SIGINT");
    return rc;
}

static int never_waiting(void)
{
    for (int by = 0; by < 3; by++)
        EXPECT_EQ(test_run(never_waits, &by), -ECANCELED);
    return 0;
}

RuntimeTest(signal, a_task_that_never_waits_is_cancelled_by_sigint)
{
    int status = in_child(never_waiting);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

/* Of two runs one has the signals; the other's tasks ask meanwhile, and its owner comes and goes. */
static rdl_atomic(bool) over;

static int asks(void *arg)
{
    (void)arg;
    while (!rdl_atomic_load_relaxed(&over)) {
        EXPECT(!raddle_cancelled());
        EXPECT_EQ(raddle_checkpoint(), 0);
    }
    return 0;
}

static void *beside(void *arg)
{
    struct raddle_run_options o = {.loops = 1, .flags = RADDLE_RUN_NO_SIGINT};

    (void)arg;
    EXPECT_EQ(raddle_run(asks, NULL, &o), 0);
    return NULL;
}

static int two_runs(void)
{
    pthread_t other;

    EXPECT_EQ(pthread_create(&other, NULL, beside, NULL), 0);
    for (int i = 0; i < 200; i++)
        EXPECT_EQ(test_run_on(1, interrupts_at_the_end, NULL), 3);
    rdl_atomic_store_relaxed(&over, true);
    EXPECT_EQ(pthread_join(other, NULL), 0);
    return 0;
}

RuntimeTest(signal, a_sigint_is_of_no_concern_to_a_run_that_does_not_own_it)
{
    int status = in_child(two_runs);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static int parked_alone(void *arg)
{
    (void)arg;
    return raddle_sleep(RADDLE_S(20));
}

/* The loop sleeps in its driver when the signal comes. */
static int woken_by_sigint(void)
{
    pid_t self = getpid(), sender = fork();
    int status, rc;

    if (sender == 0) {
        usleep(50 * 1000);
        _exit(kill(self, SIGINT));
    }
    rc = test_run_on(1, parked_alone, NULL);
    EXPECT_EQ(waitpid(sender, &status, 0), sender);
    return rc == -ECANCELED ? 0 : 1;
}

RuntimeTest(signal, a_loop_that_sleeps_is_woken_by_sigint)
{
    int status = in_child(woken_by_sigint);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

/* What the handler has posted is still there when the run is over, and when the next one begins. */
static int last_sigint(void)
{
    struct raddle_runner runner;

    EXPECT_EQ(test_run_on(1, interrupts_at_the_end, NULL), 3);
    EXPECT_EQ(raddle_runner_open(&runner, NULL), 0);
    EXPECT_EQ(raddle_runner_run(&runner, interrupts_at_the_end, NULL), 3);
    EXPECT_EQ(raddle_runner_run(&runner, test_nothing, NULL), 0);
    EXPECT_EQ(raddle_runner_run(&runner, interrupts_at_the_end, NULL), 3);
    EXPECT_EQ(raddle_runner_close(&runner), 0);
    return 0;
}

RuntimeTest(signal, a_sigint_at_the_end_of_a_run_is_not_the_next_ones)
{
    int status = in_child(last_sigint);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

/* SIGPIPE */

static int writes_to_nobody(void *arg)
{
    int fds[2];
    ssize_t n;

    (void)arg;
    EXPECT_EQ(pipe(fds), 0);
    close(fds[0]);
    n = write(fds[1], "x", 1);
    EXPECT(n == -1 && errno == EPIPE);
    close(fds[1]);
    return 0;
}

static int ignores_sigpipe(void)
{
    struct sigaction action;

    EXPECT_EQ(test_run(writes_to_nobody, NULL), 0);
    EXPECT_EQ(sigaction(SIGPIPE, NULL, &action), 0);
    EXPECT(action.sa_handler == SIG_DFL);
    return 0;
}

RuntimeTest(signal, sigpipe_is_ignored_during_a_run)
{
    int status = in_child(ignores_sigpipe);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static int leaves_sigpipe(void)
{
    struct raddle_run_options o = {.loops = test_loops(), .flags = RADDLE_RUN_SIGPIPE};

    return raddle_run(writes_to_nobody, NULL, &o);
}

RuntimeTest(signal, sigpipe_is_left_alone_if_so_asked)
{
    int status = in_child(leaves_sigpipe);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE, "status %x", status);
}

static int no_sigaction(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_SIGACTION ? -EPERM : 0;
}

static void mine(int number)
{
    (void)number;
}

static int may_again(void *arg)
{
    (void)arg;
    rdl_sys_set_hook(NULL);
    return 0;
}

static int not_taken(void)
{
    static const int numbers[] = {SIGINT, SIGQUIT, SIGURG, SIGPIPE};
    struct raddle_run_options options = {.flags = RADDLE_RUN_SIGQUIT, .slow_ns = RADDLE_S(1)};
    struct sigaction action = {.sa_handler = mine};

    EXPECT_EQ(test_run(test_nothing, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(sigaction(numbers[i], &action, NULL), 0);
    rdl_sys_set_hook(no_sigaction);
    EXPECT_EQ(raddle_run(may_again, NULL, &options), 0);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQ(sigaction(numbers[i], NULL, &action), 0);
        EXPECT(action.sa_handler == mine);
    }
    return 0;
}

RuntimeTest(signal, what_could_not_be_taken_is_not_given_back)
{
    int status = in_child(not_taken);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}
