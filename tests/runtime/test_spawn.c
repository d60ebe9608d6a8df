/*
 * tests/runtime/test_spawn.c - starting tasks: options, errors, order, and where they run.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <alloca.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "sched/stack.h"
#include "sched/sys.h"

TestSuite(spawn, .timeout = 30);

enum { SHORT = 5 * 1000000 };

static int sets(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

static int errors(void *arg)
{
    struct raddle_spawn_options o;
    struct raddle_group g, closed;
    raddle_task *const untouched = (raddle_task *)arg;
    raddle_task *task = untouched;
    raddle_loop *lone = NULL;
    bool ran = false;

    EXPECT_EQ(raddle_group_open(&closed, NULL), 0);
    EXPECT_EQ(raddle_group_close(&closed, 0), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn_at(NULL, &task, sets, &ran, NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_spawn_at(&g, &task, NULL, &ran, NULL, NULL), -EINVAL);
    for (int i = 0; i < 4; i++) {
        o = (struct raddle_spawn_options){.name = "x"};
        o.reserved[i] = 1;
        EXPECT_EQ(raddle_spawn(&g, &task, sets, &ran, &o), -EINVAL);
    }
    o = (struct raddle_spawn_options){.mobility = (enum raddle_mobility)4};
    EXPECT_EQ(raddle_spawn(&g, &task, sets, &ran, &o), -EINVAL);
    o = (struct raddle_spawn_options){.stack_bytes = 64 * 1024 * 1024 + 1};
    EXPECT_EQ(raddle_spawn(&g, &task, sets, &ran, &o), -EINVAL);
    o = (struct raddle_spawn_options){.stack_bytes = SIZE_MAX};
    EXPECT_EQ(raddle_spawn(&g, &task, sets, &ran, &o), -EINVAL);
    EXPECT_EQ(raddle_spawn(&closed, &task, sets, &ran, NULL), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_new_loop(&lone), 0);
    o = (struct raddle_spawn_options){.loop = lone};
    EXPECT_EQ(raddle_spawn(&g, &task, sets, &ran, &o), -EXDEV);
    EXPECT_EQ(raddle_move_to(lone), -EXDEV);
    EXPECT_EQ(raddle_move_to(NULL), -EINVAL);
    EXPECT(task == untouched);
    EXPECT_EQ(raddle_group_live(&g), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(!ran);
    *(raddle_loop **)arg = lone;
    return 0;
}

RuntimeTest(spawn, a_bad_argument_starts_nothing)
{
    raddle_loop *lone = NULL;

    cr_assert_eq(test_run(errors, &lone), 0);
    cr_assert_eq(raddle_loop_close(lone), 0);
}

RuntimeTest(spawn, outside_a_loop_it_is_not_permitted)
{
    struct raddle_group g;
    bool ran = false;

    memset(&g, 0, sizeof(g));
    cr_assert_eq(raddle_spawn(&g, NULL, sets, &ran, NULL), -EPERM);
    cr_assert_eq(raddle_move_to(NULL), -EPERM);
    cr_assert_not(ran);
}

static int names(void *arg)
{
    struct raddle_spawn_options o = {.name = "a name"};
    char text[64];
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, test_nothing, NULL, &o), 0);
    EXPECT_STR(raddle_task_name(task), "a name");
    raddle_task_unref(task);
    EXPECT_EQ(raddle_spawn(&g, &task, test_nothing, NULL, NULL), 0);
    EXPECT_STR(raddle_task_name(task), "test_nothing");
    raddle_task_unref(task);
    EXPECT_EQ(raddle_spawn_at(&g, &task, test_nothing, NULL, NULL, NULL), 0);
    EXPECT_STR(raddle_task_name(task), "?");
    raddle_task_unref(task);

    /* Copied, and cut. */
    memset(text, 'n', sizeof(text));
    text[63] = 0;
    o.name = text;
    EXPECT_EQ(raddle_spawn(&g, &task, test_nothing, NULL, &o), 0);
    memset(text, 'x', 63);
    EXPECT_EQ(strlen(raddle_task_name(task)), 31);
    EXPECT_EQ(strspn(raddle_task_name(task), "n"), 31);
    EXPECT_EQ(raddle_join(task, NULL), 0);
    EXPECT_EQ(strlen(raddle_task_name(task)), 31);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(spawn, a_name_is_copied_or_the_functions)
{
    cr_assert_eq(test_run(names, NULL), 0);
}

/* Uses most of a stack of the size that was asked for. */
static __attribute__((noinline)) unsigned use(size_t bytes)
{
    volatile char *frame = alloca(bytes);
    unsigned sum = 0;

    for (size_t i = 0; i < bytes; i += 512)
        frame[i] = 1;
    for (size_t i = 0; i < bytes; i += 512)
        sum += (unsigned)frame[i];
    return sum;
}

static int uses_stack(void *arg)
{
    size_t bytes = *(size_t *)arg - 6 * 1024;

    EXPECT_EQ(use(bytes), (bytes + 511) / 512);
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(use(bytes), (bytes + 511) / 512);
    return 0;
}

static int stack_sizes(void *arg)
{
    static size_t sizes[] = {16 << 10, 64 << 10, 100 << 10, 256 << 10, 1 << 20, 4 << 20, 64 << 20};
    struct raddle_spawn_options o = {.name = "stack"};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        o.stack_bytes = sizes[i];
        EXPECT_EQ(raddle_spawn(&g, NULL, uses_stack, &sizes[i], &o), 0);
        EXPECT_EQ(raddle_spawn(&g, NULL, uses_stack, &sizes[i], &o), 0);
    }
    return raddle_group_close(&g, 0);
}

RuntimeTest(spawn, a_stack_has_the_size_that_was_asked_for)
{
    cr_assert_eq(test_run(stack_sizes, NULL), 0);
}

/* Order, on a loop that is alone. */
struct order {
    int seen[16];
    unsigned count;
};

struct numbered {
    struct order *order;
    int number;
};

static int notes_number(void *arg)
{
    struct numbered *n = arg;

    n->order->seen[n->order->count++] = n->number;
    return 0;
}

static int spawns_in_order(void *arg)
{
    struct numbered n[10];
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 10; i++) {
        n[i] = (struct numbered){.order = arg, .number = i};
        EXPECT_EQ(raddle_spawn(&g, NULL, notes_number, &n[i], NULL), 0);
    }
    EXPECT_EQ(((struct order *)arg)->count, 0);
    return raddle_group_close(&g, 0);
}

RuntimeTest(spawn, on_a_lone_loop_tasks_begin_in_spawn_order_when_the_spawner_suspends)
{
    struct order order = {.count = 0};

    cr_assert_eq(test_run_on(1, spawns_in_order, &order), 0);
    cr_assert_eq(order.count, 10);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(order.seen[i], i);
}

/* Where tasks run. */

static int stays(void *arg)
{
    raddle_loop *first = raddle_running_loop();
    pthread_t thread = pthread_self();

    (void)arg;
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(i % 4 ? raddle_yield() : raddle_sleep(RADDLE_US(20)), 0);
        if (i % 16 == 0)
            EXPECT_EQ(raddle_run_in_executor(NULL, test_nothing, NULL, NULL), 0);
        EXPECT(raddle_running_loop() == first);
        EXPECT(pthread_equal(pthread_self(), thread));
    }
    return 0;
}

static int fresh_and_pinned(void *arg)
{
    static const enum raddle_mobility kinds[] = {RADDLE_MOBILITY_DEFAULT, RADDLE_FRESH,
                                                 RADDLE_PINNED};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 60; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, stays, NULL,
                               &(struct raddle_spawn_options){.mobility = kinds[i % 3]}),
                  0);
    return raddle_group_close(&g, 0);
}

/* AA8 TC111 */
RuntimeTest(spawn, fresh_and_pinned_tasks_stay_on_the_loop_where_they_began)
{
    test_keep_still();
    cr_assert_eq(test_run_on(4, fresh_and_pinned, NULL), 0);
}

static int on_spawners_loop(void *arg)
{
    EXPECT(raddle_running_loop() == arg);
    test_burn(RADDLE_US(20));
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT(raddle_running_loop() == arg);
    return 0;
}

static int pinned_here(void *arg)
{
    struct raddle_spawn_options o = {.mobility = RADDLE_PINNED};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 500; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, on_spawners_loop, raddle_running_loop(), &o), 0);
    return raddle_group_close(&g, 0);
}

RuntimeTest(spawn, a_pinned_task_runs_on_the_spawners_loop)
{
    cr_assert_eq(test_run_on(4, pinned_here, NULL), 0);
}

struct migrants {
    rdl_atomic(unsigned) moves, over;
};

/* Woken together, these are more than the loop on which they slept can run at once; and then both
 * loops have nothing to do. */
static int migrates(void *arg)
{
    struct migrants *m = arg;
    raddle_loop *last = raddle_running_loop();

    while (!rdl_atomic_load_relaxed(&m->over)) {
        raddle_time tick = raddle_now() / RADDLE_MS(1) + 1;
        EXPECT_EQ(raddle_sleep_until(tick * RADDLE_MS(1)), 0);
        test_burn(RADDLE_US(30));
        if (raddle_running_loop() != last)
            rdl_atomic_fetch_add_relaxed(&m->moves, 1u);
        last = raddle_running_loop();
    }
    return 0;
}

static int migratable(void *arg)
{
    struct raddle_spawn_options o = {.mobility = RADDLE_MIGRATABLE};
    struct migrants *m = arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, migrates, m, &o), 0);
    test_await(&m->moves, 20);
    rdl_atomic_store_relaxed(&m->over, 1u);
    return raddle_group_close(&g, 0);
}

RuntimeTest(spawn, migratable_tasks_move_when_a_loop_has_too_much_to_do)
{
    struct migrants m = {.moves = 0};

    cr_assert_eq(test_run_on(2, migratable, &m), 0);
}

/* The loops of the team, by what runs on them. */
struct team {
    rdl_atomic(raddle_loop *) loops[16];
    rdl_atomic(unsigned) known;
};

static int tells_loop(void *arg)
{
    struct team *team = arg;
    raddle_loop *none = NULL;

    if (rdl_atomic_cas_acq_rel(&team->loops[raddle_loop_index(raddle_running_loop())], &none,
                               raddle_running_loop()))
        rdl_atomic_fetch_add_acq_rel(&team->known, 1u);
    /* Holds the loop, so that others have to take the rest. */
    for (int i = 0; i < 5000 && rdl_atomic_load_acquire(&team->known) < raddle_loop_count(); i++)
        test_burn(RADDLE_US(20));
    return 0;
}

static void know_team(struct team *team)
{
    memset(team, 0, sizeof(*team));
    while (rdl_atomic_load_acquire(&team->known) < raddle_loop_count()) {
        struct raddle_group g;
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        for (unsigned i = 0; i < 2 * raddle_loop_count(); i++)
            EXPECT_EQ(raddle_spawn(&g, NULL, tells_loop, team, NULL), 0);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
    }
}

static int on_given_loop(void *arg)
{
    EXPECT(raddle_running_loop() == arg);
    EXPECT_EQ(raddle_sleep(1000), 0);
    EXPECT(raddle_running_loop() == arg);
    return 0;
}

static int pins_to_loops(void *arg)
{
    struct raddle_spawn_options o = {.name = "pinned"};
    struct raddle_group g;
    struct team team;

    (void)arg;
    know_team(&team);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 20 * raddle_loop_count(); i++) {
        o.loop = team.loops[i % raddle_loop_count()];
        EXPECT_EQ(raddle_loop_index(o.loop), i % raddle_loop_count());
        EXPECT_EQ(raddle_spawn(&g, NULL, on_given_loop, o.loop, &o), 0);
    }
    return raddle_group_close(&g, 0);
}

/* AA8 */
RuntimeTest(spawn, a_task_may_be_pinned_to_any_loop_of_the_team)
{
    cr_assert_eq(test_run_on(4, pins_to_loops, NULL), 0);
    cr_assert_eq(test_run(pins_to_loops, NULL), 0);
}

static int moves(void *arg)
{
    struct team *team = arg;

    for (unsigned i = 0; i < 5 * raddle_loop_count(); i++) {
        raddle_loop *to = team->loops[i % raddle_loop_count()];
        EXPECT_EQ(raddle_move_to(to), 0);
        EXPECT(raddle_running_loop() == to);
        EXPECT_EQ(raddle_sleep(RADDLE_US(10)), 0);
        EXPECT(raddle_running_loop() == to);
    }
    return 0;
}

static int moves_around(void *arg)
{
    struct raddle_group g;
    struct team team;

    (void)arg;
    know_team(&team);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 10; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, moves, &team, NULL), 0);
    /* The main task, too; its run goes on all the same. */
    EXPECT_EQ(moves(&team), 0);
    EXPECT_EQ(raddle_move_to(team.loops[raddle_loop_count() - 1]), 0);
    return raddle_group_close(&g, 13);
}

/* AA8 */
RuntimeTest(spawn, a_task_hops_from_loop_to_loop)
{
    cr_assert_eq(test_run_on(4, moves_around, NULL), 13);
    cr_assert_eq(test_run(moves_around, NULL), 13);
}

/* No memory: every call that can fail does, once, and nothing is lost. */

static rdl_atomic(int) fails_in; /* so many calls from now on; 0: never */
static rdl_atomic(int) fail_call;

static int failing(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if ((int)call != rdl_atomic_load_relaxed(&fail_call) || !rdl_atomic_load_relaxed(&fails_in))
        return 0;
    return rdl_atomic_fetch_sub_relaxed(&fails_in, 1) == 1 ? -ENOMEM : 0;
}

static int spawns_all_sizes(void *arg)
{
    struct raddle_spawn_options o = {.name = "size"};
    struct raddle_group g;
    unsigned *refused = arg;
    unsigned started = 0;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 12; i++) {
        raddle_task *task = NULL;
        int rc;
        o.stack_bytes = (size_t)1 << (14 + 2 * (i % 4));
        rc = raddle_spawn(&g, i & 1 ? &task : NULL, test_nothing, NULL, &o);
        EXPECT(rc == 0 || rc == -ENOMEM);
        EXPECT_EQ(rc == 0 && i & 1, task != NULL);
        started += rc == 0;
        *refused += rc != 0;
        raddle_task_unref(task);
    }
    EXPECT_IN(raddle_group_live(&g), 0, started + 1);
    return raddle_group_close(&g, 0);
}

static void fail_each(enum rdl_sys_call call, unsigned *refused)
{
    for (int n = 1; n < 40; n++) {
        rdl_stack_trim_all();
        rdl_atomic_store_relaxed(&fail_call, (int)call);
        rdl_atomic_store_relaxed(&fails_in, n);
        rdl_sys_set_hook(failing);
        /* What fails may be the run itself. */
        int rc = test_run_on(1, spawns_all_sizes, refused);
        bool spent = rdl_atomic_load_relaxed(&fails_in) == 0;
        rdl_sys_set_hook(NULL);
        rdl_atomic_store_relaxed(&fails_in, 0);
        EXPECT(rc == 0 || rc == -ENOMEM);
        if (!spent)
            break;
    }
}

RuntimeTest(spawn, without_memory_it_is_enomem_and_nothing_is_lost)
{
    static const enum rdl_sys_call calls[] = {RDL_SYS_MALLOC, RDL_SYS_CALLOC, RDL_SYS_MMAP,
                                              RDL_SYS_MPROTECT};
    unsigned refused = 0;

    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        fail_each(calls[i], &refused);
    cr_assert_gt(refused, 0);
}

/* The budget of mprotect guards is spent: no more tasks, and never one without a guard. */
static int to_the_budget(void *arg)
{
    struct raddle_group g;
    unsigned count = 0;
    int rc = 0;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    while (rc == 0 && count < 100000) {
        rc = raddle_spawn(&g, NULL, test_sleep_forever, NULL, NULL);
        count += rc == 0;
    }
    *(unsigned *)arg = count;
    EXPECT_EQ(rc, -ENOMEM);
    EXPECT_EQ(raddle_group_live(&g), count);
    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    /* What has been given back can be had again. */
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < count; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, test_nothing, NULL, NULL), 0);
    return raddle_group_close(&g, 0);
}

RuntimeTest(spawn, at_the_budget_of_mprotect_guards_it_is_enomem)
{
    struct rdl_stack_stats stats;
    unsigned count = 0;

    rdl_stack_trim_all();
    rdl_stack_force_mprotect(true);
    rdl_stack_stats(&stats);
    rdl_stack_set_areas_budget(stats.areas + 500);
    /* Alone: free stacks in the caches of other loops could not be had. */
    cr_assert_eq(test_run_on(1, to_the_budget, &count), 0);
    rdl_stack_stats(&stats);
    cr_assert_eq(stats.guard, RDL_STACK_GUARD_MPROTECT);
    cr_assert_leq(stats.areas, stats.areas_budget);
    cr_assert_gt(count, 100);
    cr_assert_lt(count, 1000);
    rdl_stack_set_areas_budget(0);
    rdl_stack_force_mprotect(false);
}
