/*
 * tests/conformance/test_groups.c - structured concurrency, row by row: the errors and the ends of groups, that of the
 * background among them.
 *
 * Above each case stand the rows and cases of asyncio's contract that it is for.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(groups, .timeout = 60);

/* I1: ≠ a cancelled group still takes children, which see that they are cancelled: who is given arg, frees it. */
/* I1 TC59 */
Conform(groups, spawning_into_one_that_is_closed_or_was_never_opened_starts_nothing)
{
    struct child c = {.sleep_ns = 0};
    struct raddle_group g = {.scope = {{0}}};

    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), RADDLE_ESHUTDOWN);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, no_fn, &c, NULL), -EINVAL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_group_close(&g, 7), 7);
    EXPECT_EQ(c.began, 0);

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    raddle_group_cancel(&g, "no more");
    c.sleep_ns = RADDLE_NEVER;
    SPAWN(&g, NULL, child, &c);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(c.began == 1 && c.cancelled);
    return 0;
}

/* I2 TC48 */
Conform(groups, a_child_that_fails_cancels_the_rest_and_the_body_but_one_that_is_cancelled_does_not)
{
    struct child c[4] = {{.sleep_ns = LONG, .rc = -EIO},
                         {.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = RADDLE_NEVER}};
    struct raddle_group_error errors[4];
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *alone;

    OPEN(&g, .errors = errors, .max_errors = 4);
    for (int i = 0; i < 4; i++)
        SPAWN(&g, i == 3 ? &alone : NULL, child, &c[i]);
    test_let_park(alone);
    EXPECT_EQ(raddle_task_cancel(alone, "this one"), 0);
    EXPECT_EQ(raddle_join(alone, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(alone);
    EXPECT_EQ(raddle_group_errors(&g), 0);

    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_EQ(raddle_group_close(&g, -ECANCELED), -EIO);
    EXPECT(c[1].cancelled && c[2].cancelled);
    EXPECT_EQ(raddle_group_errors(&g), 1);
    EXPECT(errors[0].rc == -EIO && errors[0].fn == child && errors[0].arg == &c[0]);
    return 0;
}

/* I2 I3 TC49 */
Conform(groups, all_failures_are_listed_in_the_order_of_time_the_body_s_with_no_function)
{
    struct child c[3] = {{.sleep_ns = RADDLE_NEVER, .cleanup_rc = -EPIPE},
                         {.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = RADDLE_NEVER, .cleanup_rc = 3}};
    struct raddle_group_error errors[2] = {{.rc = 0}};
    struct raddle_group g;

    OPEN(&g, .errors = errors, .max_errors = 2);
    for (int i = 0; i < 3; i++)
        SPAWN(&g, NULL, child, &c[i]);
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(raddle_group_close(&g, -ENOENT), -ENOENT);
    EXPECT_EQ(raddle_group_errors(&g), 2);
    EXPECT(errors[0].rc == -ENOENT && !errors[0].fn && !errors[0].arg);
    EXPECT(errors[1].rc == -EPIPE && errors[1].fn == child && errors[1].arg == &c[0]);
    return 0;
}

/* I2 */
Conform(groups, failures_without_room_are_counted_all_the_same)
{
    struct child c[5];
    struct raddle_group_error errors[2];
    struct raddle_group g;

    memset(c, 0, sizeof(c));
    OPEN(&g, .mode = RADDLE_COLLECT, .errors = errors, .max_errors = 2);
    for (int i = 0; i < 5; i++) {
        c[i].rc = -EIO - i;
        SPAWN(&g, NULL, child, &c[i]);
    }
    EXPECT_IN(raddle_group_close(&g, 0), -EIO - 4, -EIO + 1);
    EXPECT_EQ(raddle_group_errors(&g), 5);

    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.max_errors = 1}), -EINVAL);
    EXPECT_EQ(raddle_group_errors(&g), 0);
    return 0;
}

/* An outer scope is cancelled while the close waits; a child's clean-up then fails. */
static int closes(void *arg)
{
    struct child c = {.sleep_ns = RADDLE_NEVER, .cleanup_rc = *(int *)arg};
    struct raddle_group g;
    int rc;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, child, &c);
    rc = raddle_group_close(&g, 0);
    EXPECT(c.cancelled);
    EXPECT(raddle_cancelled());
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    return rc;
}

/* I4 TC50 */
Conform(groups, one_whose_close_is_cancelled_tells_the_cancellation_unless_a_child_failed)
{
    int cleanups[2] = {-EIO, 0}, wanted[2] = {-EIO, -ECANCELED};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    for (int i = 0; i < 2; i++) {
        OPEN(&g, .mode = RADDLE_COLLECT);
        SPAWN(&g, &task, closes, &cleanups[i]);
        test_let_park_for(task, "the tasks of its group");
        EXPECT_EQ(raddle_task_cancel(task, "from outside"), 0);
        EXPECT_EQ(raddle_join(task, &outcome), 0);
        EXPECT_EQ(outcome.rc, wanted[i]);
        raddle_task_unref(task);
        EXPECT_EQ(raddle_group_close(&g, 0), wanted[i] == -EIO ? -EIO : 0);
    }
    return 0;
}

/* Children that spawn children, until one fails: then each generation is born cancelled, and ends. */
struct hydra {
    struct raddle_group *group;
    rdl_atomic(unsigned) heads;
};

static int head(void *arg)
{
    struct hydra *h = arg;
    unsigned number = rdl_atomic_fetch_add_acq_rel(&h->heads, 1u);

    if (number == 50)
        return -EIO;
    if (raddle_yield() < 0)
        return -ECANCELED;
    SPAWN(h->group, NULL, head, h);
    return 0;
}

/* I6 */
Conform(groups, children_may_spawn_siblings_while_it_is_closed_and_an_error_ends_that)
{
    struct raddle_group g;
    struct hydra h = {.group = &g};

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, head, &h);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    EXPECT_IN(h.heads, 51, 53);
    return 0;
}

/* I7 TC52 */
Conform(groups, nested_ones_that_fail_together_tell_each_its_own)
{
    struct child in = {.sleep_ns = SHORT, .rc = -EIO}, out = {.sleep_ns = SHORT, .rc = -EPIPE};
    struct raddle_group outer, inner;
    int rc;

    OPEN(&outer, .mode = RADDLE_FAIL_FAST);
    OPEN(&inner, .mode = RADDLE_FAIL_FAST);
    SPAWN(&inner, NULL, child, &in);
    SPAWN(&outer, NULL, child, &out);
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    /* The inner child may have been cut short by the failure of the outer one. */
    rc = raddle_group_close(&inner, 0);
    EXPECT_EQ(rc, in.cancelled ? -ECANCELED : -EIO);
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_EQ(raddle_group_close(&outer, 0), -EPIPE);
    EXPECT(!raddle_cancelled());
    EXPECT_EQ(raddle_cancelling(raddle_self()), 0);
    EXPECT_EQ(raddle_yield(), 0);
    return 0;
}

/* I8 */
Conform(groups, cancelling_one_is_no_failure_is_repeatable_and_hides_no_timeout)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_scope limit;
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, child, &c);
    raddle_group_cancel(&g, "enough");
    raddle_group_cancel(&g, "enough");
    EXPECT_EQ(raddle_group_close(&g, raddle_yield()), 0);
    EXPECT(c.cancelled);

    /* An outer deadline that passes while the children of a cancelled group clean up. */
    raddle_scope_enter(&limit, raddle_in(LONG), 0);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, child, &c);
    raddle_group_cancel(&g, "enough");
    test_burn(2 * LONG);
    EXPECT_EQ(raddle_group_close(&g, -ECANCELED), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&limit, -ECANCELED), -ETIMEDOUT);
    return 0;
}

static int waits_in_group(void *arg)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_group g;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, &(struct raddle_spawn_options){.name = "below"}),
              0);
    return raddle_group_close(&g, 0);
}

/* I11 X10 */
Conform(groups, a_dump_shows_who_waits_for_whom)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    struct raddle_group g;
    char text[4096];
    const char *above, *below;
    raddle_task *task;
    ssize_t n;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, &task, waits_in_group, NULL,
                           &(struct raddle_spawn_options){.name = "above"}),
              0);
    test_let_park_for(task, "the tasks of its group");
    EXPECT_IN(raddle_print_tasks(fd), 3, 100);
    n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    above = strstr(text, "    above");
    below = strstr(text, "      below");
    EXPECT(above && below && below > above);
    raddle_task_unref(task);
    raddle_group_cancel(&g, "seen");
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

static size_t resident_kib(void)
{
    char text[128] = {0};
    unsigned long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
        pages = strtoul(strchr(text, ' '), NULL, 10);
    close(fd);
    return pages * 4;
}

/* TC56 */
Conform(groups, children_that_have_ended_leave_nothing_in_one_that_is_open)
{
    unsigned rounds = test_slowness() > 1 ? 20 : 200;
    size_t before = 0, stacks;
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (unsigned i = 0; i < rounds; i++) {
        for (int k = 0; k < 500; k++)
            SPAWN(&g, NULL, test_nothing, NULL);
        while (raddle_group_live(&g))
            EXPECT_EQ(raddle_yield(), 0);
        if (i == rounds / 2)
            before = resident_kib();
    }
    /* The last ones may be on their way out; and stacks that a loop is just giving back are counted as in use. */
    stacks = test_footprint().stacks;
    for (int i = 0; i < 1000 && stacks >= 10; i++) {
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
        stacks = test_footprint().stacks;
    }
    EXPECT_IN(stacks, 1, 10);
    if (test_slowness() == 1) /* a sanitizer keeps what was freed */
        EXPECT_IN(resident_kib(), 1, before + 8 * 1024);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

static char last_report[512];
static rdl_atomic(unsigned) reports;

static void note_report(const char *line, void *arg)
{
    (void)arg;
    strncpy(last_report, line, sizeof(last_report) - 1);
    rdl_atomic_fetch_add_acq_rel(&reports, 1u);
}

static int leaves_it_open(struct child *c)
{
    raddle_auto(group) struct raddle_group g = {.scope = {{0}}};

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, child, c);
    return raddle_yield();
}

static int closes_it(struct child *c)
{
    raddle_auto(group) struct raddle_group g = {.scope = {{0}}};
    raddle_auto(group) struct raddle_group never = {.scope = {{0}}};

    EXPECT_EQ(raddle_group_errors(&never), 0);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, child, c);
    return raddle_group_close(&g, 6);
}

/* TC57 */
Conform(groups, one_that_is_left_without_a_close_is_cancelled_joined_and_reported)
{
    struct child c = {.sleep_ns = RADDLE_NEVER}, short_one = {.sleep_ns = 0};

    raddle_on_report(note_report, NULL);
    EXPECT_EQ(closes_it(&short_one), 6);
    EXPECT_EQ(reports, 0);
    EXPECT_EQ(leaves_it_open(&c), 0);
    EXPECT(c.ended == 1 && c.cancelled);
    EXPECT(!raddle_cancelled());
    EXPECT_EQ(reports, 1);
    EXPECT(strstr(last_report, "\"main\" left a group without closing it") != NULL);
    raddle_on_report(NULL, NULL);
    return 0;
}

static int spawns_in_background(void *arg)
{
    struct child *c = arg;
    struct raddle_group *background = raddle_background();

    EXPECT(background != NULL);
    SPAWN(background, NULL, child, &c[0]);
    SPAWN(background, NULL, child, &c[1]);
    return background == raddle_background() ? 5 : -1;
}

static int main_with_background(void *arg)
{
    struct child *c = arg;
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, spawns_in_background, c);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.rc, 5);
    raddle_task_unref(task);
    /* They are not the group's. */
    EXPECT_EQ(raddle_group_close(&g, 3), 3);
    test_await(&c[1].ended, 1);
    EXPECT_EQ(c[0].ended, 0);
    return 9;
}

/* G1 G10 A1 */
RuntimeTest(groups, tasks_in_the_background_are_owned_by_the_run_and_their_failures_reported)
{
    struct child c[2] = {{.sleep_ns = RADDLE_NEVER}, {.sleep_ns = SHORT, .rc = -EIO}};

    raddle_on_report(note_report, NULL);
    cr_assert_eq(test_run(main_with_background, c), 9);
    raddle_on_report(NULL, NULL);
    cr_assert(c[0].ended == 1 && c[0].cancelled);
    cr_assert_eq(reports, 1);
    cr_assert(strstr(last_report, "task \"child\"") && strstr(last_report, raddle_strerror(-EIO)));
}

static int refused_at_the_end(void *arg)
{
    struct child *c = arg;

    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    /* Still taken, and cancelled from the beginning. */
    SPAWN(raddle_background(), NULL, child, c);
    return 0;
}

static int main_that_leaves(void *arg)
{
    SPAWN(raddle_background(), NULL, refused_at_the_end, arg);
    return raddle_yield();
}

/* G1 A1 */
RuntimeTest(groups, what_is_put_into_the_background_at_the_end_of_the_run_is_waited_for_too)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};

    cr_assert_eq(test_run(main_that_leaves, &c), 0);
    cr_assert(c.ended == 1 && c.cancelled);
}

/* G1 A5 */
RuntimeTest(groups, a_loop_of_ones_own_has_a_background_that_its_close_ends)
{
    struct child c[2] = {{.sleep_ns = RADDLE_NEVER}, {.sleep_ns = 0}};
    raddle_loop *loop;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, spawns_in_background, c), 5);
    cr_assert_eq(c[0].ended, 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert(c[0].ended == 1 && c[0].cancelled);
}

static int cancels_background(void *arg)
{
    struct child *c = arg;

    SPAWN(raddle_background(), NULL, child, c);
    raddle_group_cancel(raddle_background(), "all of it");
    test_await(&c->ended, 1);
    EXPECT(c->cancelled);
    EXPECT(!raddle_cancelled());
    return 0;
}

/* I8 */
RuntimeTest(groups, the_background_may_be_cancelled_before_the_end)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};

    cr_assert_eq(test_run(cancels_background, &c), 0);
}
