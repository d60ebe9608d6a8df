/*
 * tests/runtime/test_executor.c - blocking work in threads: results, room, cancellation, and the
 * threads themselves.
 */
#define _GNU_SOURCE
#include "tests/support/counted.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(executor, .timeout = 30);

enum { SHORT = 5 * 1000000 };

/* A job that can be held up, and what its task got. */
struct work {
    raddle_executor *executor;
    sem_t *hold; /* NULL: it isn't */
    rdl_atomic(unsigned) began, ran;
    int result, rc;
};

static int job(void *arg)
{
    struct work *w = arg;

    rdl_atomic_fetch_add_acq_rel(&w->began, 1u);
    if (w->hold)
        sem_wait(w->hold);
    rdl_atomic_fetch_add_relaxed(&w->ran, 1u);
    return 11;
}

static int offloads(void *arg)
{
    struct work *w = arg;

    w->result = -1;
    w->rc = raddle_run_in_executor(w->executor, job, w, &w->result);
    return w->rc;
}

/* A job is counted a moment after its task has been told. */
static void await_completed(raddle_executor *executor, uint64_t wanted)
{
    raddle_time end = raddle_in(RADDLE_S(5));
    struct raddle_executor_stats stats;

    do
        EXPECT_EQ(raddle_executor_get_stats(executor, &stats), 0);
    while (stats.completed < wanted && raddle_now() < end);
    EXPECT_EQ(stats.completed, wanted);
}

RuntimeTest(executor, bad_options_make_none)
{
    raddle_executor *executor = NULL;
    struct raddle_executor_options bad[] = {
        {.max_threads = 100000},
        {.nice = 20},
        {.nice = -21},
        {.idle_ns = -1},
        {.when_full = (enum raddle_when_full)2},
        {.reserved = {1}},
        {.reserved = {0, 1}},
        {.reserved = {0, 0, 1}},
        {.reserved = {0, 0, 0, 1}},
    };

    cr_assert_eq(raddle_executor_create(NULL, NULL), -EINVAL);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(raddle_executor_create(&bad[i], &executor), -EINVAL, "options %u", i);
    cr_assert_null(executor);
    raddle_executor_destroy(NULL);
}

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_MALLOC || call == RDL_SYS_CALLOC ? -ENOMEM : 0;
}

RuntimeTest(executor, without_memory_there_is_none)
{
    raddle_executor *executor = NULL;

    rdl_sys_set_hook(no_memory);
    cr_assert_eq(raddle_executor_create(NULL, &executor), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_assert_null(executor);
}

RuntimeTest(executor, outside_a_task_nothing_is_run)
{
    raddle_executor *executor;
    struct raddle_executor_stats stats;
    struct work w = {.began = 0};
    int result = 55;

    cr_assert_eq(raddle_executor_create(NULL, &executor), 0);
    cr_assert_eq(raddle_run_in_executor(executor, job, &w, &result), -EPERM);
    cr_assert_eq(raddle_run_in_executor(NULL, job, &w, &result), -EPERM);
    cr_assert_eq(result, 55);
    cr_assert_eq(w.began, 0);
    cr_assert_eq(raddle_executor_get_stats(NULL, &stats), -EPERM);
    cr_assert_eq(raddle_executor_get_stats(executor, NULL), -EINVAL);
    cr_assert_eq(raddle_executor_get_stats(executor, &stats), 0);
    cr_assert_eq(stats.threads, 0);
    cr_assert_eq(stats.completed, 0);
    raddle_executor_destroy(executor);
}

static int job_in_job(void *arg)
{
    (void)arg;
    EXPECT(!raddle_self());
    EXPECT(!raddle_running_loop());
    EXPECT_EQ(raddle_sleep(1), -EPERM);
    EXPECT_EQ(raddle_yield(), -EPERM);
    return raddle_run_in_executor(NULL, test_nothing, NULL, NULL);
}

static int results(void *arg)
{
    static int values[] = {0, 5, -EIO, -ECANCELED, INT32_MIN};
    struct raddle_executor_stats stats;
    int result = -1;

    (void)arg;
    EXPECT_EQ(raddle_executor_get_stats(NULL, &stats), 0);
    EXPECT_EQ(stats.threads, 0);
    EXPECT_EQ(raddle_run_in_executor(NULL, NULL, NULL, &result), -EINVAL);
    EXPECT_EQ(result, -1);
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_EQ(raddle_run_in_executor(NULL, test_return, &values[i], &result), 0);
        EXPECT_EQ(result, values[i]);
    }
    EXPECT_EQ(raddle_run_in_executor(NULL, test_return, &values[1], NULL), 0);
    EXPECT_EQ(raddle_run_in_executor(NULL, job_in_job, NULL, &result), 0);
    EXPECT_EQ(result, -EPERM);
    await_completed(NULL, 7);
    EXPECT_EQ(raddle_executor_get_stats(NULL, &stats), 0);
    EXPECT_IN(stats.threads, 1, 8);
    EXPECT_EQ(stats.queued, 0);
    EXPECT_EQ(stats.rejected, 0);
    return 0;
}

RuntimeTest(executor, the_result_of_a_job_is_whatever_it_returned)
{
    cr_assert_eq(test_run(results, NULL), 0);
}

/* All at once: the loop goes on while they block. */
static int side_by_side(void *arg)
{
    enum { JOBS = 4 };
    struct work w[JOBS];
    struct raddle_executor_options o = {.max_threads = JOBS};
    raddle_executor *executor;
    struct raddle_group g;
    sem_t hold;

    (void)arg;
    sem_init(&hold, 0, 0);
    EXPECT_EQ(raddle_executor_create(&o, &executor), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < JOBS; i++) {
        w[i] = (struct work){.executor = executor, .hold = &hold};
        EXPECT_EQ(raddle_spawn(&g, NULL, offloads, &w[i], NULL), 0);
    }
    for (int i = 0; i < JOBS; i++)
        test_await(&w[i].began, 1);
    for (int i = 0; i < JOBS; i++)
        sem_post(&hold);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < JOBS; i++)
        EXPECT(w[i].rc == 0 && w[i].result == 11 && w[i].ran == 1);
    /* It blocks the thread, and may: nothing runs in it any more. */
    raddle_executor_destroy(executor);
    return 0;
}

RuntimeTest(executor, jobs_run_side_by_side_while_the_loop_goes_on)
{
    cr_assert_eq(test_run(side_by_side, NULL), 0);
}

static int cancels_jobs(void *arg)
{
    struct work running = {.hold = arg}, queued = {.result = 0};
    struct raddle_executor_options o = {.max_threads = 1};
    struct raddle_executor_stats stats;
    struct raddle_outcome outcome;
    raddle_executor *executor;
    raddle_task *tasks[2];
    struct raddle_group g;

    EXPECT_EQ(raddle_executor_create(&o, &executor), 0);
    running.executor = queued.executor = executor;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &tasks[0], offloads, &running, NULL), 0);
    test_await(&running.began, 1);
    EXPECT_EQ(raddle_spawn(&g, &tasks[1], offloads, &queued, NULL), 0);
    test_let_park_for(tasks[1], "a job in an executor");

    /* One that is queued is taken back; one that runs is waited for. */
    EXPECT_EQ(raddle_task_cancel(tasks[1], NULL), 0);
    EXPECT_EQ(raddle_join(tasks[1], &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(queued.result, -1);
    EXPECT_EQ(raddle_task_cancel(tasks[0], NULL), 0);
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    EXPECT_EQ(raddle_outcome_of(tasks[0], &outcome), -EINPROGRESS);
    sem_post(arg);
    EXPECT_EQ(raddle_join(tasks[0], &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_OK);
    EXPECT_EQ(running.result, 11);
    EXPECT_EQ(queued.began, 0);
    await_completed(executor, 1);
    EXPECT_EQ(raddle_executor_get_stats(executor, &stats), 0);
    EXPECT_EQ(stats.cancelled, 1);
    for (int i = 0; i < 2; i++)
        raddle_task_unref(tasks[i]);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    raddle_executor_destroy(executor);
    return 0;
}

RuntimeTest(executor, a_queued_job_is_taken_back_and_a_running_one_waited_for)
{
    sem_t hold;

    sem_init(&hold, 0, 0);
    cr_assert_eq(test_run(cancels_jobs, &hold), 0);
}

/* One runs, one is queued, the rest finds the queue full. */
struct full {
    struct work work[8];
    raddle_task *tasks[8];
    raddle_executor *executor;
    struct raddle_group g;
    sem_t hold;
};

static void fill(struct full *f, enum raddle_when_full when_full, unsigned count)
{
    struct raddle_executor_options o = {.max_threads = 1, .queue_limit = 1, .when_full = when_full};

    memset(f, 0, sizeof(*f));
    sem_init(&f->hold, 0, 0);
    EXPECT_EQ(raddle_executor_create(&o, &f->executor), 0);
    EXPECT_EQ(raddle_group_open(&f->g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    for (unsigned i = 0; i < count; i++) {
        f->work[i] = (struct work){.executor = f->executor, .hold = &f->hold};
        EXPECT_EQ(raddle_spawn(&f->g, &f->tasks[i], offloads, &f->work[i], NULL), 0);
        if (i == 0)
            test_await(&f->work[0].began, 1);
        else
            test_let_park(f->tasks[i]);
    }
}

static void post_all(struct full *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        sem_post(&f->hold);
}

static int empty(struct full *f, unsigned count)
{
    int rc = raddle_group_close(&f->g, 0);

    for (unsigned i = 0; i < count; i++)
        raddle_task_unref(f->tasks[i]);
    raddle_executor_destroy(f->executor);
    return rc;
}

static int rejects(void *arg)
{
    struct raddle_executor_stats stats;
    struct full f;

    (void)arg;
    fill(&f, RADDLE_FULL_REJECT, 4);
    for (int i = 2; i < 4; i++) {
        EXPECT_EQ(raddle_join(f.tasks[i], NULL), 0);
        EXPECT_EQ(f.work[i].rc, -EAGAIN);
        EXPECT_EQ(f.work[i].result, -1);
        EXPECT_EQ(f.work[i].began, 0);
    }
    EXPECT_EQ(raddle_executor_get_stats(f.executor, &stats), 0);
    EXPECT_EQ(stats.rejected, 2);
    EXPECT_EQ(stats.queued, 1);
    EXPECT_EQ(stats.running, 1);
    post_all(&f, 2);
    EXPECT_EQ(empty(&f, 4), -EAGAIN);
    EXPECT(f.work[0].ran == 1 && f.work[1].ran == 1);
    return 0;
}

RuntimeTest(executor, a_full_queue_rejects_if_so_asked)
{
    cr_assert_eq(test_run(rejects, NULL), 0);
}

static int lines_up(void *arg)
{
    struct full f;

    (void)arg;
    fill(&f, RADDLE_FULL_WAIT, 8);
    for (int i = 2; i < 8; i++)
        EXPECT_STR(test_waits_for(f.tasks[i]), "room in an executor's queue");
    /* First come, first served: the jobs run one after the other. */
    for (unsigned i = 0; i < 8; i++) {
        test_await(&f.work[i].began, 1);
        for (unsigned k = i + 1; k < 8; k++)
            EXPECT_EQ(f.work[k].began, 0);
        sem_post(&f.hold);
    }
    EXPECT_EQ(empty(&f, 8), 0);
    for (int i = 0; i < 8; i++)
        EXPECT(f.work[i].rc == 0 && f.work[i].ran == 1);
    return 0;
}

RuntimeTest(executor, tasks_line_up_for_a_full_queue_first_come_first_served)
{
    cr_assert_eq(test_run(lines_up, NULL), 0);
}

static int leaves_line(void *arg)
{
    struct raddle_outcome outcome;
    struct full f;

    (void)arg;
    fill(&f, RADDLE_FULL_WAIT, 6);
    /* From the middle, the front and the end of the line. */
    for (unsigned i = 3; i < 6; i++) {
        unsigned which = i == 3 ? 3 : i == 4 ? 2 : 5;
        EXPECT_EQ(raddle_task_cancel(f.tasks[which], NULL), 0);
        EXPECT_EQ(raddle_join(f.tasks[which], &outcome), 0);
        EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
        EXPECT_EQ(f.work[which].result, -1);
    }
    post_all(&f, 3);
    EXPECT_EQ(empty(&f, 6), 0);
    EXPECT(f.work[0].ran && f.work[1].ran && f.work[4].ran);
    EXPECT(!f.work[2].began && !f.work[3].began && !f.work[5].began);
    return 0;
}

RuntimeTest(executor, a_task_in_line_leaves_when_it_is_cancelled)
{
    cr_assert_eq(test_run(leaves_line, NULL), 0);
}

/* Room is made by a job that ends, or by one that is taken back; who was told of it may be cancelled
 * before it can take it, and then the next in line has to be told. */
static int passes_on(void *arg)
{
    bool taken_back = *(bool *)arg;
    struct raddle_executor_stats stats;
    struct raddle_scope limit;
    struct full f;
    raddle_time end = raddle_in(RADDLE_S(5));

    fill(&f, RADDLE_FULL_WAIT, 5);
    if (taken_back)
        EXPECT_EQ(raddle_task_cancel(f.tasks[1], NULL), 0);
    post_all(&f, 5);
    /* Without giving way, so that the tasks of this loop can't run before they are cancelled. */
    do
        EXPECT_EQ(raddle_executor_get_stats(f.executor, &stats), 0);
    while (stats.completed < (taken_back ? 1 : 2) && raddle_now() < end);
    test_burn(SHORT);
    for (int i = 2; i < 4; i++)
        EXPECT_EQ(raddle_task_cancel(f.tasks[i], NULL), 0);
    raddle_scope_enter(&limit, raddle_in(RADDLE_S(5)), 0);
    EXPECT_EQ(raddle_join(f.tasks[4], NULL), 0);
    EXPECT_EQ(raddle_scope_leave(&limit, 0), 0);
    (void)raddle_task_cancel(f.tasks[4], NULL);
    EXPECT_EQ(empty(&f, 5), 0);
    EXPECT_EQ(f.work[4].rc, 0);
    EXPECT_EQ(f.work[4].ran, 1);
    return 0;
}

RuntimeTest(executor, who_is_told_of_room_and_cancelled_passes_it_on)
{
    bool taken_back = false;

    cr_assert_eq(test_run_on(1, passes_on, &taken_back), 0);
    taken_back = true;
    cr_assert_eq(test_run_on(1, passes_on, &taken_back), 0);
}

/* Threads. */

static int looks_at_thread(void *arg)
{
    char name[16];

    (void)arg;
    pthread_getname_np(pthread_self(), name, sizeof(name));
    EXPECT_EQ(strncmp(name, "night-", 6), 0);
    return getpriority(PRIO_PROCESS, (id_t)rdl_sys_thread_id());
}

static int nice_name(void *arg)
{
    struct raddle_executor_options o = {.nice = 7, .name = "night"};
    raddle_executor *executor;
    int result = 0, mine = getpriority(PRIO_PROCESS, (id_t)rdl_sys_thread_id());

    (void)arg;
    EXPECT_EQ(raddle_executor_create(&o, &executor), 0);
    EXPECT_EQ(raddle_run_in_executor(executor, looks_at_thread, NULL, &result), 0);
    EXPECT_EQ(result, mine + 7 > 19 ? 19 : mine + 7);
    raddle_executor_destroy(executor);
    return 0;
}

RuntimeTest(executor, its_threads_have_the_nice_value_and_the_name)
{
    cr_assert_eq(test_run(nice_name, NULL), 0);
}

static int idle_threads(void *arg)
{
    struct raddle_executor_options o = {.max_threads = 3, .idle_ns = RADDLE_MS(20)};
    struct raddle_executor_stats stats;
    raddle_time end = raddle_in(RADDLE_S(10));
    raddle_executor *executor;

    (void)arg;
    EXPECT_EQ(raddle_executor_create(&o, &executor), 0);
    EXPECT_EQ(raddle_run_in_executor(executor, test_nothing, NULL, NULL), 0);
    do {
        EXPECT_EQ(raddle_sleep(RADDLE_MS(5)), 0);
        EXPECT_EQ(raddle_executor_get_stats(executor, &stats), 0);
    } while (stats.threads && raddle_now() < end);
    EXPECT_EQ(stats.threads, 0);
    EXPECT_EQ(raddle_run_in_executor(executor, test_nothing, NULL, NULL), 0);
    await_completed(executor, 2);
    raddle_executor_destroy(executor);
    return 0;
}

RuntimeTest(executor, an_idle_thread_ends_and_a_new_one_is_made)
{
    cr_assert_eq(test_run(idle_threads, NULL), 0);
}

static int no_threads(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_THREAD_CREATE ? -EAGAIN : 0;
}

static int without_threads(void *arg)
{
    struct work w = {.result = 0};

    rdl_sys_set_hook(no_threads);
    EXPECT_EQ(offloads(&w), -EAGAIN);
    EXPECT_EQ(raddle_executor_create(arg, &w.executor), 0);
    EXPECT_EQ(offloads(&w), -EAGAIN);
    rdl_sys_set_hook(NULL);
    EXPECT_EQ(w.result, -1);
    EXPECT_EQ(offloads(&w), 0);
    EXPECT_EQ(w.result, 11);
    raddle_executor_destroy(w.executor);
    return 0;
}

RuntimeTest(executor, without_any_thread_it_is_eagain_and_works_again_later)
{
    struct raddle_executor_options o = {.when_full = RADDLE_FULL_REJECT};

    cr_assert_eq(test_run_on(1, without_threads, NULL), 0);
    cr_assert_eq(test_run_on(1, without_threads, &o), 0);
}

static int many_tasks(void *arg)
{
    enum { TASKS = 500 };
    static struct work w[TASKS];
    struct raddle_executor_options o = {.max_threads = 3, .queue_limit = 7};
    raddle_executor *executor;
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_executor_create(&o, &executor), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < TASKS; i++) {
        w[i] = (struct work){.executor = executor};
        EXPECT_EQ(raddle_spawn(&g, NULL, offloads, &w[i], NULL), 0);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < TASKS; i++)
        EXPECT(w[i].rc == 0 && w[i].result == 11 && w[i].ran == 1);
    raddle_executor_destroy(executor);
    return 0;
}

RuntimeTest(executor, many_tasks_share_a_few_threads_and_a_short_queue)
{
    cr_assert_eq(test_run(many_tasks, NULL), 0);
}

static int awaits_job(void *arg)
{
    return raddle_run_in_executor(arg, test_nothing, NULL, NULL);
}

/* The thread that ends the run's last wait is the executor's, which outlives the run. */
RuntimeTest(executor, one_of_the_programs_own_outlives_many_runs)
{
    raddle_executor *executor;

    cr_assert_eq(raddle_executor_create(NULL, &executor), 0);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(test_run(awaits_job, executor), 0);
    raddle_executor_destroy(executor);
}

/*
 * One task, whose jobs come back at once or after a while: the loop spins until they do, or sleeps.
 */
enum { AT_ONCE = 200, TRIES = 200, LATER = 300, POLLS_OF_LATER = LATER * 50 };

struct singly {
    unsigned jobs;
    raddle_job_fn *fn;
    struct raddle_loop_stats before, after;
};

static int takes_long(void *arg)
{
    (void)arg;
    usleep(300);
    return 0;
}

static int runs_singly(void *arg)
{
    struct singly *singly = arg;

    EXPECT_EQ(raddle_get_loop_stats(0, &singly->before), 0);
    for (unsigned i = 0; i < singly->jobs; i++)
        EXPECT_EQ(raddle_run_in_executor(NULL, singly->fn, NULL, NULL), 0);
    EXPECT_EQ(raddle_get_loop_stats(0, &singly->after), 0);
    return 0;
}

/* That others need the CPUs, so that the executor's thread doesn't run meanwhile, is not what this is about: one time
 * of many is enough. */
RuntimeTest(executor, a_loop_waits_awake_for_jobs_that_come_back_at_once)
{
    struct singly singly = {.jobs = AT_ONCE, .fn = test_nothing};
    unsigned tries = 0;

    if (test_left_out("a loop of a simulated world doesn't spin"))
        return;
    if (rdl_sys_cpus(0) == 1) {
        test_counted(1, "tests left out on one CPU");
        return;
    }
    do
        cr_assert_eq(test_run(runs_singly, &singly), 0);
    while (singly.after.parks - singly.before.parks > AT_ONCE / 10 && ++tries < TRIES);
    EXPECT_IN(tries, 0, TRIES);
}

RuntimeTest(executor, a_loop_sleeps_while_jobs_take_long)
{
    struct singly singly = {.jobs = LATER, .fn = takes_long};

    cr_assert_eq(test_run(runs_singly, &singly), 0);
    EXPECT_IN(singly.after.polls - singly.before.polls, 0, POLLS_OF_LATER);
}
