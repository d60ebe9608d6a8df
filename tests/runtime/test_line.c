/*
 * tests/runtime/test_line.c - the line in front of an executor whose queue is full: room that is made is taken,
 * whoever leaves, and by whatever way it was made.
 *
 * Results and order of those in line are in test_executor.c; here the states in between.
 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>

TestSuite(line, .timeout = 60);

static const char IN_LINE[] = "room in an executor's queue";
static const char QUEUED[] = "a job in an executor";

/* One thread and a queue of one: A runs until it is told to end, B is queued, the rest stands in line. */
enum { CALLERS_MAX = 8 };

struct caller {
    struct line *line;
    raddle_task *task;
    sem_t go_on; /* for its job to end */
    rdl_atomic(unsigned) began;
    int rc, result;
};

struct line {
    raddle_executor *executor;
    struct raddle_group group;
    struct caller callers[CALLERS_MAX];
    unsigned count;
};

static int job(void *arg)
{
    struct caller *caller = arg;

    rdl_atomic_fetch_add_acq_rel(&caller->began, 1u);
    while (sem_wait(&caller->go_on) < 0)
        ;
    return 5;
}

static int calls(void *arg)
{
    struct caller *caller = arg;

    caller->rc = raddle_run_in_executor(caller->line->executor, job, caller, &caller->result);
    return caller->rc;
}

/* Gives way until caller waits for that; after long it is a failure. */
static void let_wait_for(struct caller *caller, const char *what)
{
    raddle_time end = raddle_in(RADDLE_S(5) * test_slowness());
    const char *is;

    while (!(is = test_waits_for(caller->task)) || strcmp(is, what) != 0) {
        if (raddle_now() > end)
            break;
        EXPECT_EQ(raddle_sleep(RADDLE_US(50)), 0);
    }
    EXPECT_STR(is, what);
}

/* One more caller, which then waits for what is said; NULL: for anything, or has ended. */
static struct caller *add(struct line *line, const char *waits_for)
{
    struct caller *caller = &line->callers[line->count++];

    *caller = (struct caller){.line = line, .result = -1};
    sem_init(&caller->go_on, 0, 0);
    EXPECT_EQ(raddle_spawn(&line->group, &caller->task, calls, caller, NULL), 0);
    if (waits_for)
        let_wait_for(caller, waits_for);
    return caller;
}

static void open_line(struct line *line, const struct raddle_executor_options *options,
                      unsigned count)
{
    static const struct raddle_group_options collect = {.mode = RADDLE_COLLECT};

    memset(line, 0, sizeof(*line));
    EXPECT_EQ(raddle_executor_create(options, &line->executor), 0);
    EXPECT_EQ(raddle_group_open(&line->group, &collect), 0);
    for (unsigned i = 0; i < count; i++) {
        struct caller *caller = add(line, i < 2 ? QUEUED : IN_LINE);
        if (i == 0)
            test_await(&caller->began, 1);
    }
}

static void end_job(struct caller *caller)
{
    sem_post(&caller->go_on);
}

static void close_line(struct line *line)
{
    for (unsigned i = 0; i < line->count; i++)
        end_job(&line->callers[i]);
    (void)!raddle_group_close(&line->group, 0);
    for (unsigned i = 0; i < line->count; i++) {
        raddle_task_unref(line->callers[i].task);
        sem_destroy(&line->callers[i].go_on);
    }
    raddle_executor_destroy(line->executor);
}

static void cancel(struct caller *caller)
{
    EXPECT_EQ(raddle_task_cancel(caller->task, "no more"), 0);
}

static void expect_cancelled(struct caller *caller)
{
    EXPECT_EQ(raddle_join(caller->task, NULL), 0);
    EXPECT_EQ(caller->rc, -ECANCELED);
    EXPECT_EQ(caller->result, -1);
    EXPECT_EQ(caller->began, 0);
}

static void expect_done(struct caller *caller)
{
    end_job(caller);
    EXPECT_EQ(raddle_join(caller->task, NULL), 0);
    EXPECT_EQ(caller->rc, 0);
    EXPECT_EQ(caller->result, 5);
    EXPECT_EQ(caller->began, 1);
}

static const struct raddle_executor_options one_and_one = {.max_threads = 1, .queue_limit = 1};

/* A job that is taken back has no end that would make room: taking it back does. */
static int takes_back(void *arg)
{
    struct raddle_executor_stats stats;
    struct line line;
    struct caller *c = line.callers;

    (void)arg;
    open_line(&line, &one_and_one, 4);
    cancel(&c[1]);
    expect_cancelled(&c[1]);
    let_wait_for(&c[2], QUEUED);
    EXPECT_STR(test_waits_for(c[3].task), IN_LINE);
    EXPECT_EQ(raddle_executor_get_stats(line.executor, &stats), 0);
    EXPECT_EQ(stats.queued, 1);
    EXPECT_EQ(stats.running, 1);
    EXPECT_EQ(stats.cancelled, 1);
    cancel(&c[2]);
    expect_cancelled(&c[2]);
    let_wait_for(&c[3], QUEUED);
    expect_done(&c[0]);
    expect_done(&c[3]);
    close_line(&line);
    return 0;
}

RuntimeTest(line, a_job_that_is_taken_back_makes_room_at_once)
{
    cr_assert_eq(test_run(takes_back, NULL), 0);
}

/* Room is there when a thread takes a job, not only at that job's end. */
static int takes_over(void *arg)
{
    struct line line;
    struct caller *c = line.callers;

    (void)arg;
    open_line(&line, &one_and_one, 4);
    expect_done(&c[0]);
    test_await(&c[1].began, 1);
    let_wait_for(&c[2], QUEUED); /* while B runs */
    EXPECT_STR(test_waits_for(c[3].task), IN_LINE);
    expect_done(&c[1]);
    test_await(&c[2].began, 1);
    let_wait_for(&c[3], QUEUED);
    expect_done(&c[2]);
    expect_done(&c[3]);
    close_line(&line);
    return 0;
}

RuntimeTest(line, a_job_that_is_begun_makes_room_not_only_one_that_has_ended)
{
    cr_assert_eq(test_run(takes_over, NULL), 0);
}

/*
 * The first in line is called for room that was made, on a loop that is held up, and before it can come it is
 * cancelled, and so are some behind it. The first that is left has the room, while newcomers line up.
 */
enum { IN_LINE_COUNT = 4 };

static void hold_loop_until(const rdl_atomic(unsigned) * flag)
{
    raddle_time end = raddle_in(RADDLE_S(5) * test_slowness());

    while (!rdl_atomic_load_acquire(flag) && raddle_now() < end)
        ;
    EXPECT_EQ(rdl_atomic_load_relaxed(flag), 1);
}

static int cancels_called(void *arg)
{
    unsigned cancelled = *(unsigned *)arg;
    struct line line;
    struct caller *a = &line.callers[0], *b = &line.callers[1], *c = &line.callers[2], *newcomer;

    open_line(&line, &one_and_one, 2 + IN_LINE_COUNT);
    end_job(a);
    hold_loop_until(&b->began); /* C's first has been called, and waits for this loop */
    for (unsigned i = 0; i < cancelled; i++)
        cancel(&c[i]);
    for (unsigned i = 0; i < cancelled; i++)
        expect_cancelled(&c[i]);
    if (cancelled < IN_LINE_COUNT)
        let_wait_for(&c[cancelled], QUEUED);
    for (unsigned i = cancelled + 1; i < IN_LINE_COUNT; i++)
        EXPECT_STR(test_waits_for(c[i].task), IN_LINE);
    newcomer = add(&line, cancelled < IN_LINE_COUNT ? IN_LINE : QUEUED);
    expect_done(a);
    expect_done(b);
    for (unsigned i = cancelled; i < IN_LINE_COUNT; i++)
        expect_done(&c[i]);
    expect_done(newcomer);
    close_line(&line);
    return 0;
}

RuntimeTest(line, who_is_called_and_cancelled_leaves_the_room_to_the_next)
{
    for (unsigned cancelled = 0; cancelled <= IN_LINE_COUNT; cancelled++)
        cr_assert_eq(test_run_on(1, cancels_called, &cancelled), 0);
}

/* A full queue that rejects has no line, and no memory of whom it rejected. */
static int rejects(void *arg)
{
    static const struct raddle_executor_options options = {
        .max_threads = 1, .queue_limit = 1, .when_full = RADDLE_FULL_REJECT};
    struct raddle_executor_stats stats;
    struct line line;
    struct caller *c = line.callers;

    (void)arg;
    open_line(&line, &options, 2);
    for (int i = 0; i < 2; i++) {
        struct caller *rejected = add(&line, NULL);
        EXPECT_EQ(raddle_join(rejected->task, NULL), 0);
        EXPECT_EQ(rejected->rc, -EAGAIN);
        EXPECT_EQ(rejected->result, -1);
        EXPECT_EQ(rejected->began, 0);
    }
    cancel(&c[1]);
    expect_cancelled(&c[1]);
    (void)add(&line, QUEUED); /* in the place of the one that was taken back */
    EXPECT_EQ(raddle_executor_get_stats(line.executor, &stats), 0);
    EXPECT_EQ(stats.rejected, 2);
    EXPECT_EQ(stats.queued, 1);
    expect_done(&c[0]);
    expect_done(&c[4]);
    close_line(&line);
    return 0;
}

RuntimeTest(line, where_a_full_queue_rejects_room_is_had_by_who_comes_next)
{
    cr_assert_eq(test_run(rejects, NULL), 0);
}

/*
 * Threads that end as soon as they have nothing to do: the line is no reason to say that no thread can be made
 * (-EAGAIN), and is called by what is left.
 */
enum { CROWD = 200 };

static int short_job(void *arg)
{
    return *(int *)arg;
}

static int calls_shortly(void *arg)
{
    int seven = 7, result = -1;

    EXPECT_EQ(raddle_run_in_executor(arg, short_job, &seven, &result), 0);
    EXPECT_EQ(result, 7);
    return 0;
}

static int crowds(void *arg)
{
    static const struct raddle_executor_options retiring = {
        .max_threads = 2, .queue_limit = 1, .idle_ns = 1};
    struct raddle_executor_stats stats;
    raddle_executor *executor;
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_executor_create(&retiring, &executor), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < CROWD; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, calls_shortly, executor, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_executor_get_stats(executor, &stats), 0);
    EXPECT_EQ(stats.queued, 0);
    raddle_executor_destroy(executor);
    return 0;
}

RuntimeTest(line, is_served_by_threads_that_retire_at_once)
{
    cr_assert_eq(test_run(crowds, NULL), 0);
}
