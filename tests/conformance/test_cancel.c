/*
 * tests/conformance/test_cancel.c - cancellation, row by row: what it reaches, how long it lasts, who answers for it,
 * and what is done while it lasts.
 *
 * Above each case stand the rows and cases of asyncio's contract that it is for. Leaving scopes in the wrong order,
 * or in another task (TC35), stops the process: tests/runtime/test_misuse.c.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include <pthread.h>
#include <string.h>

TestSuite(cancel, .timeout = 60);

/* What a task that is cancelled saw. */
struct victim {
    raddle_task *task;
    struct raddle_group group;
    struct raddle_outcome outcome;
    int rc[6];
    int counts[6];
    const char *reason;
    bool cancelled;
    struct raddle_event event;
};

/* Starts it, waits until it waits for that (NULL: it doesn't), cancels it so often, and waits for its end. */
static void cancel_one(struct victim *v, raddle_task_fn *fn, const char *waits_for, int times)
{
    OPEN(&v->group, .mode = RADDLE_COLLECT);
    SPAWN(&v->group, &v->task, fn, v);
    if (waits_for)
        test_let_park_for(v->task, waits_for);
    for (int i = 0; i < times; i++)
        EXPECT_EQ(raddle_task_cancel(v->task, i == 0 ? "deploy" : "again"), 0);
    EXPECT_EQ(raddle_join(v->task, &v->outcome), 0);
    EXPECT_EQ(raddle_task_cancel(v->task, NULL), -EALREADY);
    raddle_task_unref(v->task);
    (void)!raddle_group_close(&v->group, 0);
}

static int lasts(void *arg)
{
    struct victim *v = arg;

    v->rc[0] = raddle_sleep_until(RADDLE_NEVER);
    while (raddle_cancelling(raddle_self()) < 2) /* on another loop the second one is on its way */
        test_burn(1000);
    v->rc[1] = raddle_yield(); /* swallowed, and there it is again */
    v->rc[2] = raddle_event_wait(&v->event);
    v->reason = raddle_cancel_reason();
    v->counts[0] = raddle_cancelling(raddle_self());
    v->counts[1] = raddle_uncancel();
    v->rc[3] = raddle_yield();
    v->counts[2] = raddle_uncancel();
    v->rc[4] = raddle_yield();
    v->counts[3] = raddle_uncancel();
    v->cancelled = raddle_cancelled();
    return 42;
}

/* H1: ≠ it is level-triggered: delivered at every point until it is answered. */
/* H1 H2 H3 H8 TC38 */
Conform(cancel, it_lasts_until_every_request_is_answered_and_the_first_reason_stays)
{
    struct victim v = {.task = NULL};

    cancel_one(&v, lasts, "a point in time", 2);
    EXPECT(v.rc[0] == -ECANCELED && v.rc[1] == -ECANCELED && v.rc[2] == -ECANCELED);
    EXPECT_STR(v.reason, "deploy");
    EXPECT(v.counts[0] == 2 && v.counts[1] == 1 && v.counts[2] == 0 && v.counts[3] == 0);
    EXPECT_EQ(v.rc[3], -ECANCELED);
    EXPECT_EQ(v.rc[4], 0);
    EXPECT(!v.cancelled);
    EXPECT_EQ(v.outcome.kind, RADDLE_OK);
    EXPECT_EQ(v.outcome.rc, 42);
    return 0;
}

static int answers_before(void *arg)
{
    struct victim *v = arg;

    while (raddle_cancelling(raddle_self()) < 3)
        test_burn(1000);
    for (int i = 0; i < 3; i++)
        v->counts[i] = raddle_uncancel();
    v->rc[0] = raddle_event_wait(&v->event);
    v->reason = raddle_cancel_reason();
    return 42;
}

static void *cancels_three_times(void *arg)
{
    struct victim *v = arg;

    for (int i = 0; i < 3; i++)
        EXPECT_EQ(raddle_task_cancel(v->task, "from a thread"), 0);
    return NULL;
}

/* H2 H11 TC28 */
Conform(cancel, one_that_is_answered_before_the_next_wait_leaves_no_trace)
{
    struct victim v = {.task = NULL};
    pthread_t thread;

    OPEN(&v.group, .mode = RADDLE_COLLECT);
    raddle_event_set(&v.event);
    SPAWN(&v.group, &v.task, answers_before, &v);
    EXPECT_EQ(pthread_create(&thread, NULL, cancels_three_times, &v), 0);
    EXPECT_EQ(raddle_join(v.task, &v.outcome), 0);
    pthread_join(thread, NULL);
    EXPECT(v.counts[0] == 2 && v.counts[1] == 1 && v.counts[2] == 0);
    EXPECT_EQ(v.rc[0], 0);
    EXPECT_STR(v.reason, NULL);
    EXPECT_EQ(v.outcome.rc, 42);
    raddle_task_unref(v.task);
    EXPECT_EQ(raddle_group_close(&v.group, 0), 0);
    return 0;
}

/* H2 */
Conform(cancel, answering_takes_back_a_request_to_the_task_and_no_scope_s)
{
    struct raddle_scope s;
    struct raddle_group g;

    EXPECT_EQ(raddle_uncancel(), 0);
    EXPECT_EQ(raddle_cancelling(NULL), -EINVAL);
    raddle_scope_enter(&s, 0, 0);
    raddle_scope_cancel(&s, "the scope");
    EXPECT_EQ(raddle_cancelling(raddle_self()), 0);
    EXPECT_EQ(raddle_task_cancel(raddle_self(), "the task"), 0);
    EXPECT_EQ(raddle_cancelling(raddle_self()), 1);
    EXPECT_EQ(raddle_uncancel(), 0);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "the scope");
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), 0);
    EXPECT_EQ(raddle_yield(), 0);

    /* Children that were spawned meanwhile are free of it, too. */
    struct child c = {.sleep_ns = 0, .rc = 3};
    EXPECT_EQ(raddle_task_cancel(raddle_self(), "once more"), 0);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_uncancel(), 0);
    SPAWN(&g, NULL, child, &c);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(!c.cancelled);
    return 0;
}

static int begins(void *arg)
{
    struct victim *v = arg;

    v->counts[0]++; /* it owns what it was given: here it is freed */
    v->rc[0] = raddle_yield();
    return v->rc[0];
}

/* H4: ≠ a task that is cancelled before it begins runs to its first cancellation point. */
/* H4 */
Conform(cancel, before_the_first_instruction_it_is_seen_at_the_first_point)
{
    struct victim v = {.task = NULL};

    /* Pinned to the loop that is busy with us: it can't begin before it is cancelled. */
    OPEN(&v.group, .mode = RADDLE_COLLECT);
    EXPECT_EQ(raddle_spawn(&v.group, &v.task, begins, &v,
                           &(struct raddle_spawn_options){.mobility = RADDLE_PINNED}),
              0);
    EXPECT_EQ(raddle_task_cancel(v.task, "before it began"), 0);
    EXPECT_EQ(raddle_join(v.task, &v.outcome), 0);
    EXPECT_EQ(v.counts[0], 1);
    EXPECT_EQ(v.rc[0], -ECANCELED);
    EXPECT_EQ(v.outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(v.task);
    EXPECT_EQ(raddle_group_close(&v.group, 0), 0);
    return 0;
}

static int takes(void *arg)
{
    raddle_chan *chan = arg;
    int item = 0, rc = raddle_get(chan, &item);

    EXPECT_EQ(raddle_yield(), -ECANCELED);
    return rc < 0 ? rc : item;
}

/* H5: ≠ what a wait has got, it keeps. */
/* H5 H10 */
Conform(cancel, what_was_granted_before_it_is_kept_and_what_was_not_did_not_happen)
{
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_chan *chan;
    raddle_task *task;
    int seven = 7, item = 0;

    EXPECT_EQ(raddle_chan_create(sizeof(int), 1, NULL, &chan), 0);
    OPEN(&g, .mode = RADDLE_COLLECT);
    /* Pinned to the loop that is busy with us: it doesn't wake between the two. */
    EXPECT_EQ(raddle_spawn(&g, &task, takes, chan,
                           &(struct raddle_spawn_options){.mobility = RADDLE_PINNED}),
              0);
    test_let_park(task);
    EXPECT_EQ(raddle_try_put(chan, &seven), 0); /* handed to who waits */
    EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.rc, 7);
    raddle_task_unref(task);

    SPAWN(&g, &task, takes, chan);
    test_let_park(task);
    EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(raddle_put(chan, &seven), 0);
    EXPECT_EQ(raddle_get(chan, &item), 0);
    EXPECT_EQ(item, 7);
    raddle_task_unref(task);
    raddle_chan_unref(chan);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

static int at_its_end(void *arg)
{
    (void)arg;
    EXPECT_EQ(raddle_task_cancel(raddle_self(), "at the end"), 0);
    return 12;
}

/* H6 G3 TC27: ≠ what a task returns is never replaced. */
/* H6 G3 TC27 */
Conform(cancel, one_that_comes_at_the_end_changes_no_result)
{
    struct victim v = {.task = NULL};

    cancel_one(&v, at_its_end, NULL, 0);
    EXPECT_EQ(v.outcome.kind, RADDLE_OK);
    EXPECT_EQ(v.outcome.rc, 12);
    return 0;
}

static int ignores(void *arg)
{
    struct victim *v = arg;
    struct raddle_scope shield;

    v->rc[0] = raddle_sleep_until(RADDLE_NEVER);
    v->rc[1] = raddle_sleep(1);
    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    v->rc[2] = raddle_scope_leave(&shield, raddle_sleep(1));
    v->rc[3] = raddle_yield();
    return 5;
}

/* H7: ≠ a task that goes on must say so, by a shield or by an answer. */
/* H7 H9 */
Conform(cancel, a_task_goes_on_only_behind_a_shield)
{
    struct victim v = {.task = NULL};

    cancel_one(&v, ignores, "a point in time", 1);
    EXPECT(v.rc[0] == -ECANCELED && v.rc[1] == -ECANCELED);
    EXPECT_EQ(v.rc[2], 0);
    EXPECT_EQ(v.rc[3], -ECANCELED);
    EXPECT_EQ(v.outcome.rc, 5);
    return 0;
}

static int joins(void *arg)
{
    return raddle_join(arg, NULL);
}

/* H9 TC29: ≠ a join doesn't forward it; to outlive the caller a task is spawned into a longer-lived group. */
/* H9 TC29 */
Conform(cancel, a_cancelled_joiner_leaves_the_task_going)
{
    struct child c = {.sleep_ns = RADDLE_NEVER, .cleanup_rc = 4};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *target, *joiner;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &target, child, &c);
    SPAWN(&g, &joiner, joins, target);
    test_let_park_for(joiner, "the end of a task");
    EXPECT_EQ(raddle_task_cancel(joiner, NULL), 0);
    EXPECT_EQ(raddle_join(joiner, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(c.ended, 0);
    EXPECT_EQ(raddle_task_cancel(target, NULL), 0);
    EXPECT_EQ(raddle_join(target, &outcome), 0);
    EXPECT_EQ(outcome.rc, 4);
    raddle_task_unref(joiner);
    raddle_task_unref(target);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

static int job(void *arg)
{
    struct victim *v = arg;

    rdl_atomic_fetch_add_acq_rel((rdl_atomic(unsigned) *)(void *)&v->counts[0], 1u);
    test_burn(LONG);
    return 1;
}

static int runs_job(void *arg)
{
    struct victim *v = arg;
    int result = 0;

    v->rc[0] = raddle_run_in_executor(NULL, job, v, &result);
    v->rc[1] = result;
    v->rc[2] = raddle_yield();
    return 0;
}

/* H12 TC32 */
Conform(cancel, what_can_t_be_interrupted_is_waited_for_and_its_result_comes_first)
{
    struct victim v = {.task = NULL};

    OPEN(&v.group, .mode = RADDLE_COLLECT);
    SPAWN(&v.group, &v.task, runs_job, &v);
    test_await((rdl_atomic(unsigned) *)(void *)&v.counts[0], 1);
    EXPECT_EQ(raddle_task_cancel(v.task, NULL), 0);
    EXPECT_EQ(raddle_join(v.task, NULL), 0);
    EXPECT_EQ(v.rc[0], 0);
    EXPECT_EQ(v.rc[1], 1);
    EXPECT_EQ(v.rc[2], -ECANCELED);
    raddle_task_unref(v.task);
    EXPECT_EQ(raddle_group_close(&v.group, 0), 0);
    return 0;
}

/* TC31 */
Conform(cancel, a_shield_that_goes_up_on_the_way_out_leaves_it_to_the_outer_scope)
{
    struct raddle_scope outer, inner;
    int rc;

    raddle_scope_enter(&outer, 0, 0);
    raddle_scope_enter(&inner, 0, 0);
    raddle_scope_cancel(&outer, "outer");
    rc = raddle_yield();
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT_EQ(raddle_scope_shield(&inner, true), 0);
    EXPECT(!raddle_cancelled());
    EXPECT_EQ(raddle_sleep(1), 0);
    EXPECT_EQ(raddle_scope_leave(&inner, rc), -ECANCELED);
    EXPECT(!raddle_scope_caught(&inner));
    EXPECT_EQ(raddle_scope_leave(&outer, rc), 0);
    EXPECT(raddle_scope_caught(&outer));
    return 0;
}

/* H9 TC31 */
Conform(cancel, a_shield_that_goes_down_lets_in_what_it_held_off)
{
    struct raddle_scope outer, shield, within;
    struct raddle_group g;

    raddle_scope_enter(&outer, raddle_in(SHORT), 0);
    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT_EQ(raddle_effective_deadline(), RADDLE_NEVER);
    test_burn(2 * SHORT);
    EXPECT_EQ(raddle_yield(), 0);
    raddle_scope_enter(&within, 0, 0);
    EXPECT_EQ(raddle_scope_shield(&shield, false), -EINVAL); /* not the innermost */
    EXPECT_EQ(raddle_scope_leave(&within, 0), 0);
    EXPECT_EQ(raddle_scope_shield(NULL, false), -EINVAL);
    EXPECT_EQ(raddle_scope_shield(&shield, false), 0);
    EXPECT(raddle_effective_deadline() <= raddle_now());
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&shield, -ECANCELED), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&outer, -ECANCELED), -ETIMEDOUT);

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_scope_shield(&g.scope, true), -EBUSY);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* TC33 */
Conform(cancel, of_two_cancelled_scopes_the_outer_one_catches_it_in_either_order)
{
    struct raddle_scope scopes[2];

    for (int first = 0; first < 2; first++) {
        raddle_scope_enter(&scopes[0], 0, 0);
        raddle_scope_enter(&scopes[1], 0, 0);
        raddle_scope_cancel(&scopes[first], NULL);
        raddle_scope_cancel(&scopes[!first], NULL);
        EXPECT_EQ(raddle_scope_leave(&scopes[1], raddle_yield()), -ECANCELED);
        EXPECT_EQ(raddle_scope_leave(&scopes[0], -ECANCELED), 0);
        EXPECT(raddle_scope_caught(&scopes[0]) && !raddle_scope_caught(&scopes[1]));
        EXPECT(raddle_scope_cancelled(&scopes[1]));
    }
    return 0;
}

/* TC34 */
Conform(cancel, a_cancelled_outer_scope_outranks_an_expired_inner_one)
{
    struct raddle_scope outer, inner;

    raddle_scope_enter(&outer, 0, 0);
    raddle_scope_enter(&inner, raddle_now(), 0);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    raddle_scope_cancel(&outer, NULL);
    EXPECT_EQ(raddle_scope_leave(&inner, -ECANCELED), -ECANCELED);
    EXPECT(raddle_scope_cancelled(&inner) && !raddle_scope_caught(&inner));
    EXPECT_EQ(raddle_scope_leave(&outer, -ECANCELED), 0);
    return 0;
}

/* TC46 */
Conform(cancel, a_result_that_swallows_it_is_passed_on_and_caught_by_nobody)
{
    struct raddle_scope s;

    raddle_scope_enter(&s, raddle_now(), 0);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, 42), 42);
    EXPECT(raddle_scope_cancelled(&s) && !raddle_scope_caught(&s));
    return 0;
}

/* Says goodbye to nobody. */
struct farewell {
    int flush_rc, inner_rc, rc;
    raddle_time begun, ended, inner_ended, deadline, inner_deadline;
};

static int says_goodbye(void *arg)
{
    struct farewell *f = arg;
    int rc = raddle_sleep_until(RADDLE_NEVER);

    EXPECT_EQ(rc, -ECANCELED);
    f->begun = raddle_now();
    {
        RADDLE_CLEANUP(2 * (int64_t)LONG);
        f->deadline = raddle_effective_deadline();
        EXPECT_EQ(raddle_sleep(SHORT), 0);
        {
            /* A plain shield between them hides nothing. */
            raddle_auto(scope) struct raddle_scope shield = {{0}};
            raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
            RADDLE_CLEANUP(RADDLE_S(1000));
            f->inner_deadline = raddle_effective_deadline();
            f->inner_rc = raddle_sleep_until(RADDLE_NEVER);
            f->inner_ended = raddle_now();
        }
        f->flush_rc = raddle_yield();
    }
    f->ended = raddle_now();
    f->rc = raddle_yield();
    return rc;
}

/* H9 TC36 */
Conform(cancel, a_clean_up_has_time_of_its_own_and_one_inside_it_no_more_than_that)
{
    struct farewell f = {.rc = 0};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, says_goodbye, &f);
    test_let_park_for(task, "a point in time");
    EXPECT_EQ(raddle_task_cancel(task, "good night"), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(f.deadline >= f.begun + 2 * LONG);
    EXPECT_EQ(f.inner_deadline, f.deadline);
    EXPECT(f.inner_rc == -ECANCELED && f.flush_rc == -ECANCELED && f.rc == -ECANCELED);
    EXPECT(f.inner_ended >= f.deadline && f.ended >= f.inner_ended);
    return 0;
}

static int cleans_up_below(void *arg)
{
    *(raddle_time *)arg = raddle_cleanup_deadline(RADDLE_S(1000));
    return 0;
}

/* TC36 */
Conform(cancel, a_clean_up_bounds_those_of_the_tasks_it_waits_for)
{
    raddle_time below = 0, deadline;
    struct raddle_group g;

    deadline = raddle_now();
    EXPECT(raddle_cleanup_deadline(RADDLE_S(1)) >= deadline + RADDLE_S(1));
    EXPECT_EQ(raddle_cleanup_deadline(RADDLE_NEVER), RADDLE_NEVER);
    {
        RADDLE_CLEANUP(RADDLE_S(10));
        deadline = raddle_effective_deadline();
        OPEN(&g, .mode = RADDLE_FAIL_FAST);
        SPAWN(&g, NULL, cleans_up_below, &below);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
    }
    EXPECT_EQ(below, deadline);
    EXPECT_EQ(raddle_effective_deadline(), RADDLE_NEVER);
    return 0;
}

/* A scope that a return leaves. */
static int returns_early(int how)
{
    raddle_auto(scope) struct raddle_scope s = {{0}};

    if (how == 0)
        return 1;
    raddle_scope_enter(&s, raddle_in(RADDLE_S(1000)), 0);
    if (how == 1)
        return 2;
    return raddle_scope_leave(&s, 3);
}

/* J1 */
Conform(cancel, a_scope_that_a_return_leaves_is_left)
{
    for (int how = 0; how < 3; how++) {
        EXPECT_EQ(returns_early(how), how + 1);
        EXPECT_EQ(raddle_effective_deadline(), RADDLE_NEVER);
    }
    return 0;
}

/* Cancelled with who owns its group, and not done with that when the owner takes it back. */
struct taken_back {
    struct raddle_event begun, told, taken_back;
    raddle_task *child;
    struct raddle_outcome outcome;
};

static int cleans_up_meanwhile(void *arg)
{
    struct taken_back *t = arg;
    int rc;

    raddle_event_set(&t->begun);
    rc = raddle_sleep_until(RADDLE_NEVER);
    raddle_event_set(&t->told);
    {
        RADDLE_CLEANUP(RADDLE_S(10));
        EXPECT_EQ(raddle_event_wait(&t->taken_back), 0);
    }
    return rc;
}

/* H3 H12 */
Conform(cancel, a_child_that_was_cancelled_stays_cancelled_when_its_owner_takes_it_back)
{
    struct taken_back t = {.child = NULL};
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &t.child, cleans_up_meanwhile, &t);
    EXPECT_EQ(raddle_event_wait(&t.begun), 0);
    EXPECT_EQ(raddle_task_cancel(raddle_self(), "enough"), 0);
    {
        RADDLE_CLEANUP(RADDLE_S(10));
        EXPECT_EQ(raddle_event_wait(&t.told), 0);
    }
    EXPECT_EQ(raddle_uncancel(), 0);
    raddle_event_set(&t.taken_back);
    EXPECT_EQ(raddle_join(t.child, &t.outcome), 0);
    EXPECT_EQ(t.outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(t.child);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* H2 TC36 */
RuntimeTest(cancel, outside_a_task_there_is_nothing_to_shield_or_to_answer)
{
    struct raddle_scope s = {{0}};

    cr_assert_eq(raddle_uncancel(), -EPERM);
    cr_assert_eq(raddle_scope_shield(&s, true), -EPERM);
    cr_assert_eq(raddle_scope_deadline(&s, 1), -EPERM);
    cr_assert(raddle_cleanup_deadline(0) <= raddle_now());
    raddle_scope_autoclose(&s);
}
