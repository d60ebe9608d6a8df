/*
 * tests/conformance/test_sim_world.c - what programs find in a simulated world: time that jumps, an order in which
 * nothing is lost in any of many seeds, executors, descriptors and other threads.
 */
#define _GNU_SOURCE
#include "tests/conformance/sim_run.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(sim_world, .timeout = 120);

#define DAY RADDLE_S(24 * 60 * 60)

enum { THROUGH = 1000 };

/* Time. */

static int sleeps_a_day(void *arg)
{
    raddle_time begin = raddle_now(), *passed = arg;
    int rc = raddle_sleep(DAY);

    *passed = raddle_now() - begin;
    return rc;
}

/* AB3 */
RuntimeTest(sim_world, a_day_that_nobody_uses_passes_at_once_and_not_a_nanosecond_early)
{
    raddle_time passed = 0;
    int64_t begin = rdl_sys_real_now();

    cr_assert_eq(run_seed(1, 1, sleeps_a_day, &passed), 0);
    cr_assert_eq(run_seed(1, 3, sleeps_a_day, &passed), 0);
    cr_assert(passed >= DAY && passed < DAY + RADDLE_S(1));
    cr_assert(rdl_sys_real_now() - begin < DAY);
}

static int computes(void *arg)
{
    raddle_time end = raddle_in(RADDLE_MS(20));
    bool *ticked = arg;

    while (raddle_now() < end && !*ticked)
        (void)raddle_yield();
    return 0;
}

static int ticks(void *arg)
{
    int rc = raddle_sleep(RADDLE_MS(1));

    *(bool *)arg = true;
    return rc;
}

static int computes_and_ticks(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    if (rc == 0)
        rc = raddle_spawn(&g, NULL, computes, arg, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, ticks, arg, NULL);
    return raddle_group_close(&g, rc);
}

RuntimeTest(sim_world, time_passes_while_a_task_computes_and_timers_come_in_between)
{
    bool ticked = false;

    cr_assert_eq(run_seed(1, 1, computes_and_ticks, &ticked), 0);
    cr_assert(ticked);
}

/* Small programs, through many seeds. */

struct market {
    raddle_chan *chan;
    unsigned got[3];     /* by producer, the last item that came */
    unsigned sum, count; /* of all */
};

struct producer {
    struct market *market;
    unsigned number;
};

enum { ITEMS = 8 };

static int produces(void *arg)
{
    struct producer *p = arg;
    int rc = 0;

    for (unsigned i = 1; i <= ITEMS && rc == 0; i++) {
        int item = (int)(p->number * 100 + i);

        if (i % 3 == 0)
            rc = raddle_sleep(RADDLE_US(10) * p->number);
        if (rc == 0)
            rc = raddle_put(p->market->chan, &item);
    }
    return rc;
}

static int consumes(void *arg)
{
    struct market *m = arg;
    unsigned last[3] = {0};
    int item, rc;

    while ((rc = raddle_get(m->chan, &item)) == 0) {
        unsigned from = (unsigned)item / 100, which = (unsigned)item % 100;

        EXPECT(from < 3 && which > last[from]); /* one producer's items come in their order */
        last[from] = which;
        m->sum += which;
        m->count++;
    }
    return rc == RADDLE_ESHUTDOWN ? 0 : rc;
}

static int trades(void *arg)
{
    struct market m = {.chan = NULL};
    struct producer producers[3];
    struct raddle_group makers, takers;
    int rc = raddle_chan_create(sizeof(int), 2, NULL, &m.chan);

    (void)arg;
    if (rc < 0)
        return rc;
    rc = raddle_group_open(&takers, NULL);
    for (unsigned i = 0; i < 2 && rc == 0; i++)
        rc = raddle_spawn(&takers, NULL, consumes, &m, NULL);
    if (rc == 0)
        rc = raddle_group_open(&makers, NULL);
    for (unsigned i = 0; i < 3 && rc == 0; i++) {
        producers[i] = (struct producer){&m, i};
        rc = raddle_spawn(&makers, NULL, produces, &producers[i], NULL);
    }
    rc = raddle_group_close(&makers, rc);
    EXPECT(raddle_chan_shutdown(m.chan, RADDLE_CHAN_DRAIN) >= 0);
    rc = raddle_group_close(&takers, rc);
    EXPECT_EQ(m.count, 3 * ITEMS);
    EXPECT_EQ(m.sum, 3 * ITEMS * (ITEMS + 1) / 2);
    raddle_chan_unref(m.chan);
    return rc;
}

RuntimeTest(sim_world, through_many_seeds_producers_and_consumers_lose_nothing)
{
    cr_assert_eq(through_seeds(THROUGH, "", trades, NULL), 0);
}

struct race {
    raddle_chan *chan;
    unsigned given, taken;
    unsigned *in_time, *too_late; /* over all seeds */
};

static int gives_at_the_last_moment(void *arg)
{
    struct race *r = arg;
    int item = 1, rc = raddle_sleep(RADDLE_MS(1));

    if (rc == 0)
        rc = raddle_try_put(r->chan, &item);
    r->given += rc == 0;
    return rc;
}

/* A get with a deadline at the moment when somebody puts: one of the two comes first, and the item is in the
 * hands of one, or in the channel. */
static int races_a_timeout(void *arg)
{
    struct race *totals = arg, r = {.chan = NULL};
    struct raddle_scope scope;
    struct raddle_group g;
    int item = 0, rc = raddle_chan_create(sizeof(int), 1, NULL, &r.chan);

    if (rc == 0)
        rc = raddle_group_open(&g, NULL);
    if (rc < 0)
        return rc;
    rc = raddle_spawn(&g, NULL, gives_at_the_last_moment, &r, NULL);
    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(1) + RADDLE_US(3)), 0);
    if (rc == 0)
        rc = raddle_get(r.chan, &item);
    r.taken += rc == 0;
    EXPECT(rc == 0 || rc == -ECANCELED);
    rc = raddle_scope_leave(&scope, rc);
    EXPECT(rc == (r.taken ? 0 : -ETIMEDOUT));
    rc = raddle_group_close(&g, 0);
    EXPECT_EQ(r.given, r.taken + (unsigned)raddle_chan_count(r.chan));
    if (r.taken)
        ++*totals->in_time;
    else
        ++*totals->too_late;
    raddle_chan_unref(r.chan);
    return rc;
}

/* AB7 */
RuntimeTest(sim_world, through_many_seeds_an_item_that_meets_a_deadline_is_taken_or_left)
{
    unsigned in_time = 0, too_late = 0;
    struct race totals = {.in_time = &in_time, .too_late = &too_late};

    cr_assert_eq(through_seeds(THROUGH, "", races_a_timeout, &totals), 0);
    cr_assert(in_time > 0 && too_late > 0, "%u %u", in_time, too_late);
}

struct turns {
    struct raddle_sem sem;
    unsigned inside, most, served, cancelled;
};

static int takes_a_turn(void *arg)
{
    struct turns *t = arg;
    int rc = raddle_sem_acquire(&t->sem, 1);

    if (rc < 0) {
        t->cancelled++;
        return rc;
    }
    if (++t->inside > t->most)
        t->most = t->inside;
    rc = raddle_sleep(RADDLE_US(20));
    t->inside--;
    t->served++;
    EXPECT_EQ(raddle_sem_release(&t->sem, 1), 0);
    return rc;
}

/* Tasks in line for a semaphore are cancelled while it is handed on: no permit is lost or made. */
static int races_cancels(void *arg)
{
    raddle_task *tasks[5] = {NULL};
    struct turns t = {.inside = 0};
    struct raddle_group g;
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    int rc = raddle_sem_init(&t.sem, 2, 2);

    if (rc == 0)
        rc = raddle_group_open(&g, &collect);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < 5 && rc == 0; i++)
        rc = raddle_spawn(&g, &tasks[i], takes_a_turn, &t, NULL);
    if (rc == 0)
        rc = raddle_sleep(RADDLE_US(20));
    for (unsigned i = 1; i < 5; i += 2)
        (void)raddle_task_cancel(tasks[i], "the race");
    (void)!raddle_group_close(&g, 0);
    for (unsigned i = 0; i < 5; i++)
        raddle_task_unref(tasks[i]);
    EXPECT(t.most <= 2);
    EXPECT(t.served + t.cancelled <= 5 && t.served >= 3);
    EXPECT_EQ(raddle_sem_value(&t.sem), 2);
    *(unsigned *)arg |= 1u << t.cancelled;
    return rc;
}

RuntimeTest(sim_world, through_many_seeds_no_permit_is_lost_to_a_cancellation)
{
    unsigned seen = 0;

    cr_assert_eq(through_seeds(THROUGH, "", races_cancels, &seen), 0);
    cr_assert(seen & (seen - 1), "the cancellations always met the same number of tasks: %x", seen);
}

/* Executors. */

struct work {
    unsigned order[4], count;
    pid_t thread;
    raddle_time began[4], ended[4];
};

struct piece {
    struct work *work;
    unsigned number;
};

static int job(void *arg)
{
    struct piece *p = arg;

    p->work->began[p->number] = raddle_now();
    EXPECT_EQ(gettid(), p->work->thread);
    EXPECT_EQ(raddle_sleep(1), -EPERM); /* no task */
    EXPECT_EQ(run_seed(1, 1, test_nothing, NULL), -EBUSY);
    return (int)p->number + 10;
}

static int has_it_done(void *arg)
{
    struct piece *p = arg;
    int result = 0, rc = raddle_run_in_executor(NULL, job, p, &result);

    EXPECT_EQ(result, (int)p->number + 10);
    p->work->ended[p->number] = raddle_now();
    p->work->order[p->work->count++] = p->number;
    return rc;
}

static int has_much_done(void *arg)
{
    struct work *w = arg;
    struct piece pieces[4];
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    w->thread = gettid();
    for (unsigned i = 0; i < 4 && rc == 0; i++) {
        pieces[i] = (struct piece){w, i};
        rc = raddle_spawn(&g, NULL, has_it_done, &pieces[i], NULL);
    }
    return raddle_group_close(&g, rc);
}

RuntimeTest(sim_world, jobs_are_done_on_its_thread_take_time_and_end_in_an_order_of_the_seed)
{
    struct work first = {.count = 0};
    unsigned different = 0;

    for (uint64_t seed = 0; seed < 20; seed++) {
        struct work w = {.count = 0}, again = {.count = 0};

        cr_assert_eq(run_seed(seed, 1 + (unsigned)seed % 3, has_much_done, &w), 0);
        cr_assert_eq(run_seed(seed, 1 + (unsigned)seed % 3, has_much_done, &again), 0);
        cr_assert_eq(memcmp(&w, &again, sizeof(w)), 0);
        cr_assert_eq(w.count, 4);
        for (unsigned i = 0; i < 4; i++)
            cr_assert_gt(w.ended[i], w.began[i]);
        if (seed == 0)
            first = w;
        different += memcmp(first.order, w.order, sizeof(w.order)) != 0;
    }
    cr_assert_gt(different, 5);
}

struct one_job {
    raddle_executor *executor;
    int rc;
};

static int nothing_done(void *arg)
{
    (void)arg;
    return 4;
}

static int has_one_done(void *arg)
{
    struct one_job *j = arg;
    int result = 0;

    j->rc = raddle_run_in_executor(j->executor, nothing_done, NULL, &result);
    EXPECT_EQ(result, j->rc == 0 ? 4 : 0);
    return 0;
}

RuntimeTest(sim_world, real_and_simulated_loops_do_not_share_an_executor)
{
    struct one_job j = {.rc = 1};
    static const char *const drivers[] = {"epoll", "sim:seed=3"};

    for (unsigned first = 0; first < 2; first++) {
        cr_assert_eq(raddle_executor_create(NULL, &j.executor), 0);
        cr_assert_eq(run_named(drivers[first], 1, has_one_done, &j), 0);
        cr_assert_eq(j.rc, 0);
        cr_assert_eq(run_named(drivers[!first], 1, has_one_done, &j), 0);
        cr_assert_eq(j.rc, -ENOTSUP);
        cr_assert_eq(run_named(drivers[first], 1, has_one_done, &j), 0);
        cr_assert_eq(j.rc, 0);
        raddle_executor_destroy(j.executor);
    }
}

/* Descriptors. */

static int uses_descriptors(void *arg)
{
    const int *fds = arg;
    char byte = 'x';

    EXPECT_EQ(raddle_fd_read(fds[0], &byte, 1), -ENOTSUP);
    EXPECT_EQ(raddle_fd_write(fds[1], &byte, 1), -ENOTSUP);
    EXPECT_EQ(raddle_fd_poll(fds[1], POLLOUT), -ENOTSUP);
    EXPECT_EQ(raddle_fd_read(-1, &byte, 1), -EBADF);
    EXPECT_EQ(raddle_fd_write(STDOUT_FILENO, "", 0), 0);
    EXPECT_EQ(raddle_fd_read(STDIN_FILENO, &byte, 1), 1);
    EXPECT_EQ(byte, 'i');
    EXPECT_EQ(raddle_fd_read(STDIN_FILENO, &byte, 1), 0);
    return 0;
}

RuntimeTest(sim_world, descriptors_of_the_machine_are_not_supported_but_standard_input_and_output)
{
    int fds[2], in[2], saved = dup(STDIN_FILENO);

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(pipe(in), 0);
    cr_assert_eq(write(in[1], "i", 1), 1);
    close(in[1]);
    cr_assert_eq(dup2(in[0], STDIN_FILENO), STDIN_FILENO);
    close(in[0]);
    cr_assert_eq(run_seed(1, 1, uses_descriptors, fds), 0);
    cr_assert_eq(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    close(saved);
    close(fds[0]);
    close(fds[1]);
}

/* Other threads. */

struct caller {
    raddle_future *future;
    int64_t after_ns;
};

static void *calls_from_outside(void *arg)
{
    struct caller *c = arg;
    struct timespec t = {.tv_nsec = (long)c->after_ns};

    nanosleep(&t, NULL);
    EXPECT_EQ(raddle_future_set(c->future, 0, NULL), 0);
    return NULL;
}

static int awaits_a_thread(void *arg)
{
    struct caller *c = arg;
    struct raddle_scope scope;
    pthread_t thread;
    int rc;

    if (pthread_create(&thread, NULL, calls_from_outside, c))
        return -EAGAIN;
    raddle_scope_enter(&scope, raddle_in(RADDLE_S(60)), 0);
    rc = raddle_future_wait(c->future, NULL);
    rc = raddle_scope_leave(&scope, rc);
    pthread_join(thread, NULL);
    return rc;
}

RuntimeTest(sim_world, time_that_is_held_does_not_jump_over_what_a_thread_will_do)
{
    struct caller c = {.after_ns = RADDLE_MS(30)};

    cr_assert_eq(raddle_future_create(&c.future), 0);
    raddle_sim_hold();
    cr_assert_eq(run_seed(1, 2, awaits_a_thread, &c), 0);
    raddle_sim_release();
    raddle_future_unref(c.future);

    cr_assert_eq(raddle_future_create(&c.future), 0);
    cr_assert_eq(run_seed(1, 2, awaits_a_thread, &c), -ETIMEDOUT);
    raddle_future_unref(c.future);
}

static int awaits_for_ever(void *arg)
{
    struct caller *c = arg;
    pthread_t thread;
    int rc;

    if (pthread_create(&thread, NULL, calls_from_outside, c))
        return -EAGAIN;
    rc = raddle_future_wait(c->future, NULL);
    pthread_join(thread, NULL);
    return rc;
}

RuntimeTest(sim_world, while_there_is_another_thread_a_wait_without_end_is_not_given_up)
{
    struct caller c = {.after_ns = RADDLE_MS(30)};

    cr_assert_eq(raddle_future_create(&c.future), 0);
    cr_assert_eq(run_seed(1, 2, awaits_for_ever, &c), 0);
    raddle_future_unref(c.future);
}
