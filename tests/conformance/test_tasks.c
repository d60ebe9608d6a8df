/*
 * tests/conformance/test_tasks.c - tasks, row by row: owned, named, joined, told apart; and strands.
 *
 * Above each case stand the rows and cases of asyncio's contract that it is for.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include <pthread.h>
#include <string.h>

TestSuite(tasks, .timeout = 60);

/* What ran, in order. */
struct order {
    rdl_atomic(unsigned) count;
    int list[64];
};

struct entry {
    struct order *order;
    int number;
};

static int enters(void *arg)
{
    struct entry *e = arg;

    e->order->list[rdl_atomic_fetch_add_acq_rel(&e->order->count, 1u)] = e->number;
    return 0;
}

static void calls(void *arg)
{
    (void)enters(arg);
}

static int one_queue(void *arg)
{
    struct order *order = arg;
    struct entry e[5];
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (int i = 0; i < 5; i++)
        e[i] = (struct entry){.order = order, .number = i < 3 ? i + 1 : 2 - i};
    for (int i = 0; i < 3; i++)
        SPAWN(&g, NULL, enters, &e[i]);
    for (int i = 3; i < 5; i++)
        EXPECT_EQ(raddle_call_soon(raddle_running_loop(), calls, &e[i]), 0);
    EXPECT_EQ(order->count, 0);
    test_await(&order->count, 5);
    return raddle_group_close(&g, 0);
}

/* G1 TC1 */
RuntimeTest(tasks, on_a_lone_loop_they_start_later_in_one_queue_with_callbacks)
{
    static const int wanted[] = {1, 2, 3, -1, -2};
    struct order order = {.count = 0};

    cr_assert_eq(test_run_on(1, one_queue, &order), 0);
    cr_assert_eq(memcmp(order.list, wanted, sizeof(wanted)), 0);
}

/* G1 G10 */
Conform(tasks, one_whose_handle_nobody_has_is_kept_by_its_group)
{
    struct child c = {.sleep_ns = SHORT, .rc = 0};
    struct raddle_group g;
    raddle_task *task;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, child, &c);
    SPAWN(&g, &task, child, &c);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(c.ended, 2);
    return 0;
}

static int stray(void *arg)
{
    (void)arg;
    return -ECANCELED;
}

/* G3 G9 TC22: ≠ results go by the struct that the task is given; there is no pointer to return. */
/* G3 G9 TC22 */
Conform(tasks, an_outcome_is_what_the_function_returned_and_a_stray_cancellation_a_failure)
{
    struct child c[2] = {{.sleep_ns = SHORT, .rc = 7}, {.sleep_ns = 0, .rc = -5}};
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    struct raddle_group g;
    raddle_task *tasks[3];

    OPEN(&g, .mode = RADDLE_COLLECT);
    SPAWN(&g, &tasks[0], child, &c[0]);
    EXPECT_EQ(raddle_outcome_of(tasks[0], &outcome), -EINPROGRESS);
    SPAWN(&g, &tasks[1], child, &c[1]);
    SPAWN(&g, &tasks[2], stray, NULL);
    EXPECT_EQ(raddle_join(tasks[0], &outcome), 0);
    EXPECT(outcome.kind == RADDLE_OK && outcome.rc == 7);
    EXPECT_EQ(raddle_join(tasks[1], &outcome), 0);
    EXPECT(outcome.kind == RADDLE_FAILED && outcome.rc == -5);
    EXPECT_EQ(raddle_join(tasks[2], &outcome), 0);
    EXPECT(outcome.kind == RADDLE_FAILED && outcome.rc == RADDLE_ESTRAY);
    for (int i = 0; i < 3; i++)
        raddle_task_unref(tasks[i]);
    EXPECT_IN(raddle_group_close(&g, 0), RADDLE_ESTRAY, 0);
    return 0;
}

static int tells_self(void *arg)
{
    *(raddle_task **)arg = raddle_task_ref(raddle_self());
    return raddle_yield();
}

/* G4 */
Conform(tasks, self_is_the_one_that_runs_before_and_after_others_did)
{
    raddle_task *self = raddle_self(), *told = NULL, *task;
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, tells_self, &told);
    EXPECT(raddle_self() == self && task != self);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(raddle_self() == self);
    EXPECT(told == task);
    raddle_task_unref(told);
    raddle_task_unref(task);
    return 0;
}

/* G5: ≠ the name of one that has none is its function's. */
/* G5 G6 */
Conform(tasks, a_name_is_the_one_that_was_given_or_the_functions)
{
    struct child c = {.sleep_ns = 0};
    struct raddle_group g;
    raddle_task *named, *other;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, &named, child, &c, &(struct raddle_spawn_options){.name = "Task-1"}),
              0);
    EXPECT_EQ(raddle_spawn(&g, &other, child, &c, NULL), 0);
    EXPECT_STR(raddle_task_name(named), "Task-1");
    EXPECT_STR(raddle_task_name(other), "child");
    EXPECT(raddle_task_arg(named) == &c);
    raddle_task_unref(named);
    raddle_task_unref(other);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

struct place {
    raddle_loop *loop;
    raddle_task *self;
};

static int tells_place(void *arg)
{
    struct place *p = arg;

    EXPECT_EQ(raddle_yield(), 0);
    p->loop = raddle_running_loop();
    p->self = raddle_self();
    EXPECT(raddle_task_arg(p->self) == p);
    return 0;
}

/* G6: ≠ a task's function and argument are no secret of the handle's after its end either. */
/* G6 */
Conform(tasks, it_knows_its_loop_and_its_handle_tells_what_it_was_given_also_after_its_end)
{
    struct place p = {.loop = NULL};
    struct raddle_spawn_options here = {.loop = raddle_running_loop()};
    struct raddle_group g;
    raddle_task *task;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, &task, tells_place, &p, &here), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(p.loop == here.loop && p.self == task);
    EXPECT(raddle_task_arg(task) == &p);
    raddle_task_unref(task);
    return 0;
}

/* G3: any number of tasks join one, also after its end. */
struct crowd {
    raddle_task *task;
    rdl_atomic(unsigned) joined;
};

static int joins_one(void *arg)
{
    struct crowd *crowd = arg;
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};

    EXPECT_EQ(raddle_join(crowd->task, &outcome), 0);
    EXPECT(outcome.kind == RADDLE_OK && outcome.rc == 5);
    rdl_atomic_fetch_add_acq_rel(&crowd->joined, 1u);
    return 0;
}

/* G3 */
Conform(tasks, any_number_may_join_one_before_and_after_its_end)
{
    enum { JOINERS = 100 };
    struct child c = {.sleep_ns = SHORT, .rc = 5};
    struct crowd crowd = {.task = NULL};
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &crowd.task, child, &c);
    for (int i = 0; i < JOINERS; i++)
        SPAWN(&g, NULL, joins_one, &crowd);
    EXPECT_EQ(raddle_join(crowd.task, NULL), 0);
    for (int i = 0; i < JOINERS; i++)
        SPAWN(&g, NULL, joins_one, &crowd);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(crowd.joined, 2 * JOINERS);
    raddle_task_unref(crowd.task);
    return 0;
}

static int joins_main(void *arg)
{
    return raddle_join(arg, NULL) == -EDEADLK ? 0 : -EIO;
}

/* G8 TC18 */
Conform(tasks, joining_itself_or_who_waits_for_it_is_a_deadlock_and_said_so)
{
    struct raddle_group g;

    EXPECT_EQ(raddle_join(raddle_self(), NULL), -EDEADLK);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, joins_main, raddle_self());
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* Strands. */

enum { MATES = 8, TURNS = 50 };

struct strand_test {
    raddle_strand *strand;
    unsigned inside; /* plain: of the strand */
    unsigned long turns;
    unsigned order[MATES * 4];
    unsigned count;
    bool bad;
    struct raddle_mutex mutex;
    struct mate {
        struct strand_test *test;
        unsigned number;
    } mates[MATES];
};

static void begin_strand(struct strand_test *t)
{
    memset(t, 0, sizeof(*t));
    EXPECT_EQ(raddle_strand_create(&t->strand), 0);
    for (unsigned i = 0; i < MATES; i++)
        t->mates[i] = (struct mate){.test = t, .number = i};
}

static void spawn_mates(struct strand_test *t, struct raddle_group *g, raddle_task_fn *fn,
                        enum raddle_mobility mobility)
{
    struct raddle_spawn_options options = {.strand = t->strand, .mobility = mobility};

    for (unsigned i = 0; i < MATES; i++)
        EXPECT_EQ(raddle_spawn(g, NULL, fn, &t->mates[i], &options), 0);
}

/* Works on plain data, alone, between its suspensions. */
static int works(void *arg)
{
    struct mate *m = arg;
    struct strand_test *t = m->test;
    int rc = 0;

    for (unsigned i = 0; i < TURNS && rc == 0; i++) {
        t->bad |= t->inside++ != 0;
        for (volatile int k = 0; k < 100; k++)
            ;
        t->turns++;
        t->bad |= --t->inside != 0;
        switch ((i + m->number) % 4) {
        case 0:
            rc = raddle_sleep(RADDLE_US(10));
            break;
        case 1:
            rc = raddle_lock(&t->mutex);
            if (rc < 0)
                break;
            rc = raddle_yield();
            EXPECT_EQ(raddle_unlock(&t->mutex), 0);
            break;
        default:
            rc = raddle_yield();
        }
    }
    return rc;
}

/* G1: a serial domain on the team, in place of asyncio's one thread. */
/* G1 TC111 */
Conform(tasks, those_of_a_strand_never_run_in_parallel_whatever_their_mobility)
{
    static const enum raddle_mobility mobilities[] = {RADDLE_FRESH, RADDLE_MIGRATABLE,
                                                      RADDLE_PINNED};
    struct strand_test t;
    struct raddle_group g;

    for (int i = 0; i < 3; i++) {
        begin_strand(&t);
        OPEN(&g, .mode = RADDLE_FAIL_FAST);
        spawn_mates(&t, &g, works, mobilities[i]);
        raddle_strand_unref(t.strand); /* they keep it */
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
        EXPECT_EQ(t.turns, MATES * TURNS);
        EXPECT(!t.bad);
    }
    return 0;
}

static int takes_turns(void *arg)
{
    struct mate *m = arg;
    struct strand_test *t = m->test;

    for (int i = 0; i < 4; i++) {
        t->order[t->count++] = m->number;
        EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

/* Spawns its mates while it has the turn: they begin when it has gone. */
static int spawns_mates(void *arg)
{
    struct strand_test *t = arg;
    struct raddle_group g;

    EXPECT(raddle_running_strand() == t->strand);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (unsigned i = 0; i < MATES; i++)
        SPAWN(&g, NULL, takes_turns, &t->mates[i]); /* inherited */
    test_burn(SHORT);
    EXPECT_EQ(t->count, 0);
    return raddle_group_close(&g, 0);
}

/* G1 */
Conform(tasks, those_of_a_strand_take_turns_in_the_order_in_which_they_could_run)
{
    struct strand_test t;
    struct raddle_group g;

    begin_strand(&t);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, spawns_mates, &t,
                           &(struct raddle_spawn_options){.strand = t.strand}),
              0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    raddle_strand_unref(t.strand);
    EXPECT_EQ(t.count, MATES * 4);
    for (unsigned i = 0; i < t.count; i++)
        EXPECT_EQ(t.order[i], i % MATES);
    return 0;
}

static int tells_strand(void *arg)
{
    *(raddle_strand **)arg = raddle_running_strand();
    return 0;
}

static int spawns_in_and_out(void *arg)
{
    struct raddle_spawn_options none = {.strand = RADDLE_NO_STRAND};
    raddle_strand **told = arg;
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, tells_strand, &told[0], NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, tells_strand, &told[1], &none), 0);
    return raddle_group_close(&g, 0);
}

/* G1 */
Conform(tasks, a_strand_is_inherited_unless_the_options_say_otherwise)
{
    raddle_strand *strand, *told[2] = {NULL, NULL};
    struct raddle_group g;

    EXPECT_EQ(raddle_strand_create(&strand), 0);
    EXPECT_EQ(raddle_strand_create(NULL), -EINVAL);
    EXPECT(raddle_running_strand() == NULL);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    told[1] = strand;
    EXPECT_EQ(raddle_spawn(&g, NULL, spawns_in_and_out, told,
                           &(struct raddle_spawn_options){.strand = strand}),
              0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(told[0] == strand && told[1] == NULL);
    raddle_strand_unref(raddle_strand_ref(strand));
    raddle_strand_unref(strand);
    raddle_strand_unref(NULL);
    return 0;
}

static int sleeps_in_job(void *arg)
{
    test_burn(SHORT);
    return *(int *)arg;
}

/* One that is blocked elsewhere doesn't keep its mates from running. */
static int waits_elsewhere(void *arg)
{
    struct mate *m = arg;
    int result = 0, number = (int)m->number;

    if (m->number % 2)
        return raddle_sleep(SHORT);
    EXPECT_EQ(raddle_run_in_executor(NULL, sleeps_in_job, &number, &result), 0);
    EXPECT_EQ(result, number);
    m->test->bad |= m->test->inside++ != 0;
    m->test->inside--;
    return 0;
}

/* G1 H12 */
Conform(tasks, one_that_waits_leaves_its_strand_to_the_others)
{
    struct strand_test t;
    struct raddle_group g;

    begin_strand(&t);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    spawn_mates(&t, &g, waits_elsewhere, RADDLE_MOBILITY_DEFAULT);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(!t.bad);

    /* Nor does a cancelled one that never began. */
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    spawn_mates(&t, &g, works, RADDLE_MOBILITY_DEFAULT);
    raddle_group_cancel(&g, "enough");
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    raddle_strand_unref(t.strand);
    return 0;
}
