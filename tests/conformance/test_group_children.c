/*
 * tests/conformance/test_group_children.c - how a group takes children and gives them back: one that has to be up
 * first, one for which there has to be room, and the next that has ended: rows I9 and I10.
 *
 * Above each case stand the rows and cases of asyncio's contract that it is for.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include <string.h>

TestSuite(group_children, .timeout = 60);

/* A child that is up after a while, or ends without. */
struct service {
    int64_t start_ns;
    int started_rc; /* what raddle_started() said */
    int rc;         /* what it returns before it is up; 0: it gets up */
    bool silent;    /* it doesn't say that it is up */
    int end_rc;
    rdl_atomic(unsigned) ended;
};

static int service(void *arg)
{
    struct service *s = arg;
    int rc = raddle_sleep(s->start_ns);

    if (rc == 0)
        rc = s->rc;
    if (rc == 0 && !s->silent) {
        s->started_rc = raddle_started(s);
        EXPECT_EQ(raddle_started(NULL), s->started_rc);
        rc = raddle_sleep_until(RADDLE_NEVER);
    }
    rdl_atomic_fetch_add_acq_rel(&s->ended, 1u);
    return s->end_rc ? s->end_rc : rc;
}

/* I9 */
Conform(group_children, a_child_that_says_it_is_up_is_the_groups_from_then_on)
{
    struct service s = {.start_ns = SHORT};
    struct raddle_group g;
    void *ready = NULL;
    raddle_task *task = NULL;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn_started(&g, &task, service, &s, NULL, &ready), 0);
    EXPECT(ready == &s);
    EXPECT(raddle_task_arg(task) == &s);
    EXPECT_EQ(s.ended, 0);
    EXPECT_EQ(raddle_group_live(&g), 1);
    raddle_task_unref(task);
    raddle_group_cancel(&g, "enough");
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(s.ended, 1);

    /* And may be started in the ordinary way. */
    s = (struct service){.end_rc = -EIO};
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, service, &s);
    test_let_park(task);
    EXPECT_EQ(s.started_rc, 0);
    EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    return 0;
}

/* I9 */
Conform(group_children,
        a_child_that_ends_before_it_is_up_is_told_to_who_started_it_and_not_to_the_group)
{
    struct service failing = {.start_ns = SHORT, .rc = -EIO};
    struct service silent = {.start_ns = SHORT, .silent = true};
    struct raddle_group g;
    void *ready = &g;
    raddle_task *task = NULL, *next = NULL;

    OPEN(&g, .mode = RADDLE_FAIL_FAST, .as_completed = true);
    EXPECT_EQ(raddle_spawn_started(&g, &task, service, &failing, NULL, &ready), -EIO);
    EXPECT_EQ(raddle_spawn_started(&g, &task, service, &silent, NULL, &ready), -EPROTO);
    EXPECT(!task && ready == &g);
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(raddle_group_errors(&g), 0);
    EXPECT_EQ(raddle_group_next(&g, &next), 0);
    EXPECT_EQ(raddle_spawn_started(&g, NULL, no_fn, NULL, NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_group_close(&g, 4), 4);
    EXPECT_EQ(raddle_spawn_started(&g, NULL, service, &silent, NULL, NULL), RADDLE_ESHUTDOWN);
    return 0;
}

/* I9 */
Conform(group_children, a_start_that_is_cancelled_cancels_the_child_and_waits_for_it)
{
    struct service s = {.start_ns = RADDLE_S(1000)};
    struct raddle_scope limit;
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    raddle_scope_enter(&limit, raddle_in(SHORT), 0);
    EXPECT_EQ(raddle_scope_leave(&limit, raddle_spawn_started(&g, NULL, service, &s, NULL, NULL)),
              -ETIMEDOUT);
    EXPECT_EQ(s.ended, 1);
    /* A clean-up that fails is told, too. */
    s.end_rc = -EPIPE;
    raddle_scope_enter(&limit, raddle_in(SHORT), 0);
    EXPECT_EQ(raddle_scope_leave(&limit, raddle_spawn_started(&g, NULL, service, &s, NULL, NULL)),
              -EPIPE);
    EXPECT_EQ(s.ended, 2);
    EXPECT_EQ(raddle_yield(), 0);
    raddle_group_cancel(&g, "no more");
    EXPECT_EQ(raddle_spawn_started(&g, NULL, service, &s, NULL, NULL), -ECANCELED);
    EXPECT_EQ(s.ended, 2);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

struct canceller {
    struct raddle_group *group;
    raddle_task *starter;
};

/* Cancels another task's group while that starts a child in it. */
static int cancels_group(void *arg)
{
    struct canceller *c = arg;

    test_let_park_for(c->starter, "a task to be up");
    raddle_group_cancel(c->group, "the group goes");
    return 0;
}

/* I9 */
Conform(group_children, a_child_whose_group_is_cancelled_before_it_is_up_says_that_it_is_shut_down)
{
    struct service s = {.start_ns = RADDLE_S(1000)};
    struct raddle_group outer, g;
    struct raddle_scope shield;
    struct canceller c = {.group = &g, .starter = raddle_self()};

    OPEN(&outer, .mode = RADDLE_FAIL_FAST);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&outer, NULL, cancels_group, &c);
    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT_EQ(raddle_scope_leave(&shield, raddle_spawn_started(&g, NULL, service, &s, NULL, NULL)),
              RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_group_close(&outer, 0), 0);
    return 0;
}

/* I9 */
RuntimeTest(group_children, outside_a_task_nothing_is_started_or_up_or_in_the_background)
{
    struct raddle_group g = {.scope = {{0}}};
    raddle_task *task;

    cr_assert_eq(raddle_started(NULL), -EPERM);
    cr_assert_eq(raddle_spawn_started(&g, NULL, service, NULL, NULL, NULL), -EPERM);
    cr_assert_eq(raddle_group_next(&g, &task), -EINVAL);
    cr_assert_eq(raddle_group_errors(&g), 0);
    cr_assert_eq(raddle_uncancel(), -EPERM);
    cr_assert_null(raddle_background());
    cr_assert_null(raddle_task_arg(NULL));
    raddle_group_autoclose(&g);
}

/* Jobs of which there may be so many at a time. */
struct jobs {
    struct raddle_group group;
    unsigned most;                             /* at a time */
    rdl_atomic(unsigned) running, begun, over; /* over: there were more */
    unsigned cancel_at;
};

static int job(void *arg)
{
    struct jobs *jobs = arg;
    unsigned number = rdl_atomic_fetch_add_acq_rel(&jobs->begun, 1u) + 1;
    int rc;

    if (rdl_atomic_fetch_add_acq_rel(&jobs->running, 1u) + 1 > jobs->most)
        rdl_atomic_fetch_add_acq_rel(&jobs->over, 1u);
    rc = jobs->cancel_at && number > jobs->cancel_at ? raddle_sleep_until(RADDLE_NEVER)
                                                     : raddle_yield();
    if (number == jobs->cancel_at)
        raddle_group_cancel(&jobs->group, "that was enough");
    rdl_atomic_fetch_sub_acq_rel(&jobs->running, 1u);
    return rc;
}

/* I10 TC55 */
Conform(group_children, with_a_limit_there_are_never_more_and_a_cancelled_spawner_starts_none)
{
    struct jobs jobs = {.most = 4, .cancel_at = 500};
    unsigned spawned = 0;
    int rc = 0;

    OPEN(&jobs.group, .max_live = 4);
    while (rc == 0 && spawned < 1000) {
        rc = raddle_spawn(&jobs.group, NULL, job, &jobs, NULL);
        spawned += rc == 0;
    }
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT_IN(spawned, 500, 504);
    EXPECT_EQ(raddle_group_close(&jobs.group, rc), 0);
    EXPECT_EQ(jobs.begun, spawned);
    EXPECT_EQ(jobs.over, 0);
    return 0;
}

/* Spawns many into the group that it was given. */
struct spawner {
    struct jobs *jobs;
    int rc;
};

static int spawner(void *arg)
{
    struct spawner *s = arg;

    for (int i = 0; i < 100 && s->rc == 0; i++)
        s->rc = raddle_spawn(&s->jobs->group, NULL, job, s->jobs, NULL);
    return 0;
}

/* I10 */
Conform(group_children, several_may_wait_for_room_in_one)
{
    struct jobs jobs = {.most = 3};
    struct spawner s[5];
    struct raddle_group spawners;

    OPEN(&jobs.group, .max_live = 3);
    OPEN(&spawners, .mode = RADDLE_FAIL_FAST);
    for (int i = 0; i < 5; i++) {
        s[i] = (struct spawner){.jobs = &jobs};
        SPAWN(&spawners, NULL, spawner, &s[i]);
    }
    EXPECT_EQ(raddle_group_close(&spawners, 0), 0);
    EXPECT_EQ(raddle_group_close(&jobs.group, 0), 0);
    EXPECT_EQ(jobs.begun, 500);
    EXPECT_EQ(jobs.over, 0);
    return 0;
}

/* A child that spawns into its own group. */
struct inner {
    struct raddle_group *group;
    struct child sibling;
    int rc;
};

static int spawns_sibling(void *arg)
{
    struct inner *i = arg;

    i->rc = raddle_spawn(i->group, NULL, child, &i->sibling, NULL);
    return 0;
}

/* I10 */
Conform(group_children, children_that_all_wait_for_room_in_their_own_are_told)
{
    struct raddle_group g;
    struct inner in[2] = {{.group = &g}, {.group = &g}};

    OPEN(&g, .max_live = 2);
    for (int i = 0; i < 2; i++)
        SPAWN(&g, NULL, spawns_sibling, &in[i]);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    /* At most one of them; the other may have been gone before. */
    EXPECT(in[0].rc == 0 || in[1].rc == 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(in[i].sibling.began, in[i].rc == 0);

    in[0] = (struct inner){.group = &g};
    OPEN(&g, .max_live = 1);
    SPAWN(&g, NULL, spawns_sibling, &in[0]);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(in[0].rc, -EDEADLK);
    return 0;
}

static void spawns_from_callback(void *arg)
{
    struct inner *i = arg;

    i->rc = raddle_spawn(i->group, NULL, child, &i->sibling, NULL);
    rdl_atomic_fetch_add_acq_rel(&i->sibling.ended, 1u);
}

/* I10 */
Conform(group_children, a_callback_does_not_wait_for_room)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_group g;
    struct inner in = {.group = &g};

    OPEN(&g, .max_live = 1);
    SPAWN(&g, NULL, child, &c);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), spawns_from_callback, &in), 0);
    test_await(&in.sibling.ended, 1);
    EXPECT_EQ(in.rc, -EAGAIN);
    EXPECT_EQ(in.sibling.began, 0);
    raddle_group_cancel(&g, "enough");
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* I10 */
Conform(group_children, a_spawner_that_gives_up_leaves_its_place_to_the_next)
{
    struct child c[2] = {{.sleep_ns = LONG}, {.sleep_ns = 0}};
    struct raddle_scope limit;
    struct raddle_group g;

    OPEN(&g, .max_live = 1);
    SPAWN(&g, NULL, child, &c[0]);
    raddle_scope_enter(&limit, raddle_in(SHORT), 0);
    EXPECT_EQ(raddle_scope_leave(&limit, raddle_spawn(&g, NULL, child, &c[1], NULL)), -ETIMEDOUT);
    EXPECT_EQ(c[1].began, 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[1], NULL), 0);
    /* A spawn that fails keeps no place. */
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[1],
                           &(struct raddle_spawn_options){.stack_bytes = (size_t)1 << 40}),
              -EINVAL);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[1], NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(c[1].ended, 2);
    return 0;
}

/* A child that goes on until it is told. */
struct gated {
    struct raddle_event gate;
    raddle_task *task;
    int rc;
};

static int gated(void *arg)
{
    struct gated *g = arg;
    int rc = raddle_event_wait(&g->gate);

    return rc < 0 ? rc : g->rc;
}

static void let_end(struct gated *g)
{
    raddle_event_set(&g->gate);
    EXPECT_EQ(raddle_join(g->task, NULL), 0);
}

/* The number of the next that has ended; -1: none is left; else what went wrong. */
static int next_of(struct raddle_group *g, const struct gated *first)
{
    struct raddle_outcome outcome;
    raddle_task *task = NULL;
    int rc = raddle_group_next(g, &task), number;

    if (rc <= 0)
        return rc == 0 ? -1 : rc;
    number = (int)((struct gated *)raddle_task_arg(task) - first);
    EXPECT(task == first[number].task);
    EXPECT_EQ(raddle_outcome_of(task, &outcome), 0);
    EXPECT_EQ(outcome.rc, first[number].rc);
    raddle_task_unref(task);
    return number;
}

/* I10 K5 TC64 */
Conform(group_children,
        the_next_that_ended_comes_in_the_order_of_ends_and_a_cancelled_wait_takes_none)
{
    struct gated c[5];
    struct raddle_scope limit;
    struct raddle_group g;

    memset(c, 0, sizeof(c));
    OPEN(&g, .mode = RADDLE_COLLECT, .as_completed = true);
    for (int i = 0; i < 5; i++) {
        c[i].rc = i == 1 ? -EIO : i;
        SPAWN(&g, &c[i].task, gated, &c[i]);
    }
    let_end(&c[2]);
    let_end(&c[0]);
    EXPECT_EQ(next_of(&g, c), 2);
    EXPECT_EQ(next_of(&g, c), 0);
    raddle_scope_enter(&limit, raddle_in(SHORT), 0);
    EXPECT_EQ(raddle_scope_leave(&limit, next_of(&g, c)), -ETIMEDOUT);
    let_end(&c[4]);
    raddle_scope_enter(&limit, raddle_in(0), 0);
    EXPECT_EQ(raddle_scope_leave(&limit, next_of(&g, c)), -ETIMEDOUT);
    raddle_event_set(&c[1].gate);
    EXPECT_EQ(next_of(&g, c), 4);
    EXPECT_EQ(next_of(&g, c), 1);
    raddle_event_set(&c[3].gate);
    EXPECT_EQ(next_of(&g, c), 3);
    EXPECT_EQ(next_of(&g, c), -1);
    EXPECT_EQ(next_of(&g, c), -1);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    for (int i = 0; i < 5; i++)
        raddle_task_unref(c[i].task);
    return 0;
}

static int asks_for_next(void *arg)
{
    raddle_task *task;

    return raddle_group_next(arg, &task);
}

/* I10 */
Conform(group_children, the_next_is_for_its_opener_and_what_it_is_not_asked_for_goes_with_the_close)
{
    struct child c[20];
    struct raddle_outcome outcome;
    struct raddle_group g, plain;
    raddle_task *task, *asking;

    memset(c, 0, sizeof(c));
    OPEN(&plain, .mode = RADDLE_COLLECT);
    EXPECT_EQ(raddle_group_next(&plain, &task), -EINVAL);
    EXPECT_EQ(raddle_group_next(NULL, &task), -EINVAL);
    OPEN(&g, .mode = RADDLE_COLLECT, .as_completed = true, .max_live = 3);
    EXPECT_EQ(raddle_group_next(&g, NULL), -EINVAL);
    SPAWN(&plain, &asking, asks_for_next, &g);
    EXPECT_EQ(raddle_join(asking, &outcome), 0);
    EXPECT_EQ(outcome.rc, -EPERM);
    raddle_task_unref(asking);
    for (int i = 0; i < 20; i++)
        SPAWN(&g, NULL, child, &c[i]);
    EXPECT_EQ(raddle_group_next(&g, &task), 1);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    /* This one outlives the group. */
    EXPECT_EQ(raddle_outcome_of(task, &outcome), 0);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_group_next(&g, &task), -EINVAL);
    EXPECT_EQ(raddle_group_close(&plain, 0), -EPERM);
    return 0;
}
