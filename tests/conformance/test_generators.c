/*
 * tests/conformance/test_generators.c - what generators yield and are sent, and how they end: rows Z1 to Z3 and Z8 of
 * the contract, and TC108.
 */
#define _GNU_SOURCE
#include "tests/conformance/generator.h"

#include <errno.h>
#include <string.h>

TestSuite(generators, .timeout = 60);

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
