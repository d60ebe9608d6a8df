/*
 * tests/conformance/test_generator_steps.c - a generator runs in the task that asks it, with its scopes, its context
 * and its waits: rows Z4, Z5 and Y6 of the contract.
 */
#define _GNU_SOURCE
#include "tests/conformance/generator.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(generator_steps, .timeout = 60);

static int yields_in_scopes(raddle_gen *gen, void *arg)
{
    struct raddle_scope scope;
    struct raddle_group group;
    int one = 1, rc;
    (void)arg;

    raddle_scope_enter(&scope, raddle_in(RADDLE_S(100)), 0);
    EXPECT_EQ(raddle_gen_yield(gen, &one, NULL), -EDEADLK);
    EXPECT_EQ(raddle_scope_leave(&scope, 0), 0);
    EXPECT_EQ(raddle_group_open(&group, NULL), 0);
    EXPECT_EQ(raddle_spawn(&group, NULL, test_nothing, NULL, NULL), 0);
    EXPECT_EQ(raddle_gen_yield(gen, &one, NULL), -EDEADLK);
    EXPECT_EQ(raddle_group_close(&group, 0), 0);
    rc = raddle_gen_yield(gen, &one, NULL);
    raddle_scope_enter(&scope, RADDLE_NEVER, 0); /* closing: it may have them, and not yield */
    EXPECT_EQ(raddle_gen_yield(gen, &one, NULL), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&scope, 0), 0);
    return rc;
}

static int yields_with_a_lock_of_its_own(raddle_gen *gen, void *arg)
{
    /* AddressSanitizer keeps local variables elsewhere. */
    struct raddle_mutex *mutex = __builtin_alloca(sizeof(*mutex));

    memset(mutex, 0, sizeof(*mutex));
    EXPECT_EQ(raddle_lock(mutex), 0);
    EXPECT_EQ(raddle_gen_yield(gen, arg, NULL), -EDEADLK);
    EXPECT_EQ(raddle_unlock(mutex), 0);
    return raddle_gen_yield(gen, arg, NULL);
}

static int asks_one_with_a_lock(void *arg)
{
    void *item = NULL;
    raddle_gen *gen;

    EXPECT_EQ(raddle_gen_open(&gen, yields_with_a_lock_of_its_own, arg, NULL), 0);
    EXPECT_EQ(raddle_gen_next(gen, NULL, &item), 1);
    EXPECT(item == arg);
    return raddle_gen_close(gen);
}

RuntimeTest(generator_steps, a_lock_in_its_frames_is_not_left_behind_by_a_yield)
{
    int item = 1;

    cr_assert_eq(test_run(asks_one_with_a_lock, &item), 0);
}

static int yields(void *arg)
{
    return raddle_gen_yield(arg, arg, NULL);
}

static int yields_in_a_context(raddle_gen *gen, void *arg)
{
    EXPECT_EQ(raddle_ctx_run(arg, yields, gen), -EDEADLK);
    return yields(gen);
}

static int asks_in_a_context(void *arg)
{
    EXPECT_EQ(raddle_gen_next(arg, NULL, NULL), 1); /* the consumer's own */
    return raddle_gen_close(arg);
}

static int has_contexts(void *arg)
{
    raddle_ctx *outer = NULL, *inner = NULL;
    int rc;

    EXPECT_EQ(raddle_ctx_create(&outer), 0);
    EXPECT_EQ(raddle_ctx_create(&inner), 0);
    rc = raddle_ctx_run(outer, asks_in_a_context, open_gen(yields_in_a_context, inner));
    raddle_ctx_unref(outer);
    raddle_ctx_unref(inner);
    (void)arg;
    return rc;
}

/* Z4 */
RuntimeTest(generator_steps, a_yield_out_of_a_context_that_is_run_in_is_refused)
{
    cr_assert_eq(test_run(has_contexts, NULL), 0);
}

static int asks_inside_scopes(void *arg)
{
    raddle_gen *gen = open_gen(yields_in_scopes, arg);
    struct raddle_scope a, b;

    raddle_scope_enter(&a, RADDLE_NEVER, 0);
    raddle_scope_enter(&b, RADDLE_NEVER, 0);
    EXPECT_EQ(next_of(gen), 1); /* the consumer's scopes are its own business */
    EXPECT_EQ(raddle_scope_leave(&b, 0), 0);
    EXPECT_EQ(raddle_scope_leave(&a, 0), 0);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    return 0;
}

/* Z4 */
RuntimeTest(generator_steps, a_yield_with_a_scope_or_a_group_open_is_refused)
{
    raddle_on_report(note, NULL);
    cr_assert_eq(test_run(asks_inside_scopes, NULL), 0);
    raddle_on_report(NULL, NULL);
}

static struct raddle_var var = RADDLE_VAR_INIT("var", "nothing", NULL);

struct seen {
    const char *value[2];
    raddle_task *self[2];
    raddle_time deadline[2];
};

static int looks_around(raddle_gen *gen, void *arg)
{
    struct seen *seen = arg;
    int rc = 0;

    for (int i = 0; rc == 0 && i < 2; i++) {
        seen->value[i] = raddle_var_get(&var);
        seen->self[i] = raddle_self();
        seen->deadline[i] = raddle_effective_deadline();
        EXPECT_EQ(raddle_var_set(&var, "by the generator", NULL), 0);
        rc = raddle_gen_yield(gen, seen, NULL);
    }
    return rc;
}

static int asks_second(void *arg)
{
    struct raddle_scope limit;

    EXPECT_EQ(raddle_var_set(&var, "second", NULL), 0);
    raddle_scope_enter(&limit, RADDLE_S(4000000000), 0);
    EXPECT_EQ(raddle_gen_next(arg, NULL, NULL), 1);
    EXPECT_EQ(raddle_scope_leave(&limit, 0), 0);
    EXPECT_STR(raddle_var_get(&var), "by the generator");
    return 0;
}

static int asks_from_two_tasks(void *arg)
{
    struct seen *seen = arg;
    raddle_gen *gen = open_gen(looks_around, seen);
    raddle_task *child = NULL;
    struct raddle_group g;

    EXPECT_EQ(raddle_var_set(&var, "first", NULL), 0);
    EXPECT_EQ(raddle_gen_next(gen, NULL, NULL), 1);
    EXPECT_STR(raddle_var_get(&var), "by the generator"); /* it is the same context */
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &child, asks_second, gen, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    EXPECT_STR(seen->value[0], "first");
    EXPECT_STR(seen->value[1], "second");
    EXPECT(seen->self[0] == raddle_self() && seen->self[1] == child);
    EXPECT_EQ(seen->deadline[0], RADDLE_NEVER);
    EXPECT_EQ(seen->deadline[1], RADDLE_S(4000000000));
    raddle_task_unref(child);
    return 0;
}

/* Y6 */
RuntimeTest(generator_steps, each_step_has_the_context_the_scopes_and_the_self_of_who_asks)
{
    struct seen seen;

    cr_assert_eq(test_run(asks_from_two_tasks, &seen), 0);
}

/* Y6: when it waits, its task waits. */
static int sleeps(raddle_gen *gen, void *arg)
{
    int rc = 0;
    (void)arg;

    while (rc == 0) {
        rc = raddle_sleep(RADDLE_US(100));
        if (rc == 0)
            rc = raddle_gen_yield(gen, NULL, NULL);
    }
    return rc;
}

static int sleeps_for_ever(raddle_gen *gen, void *arg)
{
    (void)gen;
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER);
}

static int has_a_limit(void *arg)
{
    raddle_gen *gen = open_gen(sleeps_for_ever, arg);
    struct raddle_scope limit;

    raddle_scope_enter(&limit, raddle_in(RADDLE_MS(2)), 0);
    EXPECT_EQ(raddle_scope_leave(&limit, raddle_gen_next(gen, NULL, NULL)), -ETIMEDOUT);
    EXPECT_EQ(raddle_gen_close(gen), 0); /* it has ended by that */

    gen = open_gen(sleeps, arg);
    raddle_scope_enter(&limit, RADDLE_NEVER, 0);
    EXPECT_EQ(raddle_gen_next(gen, NULL, NULL), 1);
    raddle_scope_cancel(&limit, "enough");
    EXPECT_EQ(raddle_gen_next(gen, NULL, NULL), -ECANCELED); /* it has not been run */
    EXPECT_EQ(raddle_scope_leave(&limit, -ECANCELED), 0);
    EXPECT_EQ(raddle_gen_next(gen, NULL, NULL), 1);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    return 0;
}

/* Y6 */
RuntimeTest(generator_steps, the_consumers_deadline_ends_what_the_generator_waits_for)
{
    cr_assert_eq(test_run(has_a_limit, NULL), 0);
}

static int is_cancelled_inside(void *arg)
{
    raddle_gen *gen = open_gen(sleeps_for_ever, NULL);
    int rc = raddle_gen_next(gen, NULL, NULL);

    *(int *)arg = rc;
    EXPECT_EQ(raddle_gen_close(gen), 0);
    return rc;
}

static char dump[1 << 16];

static int cancels(void *arg)
{
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task = NULL;
    int fds[2];
    ssize_t n;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, is_cancelled_inside, arg, NULL), 0);
    test_let_park_for(task, "a point in time");
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    EXPECT_EQ(raddle_print_tasks(fds[0]), 2);
    n = read(fds[1], dump, sizeof(dump) - 1);
    EXPECT(n > 0);
    close(fds[0]);
    close(fds[1]);
    EXPECT_EQ(raddle_task_cancel(task, "enough"), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(task);
    (void)!raddle_group_close(&g, 0);
    return 0;
}

/* Y6 */
RuntimeTest(generator_steps, a_task_that_waits_in_a_generator_is_cancelled_and_shown_as_any_other)
{
    int rc = 0;

    cr_assert_eq(test_run(cancels, &rc), 0);
    cr_expect_eq(rc, -ECANCELED);
    cr_assert(strstr(dump, "is_cancelled_inside"));
    cr_assert(strstr(dump, "in generator sleeps_for_ever, waits for a point in time"), "%s", dump);
}

/* A source, a filter and a sink, all of which suspend, in tasks that move: with bytes that the kernel brings. */
enum { BYTES = 500, PIPES = 6 };

static int reads_bytes(raddle_gen *gen, void *arg)
{
    char byte;
    int rc = 0;

    while (rc == 0 && raddle_fd_read(*(int *)arg, &byte, 1) > 0)
        rc = raddle_gen_yield(gen, &byte, NULL);
    return rc;
}

static int doubles(raddle_gen *gen, void *arg)
{
    int rc = 0, got = 0;
    void *item = NULL;

    while (rc == 0 && (got = raddle_gen_next(arg, NULL, &item)) == 1) {
        for (int i = 0; rc == 0 && i < 2; i++)
            rc = raddle_gen_yield(gen, item, NULL);
        if (rc == 0)
            rc = raddle_yield();
    }
    return rc < 0 ? rc : got;
}

static int writes_bytes(void *arg)
{
    for (int i = 0; i < BYTES; i++) {
        char byte = (char)i;
        EXPECT_EQ(raddle_fd_write(*(int *)arg, &byte, 1), 1);
        if (i % 7 == 0)
            EXPECT_EQ(raddle_sleep(1), 0);
    }
    return raddle_fd_close(*(int *)arg);
}

static int takes_bytes(void *arg)
{
    raddle_auto(gen) raddle_gen *source = open_gen(reads_bytes, arg);
    raddle_auto(gen) raddle_gen *filter = open_gen(doubles, source);
    raddle_task *self = raddle_self();
    int count = 0, rc;
    void *item = NULL;

    while ((rc = raddle_gen_next(filter, NULL, &item)) == 1) {
        EXPECT_EQ(*(char *)item, (char)(count / 2));
        EXPECT(raddle_self() == self);
        count++;
    }
    EXPECT_EQ(rc, 0);
    EXPECT_EQ(count, 2 * BYTES);
    return 0;
}

static int pipes(void *arg)
{
    struct raddle_spawn_options options = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group g;
    int fds[PIPES][2];
    (void)arg;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < PIPES; i++) {
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]), 0);
        EXPECT_EQ(raddle_spawn(&g, NULL, takes_bytes, &fds[i][0], &options), 0);
        EXPECT_EQ(raddle_spawn(&g, NULL, writes_bytes, &fds[i][1], &options), 0);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned i = 0; i < PIPES; i++)
        EXPECT_EQ(raddle_fd_close(fds[i][0]), 0);
    return 0;
}

/* Z5 */
RuntimeTest(generator_steps, pipelines_of_generators_wait_for_the_kernel_and_move_with_their_task)
{
    if (test_left_out("pipes"))
        return;
    cr_assert_eq(test_run(pipes, NULL), 0);
}
