/*
 * tests/conformance/test_sim.c - simulated runs as seen from outside: how one is asked for, and that its seed, which a
 * run that fails tells, decides its order and repeats it.
 */
#define _GNU_SOURCE
#include "tests/conformance/sim_run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/annotate.h"
#include "sched/sys.h"

TestSuite(sim, .timeout = 120);

/* The same again. */

struct history {
    uint64_t trace, seed;
    unsigned order[6], count;
    pid_t thread;
    bool same_thread;
    uint64_t steals;
};

struct step {
    struct history *history;
    unsigned number;
};

static int takes_steps(void *arg)
{
    struct step *step = arg;
    struct history *h = step->history;
    int rc = 0;

    for (unsigned i = 0; i < 3 && rc == 0; i++) {
        rc = raddle_sleep(RADDLE_US(100));
        h->same_thread &= gettid() == h->thread;
        for (unsigned k = 0; k < 20 && rc == 0; k++)
            rc = raddle_yield();
    }
    h->order[h->count++] = step->number;
    return rc;
}

static int lives(void *arg)
{
    struct history *h = arg;
    struct step steps[6];
    struct raddle_spawn_options movable = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_loop_stats stats;
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    *h = (struct history){.thread = gettid(), .same_thread = true};
    for (unsigned i = 0; i < 6 && rc == 0; i++) {
        steps[i] = (struct step){h, i};
        rc = raddle_spawn(&g, NULL, takes_steps, &steps[i], &movable);
    }
    rc = raddle_group_close(&g, rc);
    for (unsigned i = 0; raddle_get_loop_stats(i, &stats) == 0; i++)
        h->steals += stats.steals;
    EXPECT_EQ(raddle_sim_seed(&h->seed), 0);
    EXPECT_EQ(raddle_sim_trace(&h->trace), 0);
    return rc;
}

static bool same_order(const struct history *a, const struct history *b)
{
    return a->count == b->count && memcmp(a->order, b->order, sizeof(a->order)) == 0;
}

static bool same_history(const struct history *a, const struct history *b)
{
    return same_order(a, b) && a->trace == b->trace && a->seed == b->seed && a->steals == b->steals;
}

/* AB7 */
RuntimeTest(sim, the_same_seed_has_the_same_history_and_another_seed_another)
{
    enum { SEEDS = 50 };
    struct history first[SEEDS], again;
    unsigned orders = 0;
    uint64_t steals = 0;

    for (unsigned loops = 1; loops <= 4; loops += 3) {
        for (unsigned i = 0; i < SEEDS; i++)
            cr_assert_eq(run_seed(i, loops, lives, &first[i]), 0);
        for (unsigned i = SEEDS; i-- > 0;) {
            cr_assert_eq(run_seed(i, loops, lives, &again), 0);
            cr_assert(same_history(&first[i], &again), "%u loops, seed %u", loops, i);
            cr_assert_eq(again.seed, i);
            cr_assert(again.same_thread);
        }
        for (unsigned i = 1; i < SEEDS; i++) {
            cr_assert_neq(first[i].trace, first[i - 1].trace);
            orders += loops > 1 && !same_order(&first[i], &first[i - 1]);
            steals += first[i].steals;
        }
    }
    cr_assert_gt(orders, SEEDS / 2);
    cr_assert_gt(steals, SEEDS);
}

/* What a fair select chose, each time. */
static int chooses(void *arg)
{
    raddle_chan *chans[2];
    unsigned *choices = arg;
    int rc = 0, item = 0;

    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        rc = raddle_chan_create(sizeof(int), RADDLE_UNBOUNDED, NULL, &chans[i]);
        for (unsigned k = 0; k < 20 && rc == 0; k++)
            rc = raddle_try_put(chans[i], &item);
    }
    *choices = 0;
    for (unsigned k = 0; k < 20 && rc >= 0; k++) {
        struct raddle_case cases[2] = {{.op = RADDLE_ON_GET, .object = chans[0], .item = &item},
                                       {.op = RADDLE_ON_GET, .object = chans[1], .item = &item}};
        rc = raddle_select(cases, 2, RADDLE_SELECT_FAIR);
        *choices = *choices << 1 | (rc == 1);
    }
    for (unsigned i = 0; i < 2; i++)
        raddle_chan_unref(chans[i]);
    return rc < 0 ? rc : 0;
}

RuntimeTest(sim, what_a_fair_select_chooses_is_decided_by_the_seed)
{
    unsigned first, again, different = 0, last = 0;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        cr_assert_eq(run_seed(seed, 1 + (unsigned)seed % 2, chooses, &first), 0);
        cr_assert_eq(run_seed(seed, 1 + (unsigned)seed % 2, chooses, &again), 0);
        cr_assert_eq(first, again, "seed %" PRIu64 ": %x, then %x", seed, first, again);
        different += first != last;
        last = first;
    }
    cr_assert_gt(different, 10);
}

RuntimeTest(sim, the_environment_has_a_program_simulated)
{
    struct history h;

    cr_assert_eq(setenv("RADDLE_POLICY", "sim:seed=77", 1), 0);
    cr_assert_eq(test_run_on(2, lives, &h), 0);
    cr_assert_eq(h.seed, 77);
    cr_assert_eq(unsetenv("RADDLE_POLICY"), 0);
}

static void keep_line(const char *line, void *arg)
{
    snprintf(arg, 256, "%s", line);
}

RuntimeTest(sim, a_seed_that_nobody_gave_is_drawn_and_reported)
{
    char line[256] = "", wanted[64];
    struct history h, again;

    raddle_on_report(keep_line, line);
    cr_assert_eq(run_named("sim", 2, lives, &h), 0);
    snprintf(wanted, sizeof(wanted), "RADDLE_POLICY=sim:seed=%" PRIu64 " ", h.seed);
    cr_assert(strstr(line, wanted), "%s", line);
    *line = '\0';
    cr_assert_eq(run_seed(h.seed, 2, lives, &again), 0);
    cr_assert_eq(again.trace, h.trace);
    cr_assert_str_eq(line, "");
    raddle_on_report(NULL, NULL);
}

static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

RuntimeTest(sim, a_run_that_fails_says_how_it_can_be_had_again)
{
    raddle_loop *loop = NULL;
    char line[256] = "";

    raddle_on_report(keep_line, line);
    cr_assert_eq(run_named("sim:seed=9,latency=3us,loss=7", 2, fails, NULL), -EIO);
    cr_assert(strstr(line, "RADDLE_POLICY=sim:seed=9,latency=3us,loss=7 "), "%s", line);
    *line = '\0';
    cr_assert_eq(setenv("RADDLE_POLICY", "sim:seed=8", 1), 0);
    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, fails, NULL), -EIO);
    cr_assert(strstr(line, "RADDLE_POLICY=sim:seed=8 "), "%s", line);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(unsetenv("RADDLE_POLICY"), 0);
    raddle_on_report(NULL, NULL);
}

RuntimeTest(sim, a_task_that_fails_in_a_runner_or_a_loops_thread_says_so_too)
{
    struct raddle_runner runner;
    raddle_loop_thread *thread = NULL;
    char line[256] = "";
    int result = 0;

    raddle_on_report(keep_line, line);
    cr_assert_eq(setenv("RADDLE_POLICY", "sim:seed=6", 1), 0);
    cr_assert_eq(raddle_runner_open(&runner, NULL), 0);
    cr_assert_eq(raddle_runner_run(&runner, test_nothing, NULL), 0);
    cr_assert_str_eq(line, "");
    cr_assert_eq(raddle_runner_run(&runner, fails, NULL), -EIO);
    cr_assert(strstr(line, "RADDLE_POLICY=sim:seed=6 "), "%s", line);
    cr_assert_eq(raddle_runner_close(&runner), 0);
    *line = '\0';
    cr_assert_eq(setenv("RADDLE_POLICY", "sim:seed=5", 1), 0);
    cr_assert_eq(raddle_loop_thread_start(&thread, fails, NULL, NULL), 0);
    cr_assert_eq(raddle_loop_thread_join(thread, &result), 0);
    cr_assert_eq(result, -EIO);
    cr_assert(strstr(line, "RADDLE_POLICY=sim:seed=5 "), "%s", line);
    cr_assert_eq(unsetenv("RADDLE_POLICY"), 0);
    raddle_on_report(NULL, NULL);
}

static int no_world(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_CALLOC ? -ENOMEM : 0;
}

RuntimeTest(sim, without_memory_for_a_world_the_real_one_is_not_taken_instead)
{
    raddle_loop *loop = NULL;
    struct history h = {.seed = 0};

    cr_assert_eq(setenv("RADDLE_POLICY", "sim:seed=3", 1), 0);
    rdl_sys_set_hook(no_world);
    cr_expect_eq(raddle_new_loop(&loop), -ENOMEM);
    cr_expect_eq(test_run_on(1, lives, &h), -ENOMEM);
    cr_expect_eq(test_run_on(3, lives, &h), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_assert_null(loop);
    cr_assert_eq(unsetenv("RADDLE_POLICY"), 0);
}

RuntimeTest(sim, names_that_say_nothing_are_refused)
{
    static const char *const bad[] = {
        "sim:",        "sim:seed",       "sim:seed=",
        "sim:seed=x",  "sim:seed=1,",    "sim:seed=-1",
        "simulated",   "sim:loss=101",   "sim:latency=3",
        "sim:speed=1", "sim:seed=1 ",    "sim:short=1%",
        "sim:,seed=1", "sim:latency=1h", "sim:seed=18446744073709551616",
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(run_named(bad[i], 1, test_nothing, NULL), -EINVAL, "%s", bad[i]);
    cr_assert_eq(run_named("sim:seed=18446744073709551615,short=0,loss=100,reset=5,latency=2s", 2,
                           test_nothing, NULL),
                 0);
}

static int mixed_new_loop(const struct raddle_policy *policy,
                          const struct raddle_loop_options *options, raddle_loop **out)
{
    struct raddle_loop_options mine = *options;
    unsigned *made = policy->data;

    mine.driver = ++*made == 2 ? "sim:seed=1" : "epoll";
    return raddle_default_policy()->new_loop(raddle_default_policy(), &mine, out);
}

RuntimeTest(sim, a_team_is_simulated_as_a_whole_or_not_at_all)
{
    unsigned made = 0;
    struct raddle_policy mixed = {.new_loop = mixed_new_loop, .data = &made};
    struct raddle_run_options o = {.loops = 3, .policy = &mixed};

    cr_assert_eq(raddle_run(test_nothing, NULL, &o), -EINVAL);
    made = 1;
    cr_assert_eq(raddle_run(test_nothing, NULL, &o), -EINVAL);
    cr_assert_eq(made, 3);
}

static int asks_for_a_world(void *arg)
{
    uint64_t number = 5;

    EXPECT_EQ(raddle_sim_seed(&number), -ENOTSUP);
    EXPECT_EQ(raddle_sim_trace(&number), -ENOTSUP);
    EXPECT_EQ(raddle_sim_seed(NULL), -EINVAL);
    EXPECT_EQ(raddle_sim_trace(NULL), -EINVAL);
    EXPECT_EQ(number, 5);
    return *(int *)arg;
}

RuntimeTest(sim, elsewhere_there_is_no_world_to_ask_about)
{
    uint64_t number = 5;
    int rc = 3;

    cr_assert_eq(raddle_sim_seed(&number), -EPERM);
    cr_assert_eq(raddle_sim_trace(&number), -EPERM);
    cr_assert_eq(run_named("epoll", 1, asks_for_a_world, &rc), 3);
    cr_assert_eq(number, 5);
}

/* What becomes of a process that does fn() with its standard error in a pipe: its status, and what it said. */
static int in_child(void (*fn)(void), char *said, size_t size)
{
    int fds[2], status = 0;
    size_t used = 0;
    ssize_t n;
    pid_t child;

    cr_assert_eq(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    close(fds[1]);
    while (used + 1 < size && (n = read(fds[0], said + used, size - used - 1)) > 0)
        used += (size_t)n;
    said[used] = '\0';
    close(fds[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

static int waits_for_nothing(void *arg)
{
    int item;

    return raddle_get(arg, &item);
}

static int waits_with_a_child(void *arg)
{
    struct raddle_group g;
    struct raddle_spawn_options options = {.name = "hopeless"};
    raddle_chan *chan;
    int rc = raddle_chan_create(sizeof(int), 1, NULL, &chan);

    (void)arg;
    if (rc == 0)
        rc = raddle_group_open(&g, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, waits_for_nothing, chan, &options);
    return raddle_group_close(&g, rc);
}

static void comes_to_a_standstill(void)
{
    (void)!run_seed(31, 2, waits_with_a_child, NULL);
}

RuntimeTest(sim, a_world_in_which_nothing_can_happen_any_more_says_who_waits_for_what)
{
    char said[4096];
    int status;

    if (RDL_TSAN)
        return;
    status = in_child(comes_to_a_standstill, said, sizeof(said));
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x, %s", status, said);
    cr_assert(strstr(said, "RADDLE_POLICY=sim:seed=31"), "%s", said);
    cr_assert(strstr(said, "hopeless"), "%s", said);
    cr_assert(strstr(said, "waits for a value from a channel"), "%s", said);
}

static int aborts(void *arg)
{
    (void)arg;
    abort();
}

static void has_a_failed_assertion(void)
{
    (void)!run_seed(32, 1, aborts, NULL);
}

static void has_one_in_a_runner(void)
{
    struct raddle_runner runner;

    (void)setenv("RADDLE_POLICY", "sim:seed=32", 1);
    (void)!raddle_runner_open(&runner, NULL);
    (void)!raddle_runner_run(&runner, aborts, NULL);
}

static void has_one_in_a_loops_thread(void)
{
    raddle_loop_thread *thread;

    (void)setenv("RADDLE_POLICY", "sim:seed=32", 1);
    (void)!raddle_loop_thread_start(&thread, aborts, NULL, NULL);
    (void)!raddle_loop_thread_join(thread, NULL);
}

static void has_one_in_a_loop(void)
{
    raddle_loop *loop;

    (void)setenv("RADDLE_POLICY", "sim:seed=32", 1);
    (void)!raddle_new_loop(&loop);
    (void)!raddle_loop_run_until_complete(loop, aborts, NULL);
}

RuntimeTest(sim, a_process_that_aborts_in_a_run_says_how_it_can_be_had_again)
{
    void (*const ways[])(void) = {has_a_failed_assertion, has_one_in_a_runner,
                                  has_one_in_a_loops_thread, has_one_in_a_loop};

    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        char said[4096];
        int status = in_child(ways[i], said, sizeof(said));

        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%u: status %x", i, status);
        cr_assert(strstr(said, "RADDLE_POLICY=sim:seed=32"), "%u: %s", i, said);
    }
}
