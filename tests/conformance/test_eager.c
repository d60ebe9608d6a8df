/*
 * tests/conformance/test_eager.c - tasks that start at once: row G2 and TC20.
 *
 * What is promised for a loop that is alone is tested on one, whatever the number of loops asked for.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include <pthread.h>
#include <string.h>

TestSuite(eager, .timeout = 60);

static const struct raddle_spawn_options eagerly = {.eager_start = true};

#define EAGER(group, out, fn, arg) EXPECT_EQ(raddle_spawn(group, out, fn, arg, &eagerly), 0)

#define ConformAlone(suite, name)                                                                  \
    static int suite##_##name##_task(void *arg);                                                   \
    RuntimeTest(suite, name)                                                                       \
    {                                                                                              \
        cr_assert_eq(test_run_on(1, suite##_##name##_task, NULL), 0);                              \
    }                                                                                              \
    static int suite##_##name##_task(__attribute__((unused)) void *arg)

/* What ran, in order: one letter each. */
struct trace {
    unsigned count;
    char text[128];
};

static void note(struct trace *t, char letter)
{
    EXPECT(t->count < sizeof(t->text) - 1);
    t->text[t->count++] = letter;
}

static struct raddle_var var = RADDLE_VAR_INIT("eager", "unset", NULL);

struct family {
    struct trace *trace;
    raddle_task *child, *grandchild;
};

static int grandchild(void *arg)
{
    struct family *f = arg;

    EXPECT(raddle_self() == f->grandchild);
    EXPECT_STR(raddle_var_get(&var), "the child's");
    note(f->trace, 'g');
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT(raddle_self() == f->grandchild);
    note(f->trace, 'G');
    return 0;
}

static int child_of_family(void *arg)
{
    struct family *f = arg;
    struct raddle_group g;

    EXPECT(raddle_self() == f->child);
    EXPECT_STR(raddle_var_get(&var), "the parent's");
    EXPECT_EQ(raddle_var_set(&var, "the child's", NULL), 0);
    EXPECT_EQ(errno, 0);
    errno = EXDEV;
    note(f->trace, 'c');
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EAGER(&g, &f->grandchild, grandchild, f);
    EXPECT(raddle_self() == f->child);
    EXPECT_EQ(errno, EXDEV);
    note(f->trace, 'd');
    EXPECT_EQ(raddle_yield(), 0);
    note(f->trace, 'C');
    raddle_task_unref(f->grandchild);
    return raddle_group_close(&g, 0);
}

/* G2 TC20 */
ConformAlone(eager, one_runs_before_the_spawn_returns_as_itself_and_depth_first)
{
    struct trace trace = {.count = 0};
    struct family f = {.trace = &trace};
    raddle_task *self = raddle_self();
    struct raddle_group g;

    EXPECT_EQ(raddle_var_set(&var, "the parent's", NULL), 0);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    errno = ENOTTY;
    EAGER(&g, &f.child, child_of_family, &f);
    EXPECT_EQ(errno, ENOTTY);
    EXPECT(raddle_self() == self);
    EXPECT_STR(raddle_var_get(&var), "the parent's");
    EXPECT_STR(trace.text, "cgd");
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_STR(trace.text, "cgdGC");
    raddle_task_unref(f.child);
    return 0;
}

static int ends_at_once(void *arg)
{
    note(arg, 'e');
    return 7;
}

static int ordinary(void *arg)
{
    note(arg, 'o');
    return 0;
}

static void called(void *arg)
{
    note(arg, 'b');
}

static uint64_t stack_uses(void)
{
    struct raddle_loop_stats stats;

    EXPECT_EQ(raddle_get_loop_stats(0, &stats), 0);
    return stats.switches;
}

/* G2: it is not queued, and what was queued before doesn't run in between. */
ConformAlone(eager, one_that_never_suspends_has_ended_and_nothing_else_has_run)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    struct trace trace = {.count = 0};
    struct raddle_group g;
    raddle_task *task;
    uint64_t before;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, ordinary, &trace);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), called, &trace), 0);
    before = stack_uses();
    EAGER(&g, &task, ends_at_once, &trace);
    EXPECT_EQ(stack_uses() - before, 2); /* to it, and back */
    EXPECT_STR(trace.text, "e");
    EXPECT_EQ(raddle_outcome_of(task, &outcome), 0);
    EXPECT(outcome.kind == RADDLE_OK && outcome.rc == 7);
    EXPECT_EQ(raddle_group_live(&g), 1); /* the ordinary one */
    raddle_task_unref(task);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_STR(trace.text, "eob");
    return 0;
}

static int gives_way(void *arg)
{
    note(arg, 'y');
    EXPECT_EQ(raddle_yield(), 0);
    note(arg, 'Y');
    return 0;
}

static int sleeps_once(void *arg)
{
    note(arg, 's');
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    note(arg, 'S');
    return 0;
}

/* G2: fairness. After its first part it is a task like others, behind those that were there before. */
ConformAlone(eager, one_that_suspends_has_its_turn_behind_those_that_were_queued_before)
{
    struct trace trace = {.count = 0};
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, ordinary, &trace);
    EAGER(&g, NULL, gives_way, &trace);
    EAGER(&g, NULL, sleeps_once, &trace);
    note(&trace, '.');
    SPAWN(&g, NULL, ordinary, &trace);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_STR(trace.text, "ys.oYoS");
    return 0;
}

/* G2: many in a row, over the ends of time slices. */
ConformAlone(eager, many_of_them_each_run_before_their_spawn_returns)
{
    struct child c = {.sleep_ns = 0};
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (unsigned i = 1; i <= 2000; i++) {
        EAGER(&g, NULL, child, &c);
        EXPECT_EQ(c.began, i);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(c.ended, 2000);
    return 0;
}

static int fails(void *arg)
{
    (void)arg;
    return -EBADMSG;
}

struct canceller {
    struct raddle_group *group;
    int rc;
};

static int cancels_its_group(void *arg)
{
    struct canceller *c = arg;

    raddle_group_cancel(c->group, "from inside");
    c->rc = raddle_yield();
    return c->rc;
}

static int records_checkpoint(void *arg)
{
    *(int *)arg = raddle_checkpoint();
    return 0;
}

/* G2 I8: it is the group's from the start (gh-128550, gh-128588, gh-155418). */
ConformAlone(eager, one_that_fails_or_cancels_its_group_at_once_is_noticed_at_once)
{
    struct canceller c = {.rc = 1};
    struct raddle_group g;
    int rc = 1;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EAGER(&g, NULL, fails, NULL);
    EXPECT_EQ(raddle_checkpoint(), -ECANCELED);
    EAGER(&g, NULL, records_checkpoint, &rc); /* starts, and sees it */
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT_EQ(raddle_group_close(&g, 0), -EBADMSG);

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    c.group = &g;
    EAGER(&g, NULL, cancels_its_group, &c);
    EXPECT_EQ(c.rc, -ECANCELED);
    EXPECT_EQ(raddle_checkpoint(), -ECANCELED);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

static int says_it_is_up(void *arg)
{
    EXPECT_EQ(raddle_started(arg), 0);
    return raddle_yield();
}

/* G2 I9 I10 */
ConformAlone(eager, a_limit_and_a_wait_for_it_to_be_up_go_with_it)
{
    struct trace trace = {.count = 0};
    struct raddle_group g;
    raddle_task *task;
    void *ready = NULL;

    OPEN(&g, .mode = RADDLE_FAIL_FAST, .max_live = 1, .as_completed = true);
    EAGER(&g, NULL, gives_way, &trace);
    EAGER(&g, NULL, ends_at_once, &trace); /* waits for room, and then doesn't */
    EXPECT_STR(trace.text, "yYe");
    EXPECT_EQ(raddle_spawn_started(&g, NULL, says_it_is_up, &trace, &eagerly, &ready), 0);
    EXPECT(ready == &trace);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(raddle_group_next(&g, &task), 1);
        raddle_task_unref(task);
    }
    return raddle_group_close(&g, 0);
}

/* Strands. */

struct room {
    raddle_strand *strand;
    unsigned inside; /* plain: of the strand */
    struct trace trace;
};

static int mate(void *arg)
{
    struct room *room = arg;

    EXPECT_EQ(room->inside, 0);
    note(&room->trace, 'm');
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(room->inside, 0);
    note(&room->trace, 'M');
    return 0;
}

static int guest(void *arg)
{
    struct room *room = arg;

    EXPECT(raddle_running_strand() == room->strand);
    note(&room->trace, 'g');
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(room->inside, 0);
    note(&room->trace, 'G');
    return 0;
}

static int brief_guest(void *arg)
{
    struct room *room = arg;

    EXPECT(raddle_running_strand() == room->strand);
    note(&room->trace, 'h');
    return 0;
}

static int host(void *arg)
{
    struct room *room = arg;
    struct raddle_spawn_options outside = {.eager_start = true, .strand = RADDLE_NO_STRAND};
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (int i = 0; i < 2; i++)
        SPAWN(&g, NULL, mate, room);
    room->inside = 1;
    EAGER(&g, NULL, guest, room);
    EAGER(&g, NULL, brief_guest, room);
    EXPECT_EQ(raddle_spawn(&g, NULL, gives_way, &room->trace, &outside), 0);
    EXPECT_STR(room->trace.text, "ghy");
    room->inside = 0;
    return raddle_group_close(&g, 0);
}

/* G2: in a strand it runs on its spawner's turn, which is nobody else's meanwhile. */
ConformAlone(eager, one_in_the_spawners_strand_runs_on_its_turn)
{
    struct room room = {.inside = 0};
    struct raddle_spawn_options in = {.eager_start = false};
    struct raddle_group g;

    EXPECT_EQ(raddle_strand_create(&room.strand), 0);
    in.strand = room.strand;
    for (int i = 0; i < 3; i++) {
        memset(&room.trace, 0, sizeof(room.trace));
        OPEN(&g, .mode = RADDLE_FAIL_FAST);
        EXPECT_EQ(raddle_spawn(&g, NULL, host, &room, &in), 0);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
        EXPECT_STR(room.trace.text, "ghyYmmGMM");
    }
    raddle_strand_unref(room.strand);
    return 0;
}

/* From where it is not to be had. */

static int errors(void *arg)
{
    struct raddle_spawn_options o = {.eager_start = true};
    raddle_strand *strand;
    struct raddle_group g;
    raddle_loop *here = raddle_running_loop(), *lone = NULL;
    raddle_task *task = NULL;
    bool ran = false;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_strand_create(&strand), 0);
    o.strand = strand;
    EXPECT_EQ(raddle_spawn(&g, &task, test_nothing, &ran, &o), -EINVAL);
    o = (struct raddle_spawn_options){.eager_start = true, .loop = here};
    EXPECT_EQ(raddle_spawn(&g, NULL, test_nothing, &ran, &o), 0);
    EXPECT_EQ(raddle_loop_spawn(here, test_nothing, &ran, &eagerly), 0);
    EXPECT_EQ(raddle_new_loop(&lone), 0);
    o.loop = lone;
    EXPECT_EQ(raddle_spawn(&g, &task, test_nothing, &ran, &o), -EXDEV);
    EXPECT_EQ(raddle_loop_spawn(lone, test_nothing, &ran, &eagerly), -EINVAL);
    EXPECT(task == NULL);
    raddle_strand_unref(strand);
    *(raddle_loop **)arg = lone;
    return raddle_group_close(&g, 0);
}

static int other_loop(void *arg)
{
    struct raddle_spawn_options o = {.eager_start = true, .loop = arg};
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, test_nothing, NULL, &o),
              raddle_running_loop() == arg ? 0 : -EINVAL);
    return raddle_group_close(&g, 0);
}

/* G2 */
Conform(eager, on_another_loop_or_in_a_strand_of_others_it_is_not_to_be_had)
{
    raddle_loop *here = raddle_running_loop();
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (int i = 0; i < 8; i++)
        SPAWN(&g, NULL, other_loop, here);
    return raddle_group_close(&g, 0);
}

static int never(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

/* G2 */
RuntimeTest(eager, from_a_plain_thread_it_is_not_to_be_had)
{
    raddle_loop *lone = NULL;
    struct raddle_group g;
    bool ran = false;

    memset(&g, 0, sizeof(g));
    cr_assert_eq(raddle_spawn(&g, NULL, never, &ran, &eagerly), -EPERM);
    cr_assert_eq(raddle_new_loop(&lone), 0);
    cr_assert_eq(raddle_loop_spawn(lone, never, &ran, &eagerly), -EINVAL);
    cr_assert_eq(raddle_loop_close(lone), 0);
    cr_assert_not(ran);
}

/* On a team, and from callbacks. */

struct where {
    raddle_loop *loop;
    rdl_atomic(unsigned) began;
};

static int tells_where(void *arg)
{
    struct where *w = arg;

    w->loop = raddle_running_loop();
    rdl_atomic_store_release(&w->began, 1u);
    return 0;
}

/* G2 */
RuntimeTest(eager, a_bad_option_beside_it_starts_nothing)
{
    raddle_loop *lone = NULL;

    cr_assert_eq(test_run_on(1, errors, &lone), 0);
    cr_assert_eq(raddle_loop_close(lone), 0);
}

static int spawns_in_a_team(void *arg)
{
    struct where w[4] = {{.loop = NULL}};
    struct raddle_group g;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (int i = 0; i < 4; i++)
        EAGER(&g, NULL, tells_where, &w[i]);
    test_burn(SHORT); /* no thief sees them */
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(w[i].began, 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < 4; i++)
        EXPECT(w[i].loop == raddle_running_loop());
    return 0;
}

/* G2: no run within the spawn there, unlike asyncio; they run on the spawner's loop. */
RuntimeTest(eager, on_a_team_they_are_the_next_on_the_spawners_loop_when_it_suspends)
{
    test_keep_still();
    cr_assert_eq(raddle_run(spawns_in_a_team, NULL,
                            &(struct raddle_run_options){.loops = 3, .mobility = RADDLE_FRESH}),
                 0);
}

struct from_callback {
    struct raddle_group group;
    struct trace trace;
};

static void spawns_eagerly(void *arg)
{
    struct from_callback *f = arg;

    note(&f->trace, 'a');
    EAGER(&f->group, NULL, gives_way, &f->trace);
    note(&f->trace, 'z');
}

/* G2 */
ConformAlone(eager, one_that_a_callback_spawns_is_the_next_to_run)
{
    struct from_callback f = {.trace = {.count = 0}};

    OPEN(&f.group, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), spawns_eagerly, &f), 0);
    SPAWN(&f.group, NULL, ordinary, &f.trace);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(raddle_group_close(&f.group, 0), 0);
    EXPECT_STR(f.trace.text, "azyoY");
    return 0;
}

/* Stopping the loop. */

struct stopping {
    struct trace trace;
    raddle_loop *loop;
};

static int stops(void *arg)
{
    struct stopping *s = arg;

    note(&s->trace, '1');
    raddle_loop_stop(s->loop);
    return 0;
}

static int spawns_while_stopping(void *arg)
{
    struct stopping *s = arg;
    struct raddle_group g;

    note(&s->trace, '2');
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (int i = 0; i < 3; i++)
        EAGER(&g, NULL, ends_at_once, &s->trace);
    note(&s->trace, '3');
    return raddle_group_close(&g, 0);
}

/* G2 A4: who spawned it is part of the batch that a stop lets run. */
RuntimeTest(eager, a_stop_waits_for_the_spawners_that_were_to_run_before_it)
{
    struct stopping s = {.trace = {.count = 0}};
    raddle_loop *loop;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    s.loop = loop;
    cr_assert_eq(raddle_loop_spawn(loop, stops, &s, NULL), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(raddle_loop_spawn(loop, spawns_while_stopping, &s, NULL), 0);
    cr_assert_eq(raddle_loop_spawn(loop, ordinary, &s.trace, NULL), 0);
    cr_assert_eq(raddle_loop_run_forever(loop), 0);
    EXPECT_STR(s.trace.text, "12eee32eee3o");
    cr_assert_eq(raddle_loop_close(loop), 0);
}
