/*
 * tests/conformance/test_generators.c - generators: rows Z1 to Z5 and Z8 of the contract, Y6 and TC108.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(generators, .timeout = 60);

#define open_gen(fn, arg) open_named((fn), (arg), #fn)

static raddle_gen *open_named(raddle_gen_fn *fn, void *arg, const char *name)
{
    raddle_gen *gen = NULL;

    EXPECT_EQ(raddle_gen_open_at(&gen, fn, arg, NULL, name), 0);
    return gen;
}

/* What comes next, an int: or -1 at the end, and the error. */
static int next_of(raddle_gen *gen)
{
    void *item = NULL;
    int rc = raddle_gen_next(gen, NULL, &item);

    return rc == 1 ? *(int *)item : rc == 0 ? -1 : rc;
}

static char reported[512];

static void note(const char *line, void *arg)
{
    (void)arg;
    strncpy(reported, line, sizeof(reported) - 1);
}

static int counts_up(raddle_gen *gen, void *arg)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < *(int *)arg; i++)
        rc = raddle_gen_yield(gen, &i, NULL);
    return rc;
}

static int takes_all(void *arg)
{
    int three = 3;
    raddle_gen *gen = open_gen(counts_up, &three);
    void *item = &three;
    (void)arg;

    for (int i = 0; i < 3; i++)
        EXPECT_EQ(next_of(gen), i);
    EXPECT_EQ(raddle_gen_next(gen, NULL, &item), 0);
    EXPECT(item == &three); /* untouched */
    EXPECT_EQ(raddle_gen_next(gen, NULL, NULL), 0);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    EXPECT_EQ(raddle_gen_close(NULL), 0);
    return 0;
}

/* Z1 */
RuntimeTest(generators, items_come_in_order_and_then_there_is_an_end)
{
    cr_assert_eq(test_run(takes_all, NULL), 0);
}

static int echoes(raddle_gen *gen, void *arg)
{
    void *sent = NULL;
    int rc = 0;

    while (rc == 0 && sent != arg)
        rc = raddle_gen_yield(gen, sent, &sent);
    return rc < 0 ? rc : -EPIPE;
}

static int sends(void *arg)
{
    raddle_gen *gen = open_gen(echoes, arg);
    char values[3];
    void *item = values;

    EXPECT_EQ(raddle_gen_next(gen, &values[0], &item), 1);
    EXPECT(item == NULL); /* nothing was pending that could have been sent to */
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(raddle_gen_next(gen, &values[i], &item), 1);
        EXPECT(item == &values[i]);
    }
    EXPECT_EQ(raddle_gen_next(gen, arg, &item), -EPIPE); /* a failure is told once */
    EXPECT_EQ(raddle_gen_next(gen, arg, &item), 0);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    return 0;
}

/* Z1 */
RuntimeTest(generators, what_is_sent_is_what_the_yield_gets_and_a_failure_is_told_once)
{
    char last;

    cr_assert_eq(test_run(sends, &last), 0);
}

static int recovers(raddle_gen *gen, void *arg)
{
    int *seen = arg;
    int rc = raddle_gen_yield(gen, seen, NULL);

    while (rc == -EIO) {
        ++*seen;
        rc = raddle_gen_yield(gen, seen, NULL);
    }
    return rc;
}

static int throws(void *arg)
{
    int seen = 0;
    raddle_gen *gen = open_gen(recovers, &seen);
    void *item = NULL;
    (void)arg;

    EXPECT_EQ(raddle_gen_throw(gen, 0, NULL), -EINVAL);
    EXPECT_EQ(raddle_gen_throw(NULL, -EIO, NULL), -EINVAL);
    EXPECT_EQ(next_of(gen), 0);
    EXPECT_EQ(raddle_gen_throw(gen, -EIO, &item), 1);
    EXPECT(item == &seen);
    EXPECT_EQ(next_of(gen), -1); /* the yield before succeeded, and that ended it */
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(raddle_gen_throw(gen, -EIO, NULL), -EIO); /* it has ended, and stays so */
    EXPECT_EQ(raddle_gen_close(gen), 0);

    gen = open_gen(recovers, &seen);
    EXPECT_EQ(next_of(gen), 1);
    EXPECT_EQ(raddle_gen_throw(gen, -EPIPE, NULL), -EPIPE);
    EXPECT_EQ(raddle_gen_close(gen), 0);

    gen = open_gen(recovers, &seen); /* not begun: it ends without having run */
    EXPECT_EQ(raddle_gen_throw(gen, -EIO, NULL), -EIO);
    EXPECT_EQ(next_of(gen), -1);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    return 0;
}

/* Z1 */
RuntimeTest(generators, what_is_thrown_is_what_the_yield_returns)
{
    cr_assert_eq(test_run(throws, NULL), 0);
}

/* One that cleans up, and suspends while it does. */
struct cleaner {
    int result; /* what it returns in the end, if not 0 */
    int yielded, cleaned;
    raddle_task *cleaned_in;
};

static int cleans_up(raddle_gen *gen, void *arg)
{
    struct cleaner *cleaner = arg;
    int rc = 0;

    while (rc == 0)
        rc = raddle_gen_yield(gen, &cleaner->yielded, NULL);
    cleaner->yielded = rc;
    EXPECT_EQ(raddle_sleep(RADDLE_US(200)), 0);
    cleaner->cleaned++;
    cleaner->cleaned_in = raddle_self();
    return cleaner->result ? cleaner->result : rc;
}

static int closes(void *arg)
{
    struct cleaner cleaner = {.result = 0};
    raddle_gen *gen = open_gen(cleans_up, &cleaner);
    (void)arg;

    EXPECT_EQ(raddle_gen_close(gen), 0); /* never begun: nothing to clean up */
    EXPECT_EQ(cleaner.cleaned, 0);

    gen = open_gen(cleans_up, &cleaner);
    EXPECT_EQ(next_of(gen), 0);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    EXPECT_EQ(cleaner.yielded, -ECANCELED);
    EXPECT_EQ(cleaner.cleaned, 1);
    EXPECT(cleaner.cleaned_in == raddle_self());

    cleaner = (struct cleaner){.result = -EIO};
    gen = open_gen(cleans_up, &cleaner);
    EXPECT_EQ(next_of(gen), 0);
    EXPECT_EQ(raddle_gen_close(gen), -EIO);
    EXPECT_EQ(cleaner.cleaned, 1);

    cleaner = (struct cleaner){.result = 12};
    gen = open_gen(cleans_up, &cleaner);
    EXPECT_EQ(next_of(gen), 0);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    return 0;
}

/* Z1 */
RuntimeTest(generators, a_close_lets_the_yield_fail_and_waits_for_the_cleanup)
{
    cr_assert_eq(test_run(closes, NULL), 0);
}

static int ignores_the_close(raddle_gen *gen, void *arg)
{
    int *yields = arg, rc;

    while ((rc = raddle_gen_yield(gen, NULL, NULL)) == 0 || *yields < 5)
        ++*yields;
    return rc;
}

static int closes_a_stubborn_one(void *arg)
{
    raddle_gen *gen = open_gen(ignores_the_close, arg);

    EXPECT_EQ(raddle_gen_next(gen, NULL, NULL), 1);
    return raddle_gen_close(gen);
}

/* Z1 */
RuntimeTest(generators, a_yield_while_it_is_closed_is_refused_and_reported)
{
    int yields = 0;

    raddle_on_report(note, NULL);
    cr_assert_eq(test_run(closes_a_stubborn_one, &yields), 0);
    cr_expect_eq(yields, 5);
    cr_assert(strstr(reported, "ignores_the_close") && strstr(reported, "\"main\""));
    raddle_on_report(NULL, NULL);
}

/* Z1, TC108: one generator, and another task that wants it, too. */
struct shared {
    raddle_gen *gen;
    rdl_atomic(unsigned) waiting, go;
    int own_next, own_close, own_exit;
};

static int holds_on(raddle_gen *gen, void *arg)
{
    struct shared *shared = arg;
    int one = 1;

    shared->own_next = raddle_gen_next(gen, NULL, NULL);
    shared->own_close = raddle_gen_close(gen);
    shared->own_exit = raddle_gen_exit(gen, 0);
    rdl_atomic_store_release(&shared->waiting, 1u);
    test_await(&shared->go, 1);
    return raddle_gen_yield(gen, &one, NULL);
}

static int meddles(void *arg)
{
    struct shared *shared = arg;

    test_await(&shared->waiting, 1);
    EXPECT_EQ(raddle_gen_next(shared->gen, NULL, NULL), -EBUSY);
    EXPECT_EQ(raddle_gen_throw(shared->gen, -EIO, NULL), -EBUSY);
    EXPECT_EQ(raddle_gen_close(shared->gen), -EBUSY);
    EXPECT_EQ(raddle_gen_exit(shared->gen, 0), -EBUSY);
    EXPECT_EQ(raddle_gen_yield(shared->gen, NULL, NULL), -EINVAL);
    rdl_atomic_store_release(&shared->go, 1u);
    return 0;
}

static int shares(void *arg)
{
    struct shared *shared = arg;
    struct raddle_group g;

    shared->gen = open_gen(holds_on, shared);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, meddles, shared, NULL), 0);
    EXPECT_EQ(next_of(shared->gen), 1);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(next_of(shared->gen), -1);
    EXPECT_EQ(raddle_gen_close(shared->gen), 0);
    return 0;
}

/* Z1 TC108 */
RuntimeTest(generators, one_that_runs_is_busy_for_other_tasks_and_for_itself)
{
    struct shared shared = {.gen = NULL};

    cr_assert_eq(test_run(shares, &shared), 0);
    cr_expect_eq(shared.own_next, -EBUSY);
    cr_expect_eq(shared.own_close, -EBUSY);
    cr_expect_eq(shared.own_exit, -EBUSY);
}

static int bad_arguments(void *arg)
{
    struct raddle_gen_options options = {.stack_bytes = (size_t)65 << 20};
    raddle_gen *gen = NULL;
    (void)arg;

    EXPECT_EQ(raddle_gen_open(NULL, counts_up, NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_gen_open(&gen, NULL, NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_gen_open(&gen, counts_up, NULL, &options), -EINVAL);
    options = (struct raddle_gen_options){.reserved = {0, 1}};
    EXPECT_EQ(raddle_gen_open(&gen, counts_up, NULL, &options), -EINVAL);
    EXPECT(gen == NULL);
    EXPECT_EQ(raddle_gen_next(NULL, NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_gen_yield(NULL, NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_gen_enter(NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_gen_exit(NULL, 5), 5);
    raddle_gen_autoclose(&gen);
    return 0;
}

static int begins(void *arg)
{
    EXPECT_EQ(raddle_gen_next(*(raddle_gen **)arg, NULL, NULL), 1);
    return 0;
}

static int ends(void *arg)
{
    EXPECT_EQ(raddle_gen_close(*(raddle_gen **)arg), 0);
    return 0;
}

/* Z1 */
RuntimeTest(generators, bad_arguments_and_calls_outside_a_task_are_answered)
{
    int one = 1;
    raddle_gen *gen = open_gen(counts_up, &one);

    cr_expect_eq(raddle_gen_next(gen, NULL, NULL), -EPERM);
    cr_expect_eq(raddle_gen_yield(gen, NULL, NULL), -EPERM);
    cr_assert_eq(test_run(begins, &gen), 0);
    cr_expect_eq(raddle_gen_close(gen), -EPERM); /* it would have to run */
    cr_expect_eq(raddle_gen_exit(gen, 0), -EPERM);
    cr_assert_eq(test_run(ends, &gen), 0);
    gen = open_gen(counts_up, &one);
    cr_expect_eq(raddle_gen_close(gen), 0); /* it wouldn't */
    cr_assert_eq(test_run(bad_arguments, NULL), 0);
}

/* Z1: a tree, walked by a generator per node; and by one, in any depth of calls. */
enum { DEPTH = 6 };

struct node {
    int depth, value;
};

static int walks(raddle_gen *gen, void *arg)
{
    struct node *node = arg, left, right;
    struct node *sides[2] = {&left, &right};
    int rc = 0, got = 0;
    void *item = NULL;

    for (int i = 0; rc == 0 && node->depth && i < 2; i++) {
        raddle_auto(gen) raddle_gen *below = NULL;
        *sides[i] = (struct node){node->depth - 1, 2 * node->value + i};
        rc = raddle_gen_open(&below, walks, sides[i], NULL);
        while (rc == 0 && (got = raddle_gen_next(below, NULL, &item)) == 1)
            rc = raddle_gen_yield(gen, item, NULL);
        rc = rc < 0 ? rc : got;
    }
    if (rc == 0 && !node->depth)
        rc = raddle_gen_yield(gen, &node->value, NULL);
    return rc;
}

static int descends(raddle_gen *gen, int depth, int value)
{
    int rc;

    if (!depth)
        return raddle_gen_yield(gen, &value, NULL);
    rc = descends(gen, depth - 1, 2 * value);
    return rc < 0 ? rc : descends(gen, depth - 1, 2 * value + 1);
}

static int walks_alone(raddle_gen *gen, void *arg)
{
    struct node *node = arg;

    return descends(gen, node->depth, node->value);
}

static int walks_a_tree(void *arg)
{
    raddle_gen_fn *fns[] = {walks, walks_alone};
    (void)arg;

    for (unsigned i = 0; i < 2; i++) {
        struct node root = {DEPTH, 1};
        raddle_gen *gen = open_gen(fns[i], &root);
        for (int value = 1 << DEPTH; value < 2 << DEPTH; value++)
            EXPECT_EQ(next_of(gen), value);
        EXPECT_EQ(next_of(gen), -1);
        EXPECT_EQ(raddle_gen_close(gen), 0);
        gen = open_gen(fns[i], &root); /* and once more, left in the middle */
        EXPECT_EQ(next_of(gen), 1 << DEPTH);
        EXPECT_EQ(next_of(gen), (1 << DEPTH) + 1);
        EXPECT_EQ(raddle_gen_close(gen), 0);
    }
    return 0;
}

/* Z1 */
RuntimeTest(generators, generators_recurse_and_yield_in_any_depth_of_calls)
{
    cr_assert_eq(test_run(walks_a_tree, NULL), 0);
}

static int yields_for_another(raddle_gen *gen, void *arg)
{
    raddle_gen *outer = arg;

    EXPECT_EQ(raddle_gen_yield(outer, NULL, NULL), -EINVAL);
    return raddle_gen_yield(gen, NULL, NULL);
}

static int asks_another(raddle_gen *gen, void *arg)
{
    raddle_gen *inner = open_gen(yields_for_another, gen);

    EXPECT_EQ(raddle_gen_next(inner, NULL, NULL), 1);
    EXPECT_EQ(raddle_gen_close(inner), 0);
    return raddle_gen_yield(gen, arg, NULL);
}

static int asks(void *arg)
{
    raddle_gen *gen = open_gen(asks_another, arg);

    EXPECT_EQ(raddle_gen_next(gen, NULL, NULL), 1);
    return raddle_gen_close(gen);
}

/* Z1 */
RuntimeTest(generators, only_the_innermost_one_that_runs_can_yield)
{
    cr_assert_eq(test_run(asks, NULL), 0);
}

/* Z2, TC108 */
static int leaves_early(struct cleaner *cleaner)
{
    raddle_auto(gen) raddle_gen *gen = open_gen(cleans_up, cleaner);

    for (;;) {
        if (next_of(gen) >= 0)
            return 1;
    }
}

static int abandons(void *arg)
{
    struct cleaner *cleaner = arg;

    EXPECT_EQ(leaves_early(cleaner), 1);
    EXPECT_EQ(cleaner->cleaned, 1);
    EXPECT(cleaner->cleaned_in == raddle_self());
    *cleaner = (struct cleaner){.result = -EIO};
    EXPECT_EQ(leaves_early(cleaner), 1);
    EXPECT_EQ(cleaner->cleaned, 1);
    return 0;
}

/* Z2 TC108 */
RuntimeTest(generators, an_abandoned_one_cleans_up_in_its_consumers_task_before_that_goes_on)
{
    struct cleaner cleaner = {.result = 0};

    raddle_on_report(note, NULL);
    cr_assert_eq(test_run(abandons, &cleaner), 0);
    cr_assert(strstr(reported, "cleans_up")); /* the failure of one that nobody closed by hand */
    raddle_on_report(NULL, NULL);
}

/* Z3, TC108: each uses the one before it, and must be closed before that. */
enum { CHAIN = 100 };

struct link {
    raddle_gen *source;
    int number;
    int *closed; /* how many have been */
};

static int passes_on(raddle_gen *gen, void *arg)
{
    struct link *link = arg;
    int rc = 0, item = link->number;

    while (rc == 0) {
        if (link->source)
            item = next_of(link->source) + 1;
        rc = raddle_gen_yield(gen, &item, NULL);
    }
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(++*link->closed, CHAIN - link->number); /* the last that was opened is the first */
    return rc;
}

static void chain(int number, raddle_gen *source, int *closed)
{
    struct link link = {source, number, closed};
    raddle_auto(gen) raddle_gen *gen = open_gen(passes_on, &link);

    if (number + 1 < CHAIN)
        chain(number + 1, gen, closed);
    else
        EXPECT_EQ(next_of(gen), number);
}

static int has_chain(void *arg)
{
    chain(0, NULL, arg);
    return 0;
}

/* Z3 TC108 */
RuntimeTest(generators, a_chain_of_a_hundred_is_closed_innermost_first)
{
    int closed = 0;

    cr_assert_eq(test_run(has_chain, &closed), 0);
    cr_assert_eq(closed, CHAIN);
}

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

RuntimeTest(generators, a_lock_in_its_frames_is_not_left_behind_by_a_yield)
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
RuntimeTest(generators, a_yield_out_of_a_context_that_is_run_in_is_refused)
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
RuntimeTest(generators, a_yield_with_a_scope_or_a_group_open_is_refused)
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
RuntimeTest(generators, each_step_has_the_context_the_scopes_and_the_self_of_who_asks)
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
RuntimeTest(generators, the_consumers_deadline_ends_what_the_generator_waits_for)
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
RuntimeTest(generators, a_task_that_waits_in_a_generator_is_cancelled_and_shown_as_any_other)
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
RuntimeTest(generators, pipelines_of_generators_wait_for_the_kernel_and_move_with_their_task)
{
    if (test_left_out("pipes"))
        return;
    cr_assert_eq(test_run(pipes, NULL), 0);
}

struct transaction {
    const char *end;
    int swallowed; /* the failure that it makes a success of */
};

static int transacts(raddle_gen *gen, void *arg)
{
    struct transaction *transaction = arg;
    int rc;

    transaction->end = "begun";
    rc = raddle_gen_yield(gen, transaction, NULL);
    {
        struct raddle_scope shield;
        raddle_scope_enter(&shield, RADDLE_NEVER, RADDLE_SHIELD);
        EXPECT_EQ(raddle_scope_leave(&shield, raddle_sleep(1)), 0);
    }
    transaction->end = rc < 0 ? "rolled back" : "committed";
    return rc == transaction->swallowed ? 0 : rc;
}

static int never_yields(raddle_gen *gen, void *arg)
{
    (void)gen;
    (void)arg;
    return 0;
}

static int yields_twice(raddle_gen *gen, void *arg)
{
    int rc = raddle_gen_yield(gen, NULL, NULL);

    ++*(int *)arg;
    if (rc == 0)
        rc = raddle_gen_yield(gen, NULL, NULL);
    ++*(int *)arg;
    return rc;
}

static int manages(void *arg)
{
    struct transaction transaction = {.swallowed = -EEXIST};
    int steps = 0;
    raddle_gen *gen = open_gen(transacts, &transaction);
    struct raddle_scope scope;
    void *value = NULL;
    (void)arg;

    EXPECT_EQ(raddle_gen_enter(gen, &value), 0);
    EXPECT(value == &transaction);
    EXPECT_STR(transaction.end, "begun");
    EXPECT_EQ(raddle_gen_exit(gen, 17), 17);
    EXPECT_STR(transaction.end, "committed");

    gen = open_gen(transacts, &transaction);
    EXPECT_EQ(raddle_gen_enter(gen, NULL), 0);
    EXPECT_EQ(raddle_gen_exit(gen, -EIO), -EIO);
    EXPECT_STR(transaction.end, "rolled back");

    gen = open_gen(transacts, &transaction);
    EXPECT_EQ(raddle_gen_enter(gen, NULL), 0);
    EXPECT_EQ(raddle_gen_exit(gen, -EEXIST), 0); /* suppressed */

    gen = open_gen(transacts, &transaction); /* whatever is cancelled */
    EXPECT_EQ(raddle_gen_enter(gen, NULL), 0);
    raddle_scope_enter(&scope, RADDLE_NEVER, 0);
    raddle_scope_cancel(&scope, NULL);
    transaction.end = "not yet";
    EXPECT_EQ(raddle_gen_exit(gen, -ECANCELED), -ECANCELED);
    EXPECT_STR(transaction.end, "rolled back");
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);

    gen = open_gen(transacts, &transaction);
    transaction.end = "never";
    EXPECT_EQ(raddle_gen_exit(gen, -EIO), -EIO); /* it was not entered */
    EXPECT_STR(transaction.end, "never");

    gen = open_gen(never_yields, NULL);
    EXPECT_EQ(raddle_gen_enter(gen, NULL), -ENODATA);
    EXPECT_EQ(raddle_gen_exit(gen, -ENODATA), -ENODATA);

    gen = open_gen(yields_twice, &steps);
    EXPECT_EQ(raddle_gen_enter(gen, NULL), 0);
    EXPECT_EQ(raddle_gen_exit(gen, 0), -EPROTO);
    EXPECT_EQ(steps, 2);
    return 0;
}

/* Z8 */
RuntimeTest(generators, a_generator_with_one_yield_is_a_context_manager)
{
    raddle_on_report(note, NULL);
    cr_assert_eq(test_run(manages, NULL), 0);
    cr_assert(strstr(reported, "yields_twice"));
    raddle_on_report(NULL, NULL);
}
