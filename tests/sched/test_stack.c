/*
 * tests/sched/test_stack.c - stacks: classes, guards, budget, caches, giving back, records.
 *
 * Each test is a process of its own, so each begins with an empty depot.
 */
#define _GNU_SOURCE
#include "sched/stack.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(stack, .timeout = 60);

static struct rdl_stack *get(struct rdl_stack_cache *cache, size_t bytes)
{
    struct rdl_stack *stack = NULL;

    cr_assert_eq(rdl_stack_get(cache, bytes, &stack), 0);
    cr_assert_not_null(stack);
    return stack;
}

static struct rdl_stack_stats stats_now(void)
{
    struct rdl_stack_stats stats;

    rdl_stack_stats(&stats);
    return stats;
}

/* Whether a child that writes to address dies of it. */
static bool kills(volatile char *address)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        *address = 1;
        _exit(0);
    }
    cr_assert_gt(child, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

static long status_kib(const char *key)
{
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");

    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtol(line + strlen(key) + 1, NULL, 10);
    }
    fclose(file);
    return value;
}

/* --- sizes --- */

Test(stack, each_size_is_rounded_up_to_its_class)
{
    static const struct {
        size_t wanted;
        size_t usable;
    } cases[] = {
        {0, 64 << 10},        {1, 16 << 10},
        {16 << 10, 16 << 10}, {(16 << 10) + 1, 64 << 10},
        {64 << 10, 64 << 10}, {65 << 10, 256 << 10},
        {1 << 20, 1 << 20},   {3 << 20, 4 << 20},
        {9 << 20, 16 << 20},  {64 << 20, 64 << 20},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rdl_stack *stack = get(NULL, cases[i].wanted);
        size_t usable = (size_t)(stack->top - stack->low);
        size_t full = cases[i].usable * RDL_STACK_SCALE;

        cr_expect_leq(usable, full);
        cr_expect_geq(usable, full - RDL_STACK_COLOURS * RDL_STACK_COLOUR_BYTES);
        cr_expect_eq(rdl_stack_class_bytes(stack->size_class), full);
        cr_expect_eq((uintptr_t)stack->top % 64, 0);
        /* All of it can be written. */
        stack->low[0] = 1;
        stack->top[-1] = 1;
        rdl_stack_put(NULL, stack);
    }
}

Test(stack, what_is_too_large_is_einval)
{
    struct rdl_stack *stack = NULL;

    cr_assert_eq(rdl_stack_get(NULL, RDL_STACK_MAX_BYTES + 1, &stack), -EINVAL);
    cr_assert_eq(rdl_stack_get(NULL, SIZE_MAX, &stack), -EINVAL);
    cr_assert_null(stack);
}

Test(stack, tops_are_coloured)
{
    struct rdl_stack *stacks[RDL_STACK_COLOURS];
    uintptr_t seen = 0;

    for (int i = 0; i < RDL_STACK_COLOURS; i++) {
        stacks[i] = get(NULL, 0);
        seen |= (uintptr_t)1 << ((uintptr_t)stacks[i]->top % 4096 / 64);
    }
    cr_assert_eq(__builtin_popcountll(seen), RDL_STACK_COLOURS);
    for (int i = 0; i < RDL_STACK_COLOURS; i++)
        rdl_stack_put(NULL, stacks[i]);
}

/* --- guards --- */

static void expect_guarded(void)
{
    struct rdl_stack *stack = get(NULL, 0);
    bool in_guard = false;

    cr_expect(kills(stack->low - 1));
    cr_expect(kills(stack->low - RDL_STACK_GUARD_BYTES));
    cr_expect_not(kills(stack->low));
    cr_expect_eq(rdl_stack_find(stack->low - 1, &in_guard), stack);
    cr_expect(in_guard);
    cr_expect_eq(rdl_stack_find(stack->low, &in_guard), stack);
    cr_expect_not(in_guard);
    cr_expect_eq(rdl_stack_find(stack->top - 1, &in_guard), stack);
    cr_expect_not(in_guard);
    cr_expect_null(rdl_stack_find(&in_guard, &in_guard));
    rdl_stack_put(NULL, stack);
}

Test(stack, a_guard_of_the_best_kind_stops_what_runs_over)
{
    expect_guarded();
}

Test(stack, a_guard_by_mprotect_stops_what_runs_over)
{
    rdl_stack_force_mprotect(true);
    cr_assert_eq(rdl_stack_guard_kind(), RDL_STACK_GUARD_MPROTECT);
    expect_guarded();
    cr_assert_gt(stats_now().areas, 0);
}

Test(stack, a_guard_survives_that_memory_is_given_back)
{
    struct rdl_stack *kept = get(NULL, 0);
    struct rdl_stack *stack = get(NULL, 0);
    char *low = stack->low;

    stack->low[0] = 1;
    rdl_stack_put(NULL, stack);
    rdl_stack_trim_all(); /* kept keeps its slab mapped */
    stack = get(NULL, 0);
    cr_assert_eq(stack->low, low);
    cr_assert_eq(stack->low[0], 0);
    cr_assert(kills(stack->low - 1));
    rdl_stack_put(NULL, stack);
    rdl_stack_put(NULL, kept);
}

Test(stack, locked_memory_is_guarded_by_mprotect)
{
    struct rdl_stack *before = get(NULL, 0);
    struct rdl_stack *stack;

    if (RDL_STACK_SCALE > 1)
        cr_skip_test("sanitizers ignore mlockall");
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
        cr_skip_test("memory can't be locked here");
    stack = get(NULL, 0);
    cr_expect(kills(stack->low - 1));
    cr_expect(kills(before->low - 1));
    cr_expect_gt(stats_now().areas, 0);
    rdl_stack_put(NULL, stack);
    rdl_stack_put(NULL, before);
    munlockall();
}

/* --- what can't be had --- */

Test(stack, over_the_budget_of_areas_there_is_no_stack)
{
    struct rdl_stack *stacks[50];
    struct rdl_stack *one = NULL;
    size_t areas;

    rdl_stack_force_mprotect(true);
    rdl_stack_set_areas_budget(100);
    for (int i = 0; i < 50; i++)
        stacks[i] = get(NULL, 0);
    cr_assert_eq(rdl_stack_get(NULL, 0, &one), -ENOMEM);
    cr_assert_eq(rdl_stack_get(NULL, 1 << 20, &one), -ENOMEM);
    cr_assert_null(one);
    areas = stats_now().areas;
    cr_assert_eq(areas, 100);

    /* A stack whose guard is there can be had again, */
    rdl_stack_put(NULL, stacks[17]);
    one = get(NULL, 0);
    cr_assert_eq(one, stacks[17]);
    cr_assert_eq(rdl_stack_get(NULL, 0, &stacks[17]), -ENOMEM);
    stacks[17] = one;

    /* and when a whole slab is free, its areas serve another class. */
    for (int i = 0; i < 50; i++)
        rdl_stack_put(NULL, stacks[i]);
    one = get(NULL, 1 << 20);
    cr_assert(kills(one->low - 1));
    rdl_stack_put(NULL, one);
    rdl_stack_trim_all();
    cr_assert_eq(stats_now().areas, 0);
}

Test(stack, at_the_budget_guarded_stacks_are_found_in_cache_and_depot)
{
    enum { COUNT = 300 };
    static struct rdl_stack *stacks[COUNT];
    struct rdl_stack_cache cache;
    struct rdl_stack *one;

    rdl_stack_force_mprotect(true);
    rdl_stack_set_areas_budget(2 * COUNT);
    rdl_stack_cache_init(&cache);
    for (int i = 0; i < COUNT; i++)
        stacks[i] = get(&cache, 0);
    cr_assert_eq(rdl_stack_get(&cache, 0, &one), -ENOMEM);
    for (int round = 0; round < 20; round++) {
        for (int i = round % 7; i < COUNT; i += 3)
            rdl_stack_put(i % 2 ? &cache : NULL, stacks[i]);
        for (int i = round % 7; i < COUNT; i += 3)
            stacks[i] = get(&cache, 0);
        cr_assert_eq(rdl_stack_get(&cache, 0, &one), -ENOMEM);
    }
    for (int i = 0; i < COUNT; i++)
        rdl_stack_put(&cache, stacks[i]);
    rdl_stack_cache_flush(&cache);
    cr_assert_eq(stats_now().in_use, 0);
}

static int failing_call = -1;
static int failing_error;

static int fail_one_call(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return (int)call == failing_call ? failing_error : 0;
}

Test(stack, a_failing_system_call_is_enomem_and_nothing_is_lost)
{
    static const struct {
        enum rdl_sys_call call;
        int error;
        bool force_mprotect;
    } cases[] = {
        {RDL_SYS_MMAP, -ENOMEM, false},
        {RDL_SYS_MMAP, -EAGAIN, false},
        {RDL_SYS_MADVISE, -ENOMEM, false},
        {RDL_SYS_MPROTECT, -ENOMEM, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rdl_stack_cache cache;
        struct rdl_stack *stack = NULL;

        rdl_stack_force_mprotect(cases[i].force_mprotect);
        if (cases[i].call == RDL_SYS_MADVISE && rdl_stack_guard_kind() != RDL_STACK_GUARD_REGIONS)
            continue;
        rdl_stack_cache_init(&cache);
        failing_call = (int)cases[i].call;
        failing_error = cases[i].error;
        rdl_sys_set_hook(fail_one_call);
        cr_expect_eq(rdl_stack_get(&cache, 0, &stack), -ENOMEM);
        cr_expect_eq(rdl_stack_get(NULL, 0, &stack), -ENOMEM);
        cr_expect_null(stack);
        rdl_sys_set_hook(NULL);
        stack = get(&cache, 0);
        cr_expect(kills(stack->low - 1));
        rdl_stack_put(&cache, stack);
        rdl_stack_cache_flush(&cache);
        rdl_stack_trim_all();
        cr_expect_eq(stats_now().slabs, 0);
        cr_expect_eq(stats_now().areas, 0);
    }
}

Test(stack, without_address_space_there_is_no_stack)
{
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
    struct rdl_stack *stack = NULL;

    if (RDL_STACK_SCALE > 1)
        cr_skip_test("sanitizers reserve more than any limit");
    limit.rlim_cur = (rlim_t)status_kib("VmSize:") * 1024 + (16 << 20);
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_assert_eq(rdl_stack_get(NULL, 64 << 20, &stack), -ENOMEM);
    cr_assert_null(stack);
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    rdl_stack_put(NULL, get(NULL, 64 << 20));
}

/* --- records --- */

static bool count_owned(struct rdl_stack *stack, void *arg)
{
    size_t *count = arg;

    *count += rdl_atomic_load_relaxed(&stack->owner) != NULL;
    return true;
}

Test(stack, a_record_is_found_by_its_id_and_by_walking)
{
    struct rdl_stack *stacks[200];
    size_t owned = 0;

    cr_assert_null(rdl_stack_at(0));
    cr_assert_null(rdl_stack_at(UINT32_MAX));
    for (int i = 0; i < 200; i++) {
        stacks[i] = get(NULL, 0);
        rdl_atomic_store_relaxed(&stacks[i]->owner, &stacks[i]);
        cr_assert_eq(rdl_stack_at(stacks[i]->id), stacks[i]);
    }
    rdl_stack_for_each(count_owned, &owned);
    cr_assert_eq(owned, 200);
    for (int i = 0; i < 200; i++) {
        rdl_atomic_store_relaxed(&stacks[i]->owner, NULL);
        rdl_stack_put(NULL, stacks[i]);
    }
}

Test(stack, a_stale_ticket_loses_after_its_record_was_given_back)
{
    enum { COUNT = 64 * 64 }; /* enough slabs that their table is emptied */
    static struct rdl_stack *stacks[COUNT];
    static struct rdl_ticket tickets[COUNT];
    static bool again[COUNT];
    int met = 0;

    for (int i = 0; i < COUNT; i++) {
        stacks[i] = get(NULL, 0);
        for (int k = 0; k <= i % 5; k++) {
            tickets[i] = rdl_wait_arm(&stacks[i]->wait);
            cr_assert(rdl_wait_disarm(&stacks[i]->wait));
        }
    }
    for (int i = 0; i < COUNT; i++)
        rdl_stack_put(NULL, stacks[i]);
    rdl_stack_trim_all();
    cr_assert_eq(stats_now().slabs, 0);
    /* Nothing is there, and nothing fires. */
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(rdl_wait_fire(tickets[i], 1), RDL_FIRE_LOST);
    /* The records are in use again, and armed as often as before. */
    for (int i = 0; i < COUNT; i++) {
        struct rdl_stack *stack = get(NULL, 0);

        for (int k = 0; k < COUNT; k++)
            again[k] |= stacks[k] == stack;
        for (int k = 0; k < 5; k++) {
            struct rdl_ticket ticket = rdl_wait_arm(&stack->wait);

            cr_assert_eq(rdl_wait_fire(tickets[stack->id % COUNT], 1), RDL_FIRE_LOST);
            cr_assert_eq(rdl_wait_fire(ticket, 2), RDL_FIRE_WON);
        }
    }
    for (int i = 0; i < COUNT; i++)
        met += again[i];
    cr_assert_eq(met, COUNT);
}

/* --- caches and giving back --- */

Test(stack, a_cache_hands_out_the_stack_used_last)
{
    struct rdl_stack_cache cache;
    struct rdl_stack *a;
    struct rdl_stack *b;

    rdl_stack_cache_init(&cache);
    a = get(&cache, 0);
    b = get(&cache, 0);
    rdl_stack_put(&cache, b);
    rdl_stack_put(&cache, a);
    cr_assert_eq(get(&cache, 0), a);
    cr_assert_eq(get(&cache, 0), b);
    cr_assert_eq(stats_now().in_use, 2);
    rdl_stack_put(&cache, a);
    rdl_stack_put(&cache, b);
    cr_assert_eq(stats_now().in_use, 0);
    rdl_stack_cache_flush(&cache);
    cr_assert_eq(stats_now().in_use, 0);
    cr_assert_eq(stats_now().cached, 0);
}

Test(stack, stacks_that_one_cache_gives_up_serve_another)
{
    enum { COUNT = 1000 };
    static struct rdl_stack *stacks[COUNT];
    struct rdl_stack_cache from;
    struct rdl_stack_cache into;
    size_t before;

    rdl_stack_cache_init(&from);
    rdl_stack_cache_init(&into);
    for (int i = 0; i < COUNT; i++)
        stacks[i] = get(&from, 0);
    before = stats_now().stacks;
    /* Each freed on another loop than it was had on. */
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < COUNT; i++)
            rdl_stack_put(&into, stacks[i]);
        for (int i = 0; i < COUNT; i++)
            stacks[i] = get(&from, 0);
    }
    cr_assert_leq(stats_now().stacks, before + 1024);
    for (int i = 0; i < COUNT; i++)
        rdl_stack_put(&into, stacks[i]);
    rdl_stack_cache_flush(&from);
    rdl_stack_cache_flush(&into);
    cr_assert_eq(stats_now().in_use, 0);
}

Test(stack, an_idle_loop_gives_everything_back_and_then_sleeps)
{
    enum { COUNT = 2000 };
    static struct rdl_stack *stacks[COUNT];
    struct rdl_stack_cache cache;
    int64_t now_ns = INT64_C(1000000000000);
    int64_t next_ns;
    int calls = 0;

    rdl_stack_cache_init(&cache);
    cr_assert_eq(rdl_stack_trim(&cache, now_ns), INT64_MAX);
    for (int i = 0; i < COUNT; i++) {
        stacks[i] = get(&cache, 0);
        stacks[i]->top[-1] = 1;
    }
    for (int i = 0; i < COUNT; i++)
        rdl_stack_put(&cache, stacks[i]);
    while ((next_ns = rdl_stack_trim(&cache, now_ns)) != INT64_MAX) {
        cr_assert_gt(next_ns, now_ns);
        cr_assert_leq(next_ns, now_ns + 100000000);
        now_ns = next_ns;
        cr_assert_lt(++calls, 10000);
    }
    cr_assert_eq(stats_now().slabs, 0);
    cr_assert_eq(stats_now().cached, 0);
    cr_assert_eq(stats_now().touched, 0);
    cr_assert_leq(now_ns, INT64_C(1005000000000)); /* five seconds */
    rdl_stack_cache_flush(&cache);
}

Test(stack, what_a_loop_needs_in_waves_stays_warm)
{
    enum { COUNT = 200 };
    static struct rdl_stack *stacks[COUNT];
    struct rdl_stack_cache cache;
    int64_t now_ns = INT64_C(1000000000000);

    rdl_stack_cache_init(&cache);
    for (int wave = 0; wave < 100; wave++) {
        for (int i = 0; i < COUNT; i++) {
            stacks[i] = get(&cache, 0);
            if (wave > 0)
                cr_assert_eq(stacks[i]->top[-1], 1);
            stacks[i]->top[-1] = 1;
        }
        for (int i = 0; i < COUNT; i++)
            rdl_stack_put(&cache, stacks[i]);
        (void)rdl_stack_trim(&cache, now_ns);
        now_ns += 30000000;
    }
    rdl_stack_cache_flush(&cache);
}

Test(stack, a_slab_partly_in_use_gives_its_free_stacks_memory_back)
{
    enum { COUNT = 640 };
    static struct rdl_stack *stacks[COUNT];
    size_t slabs;

    for (int i = 0; i < COUNT; i++) {
        stacks[i] = get(NULL, 0);
        memset(stacks[i]->top - 4096, 7, 4096);
    }
    slabs = stats_now().slabs;
    for (int i = 0; i < COUNT; i++) {
        if (i % 64)
            rdl_stack_put(NULL, stacks[i]);
    }
    cr_assert_eq(stats_now().touched, COUNT - COUNT / 64);
    rdl_stack_trim_all();
    cr_assert_eq(stats_now().touched, 0);
    cr_assert_eq(stats_now().slabs, slabs);
    for (int i = 0; i < COUNT; i += 64) {
        cr_assert_eq(stacks[i]->top[-1], 7);
        rdl_stack_put(NULL, stacks[i]);
    }
    rdl_stack_trim_all();
    cr_assert_eq(stats_now().slabs, 0);
}

Test(stack, resident_memory_and_page_tables_return_to_the_start)
{
    enum { COUNT = 100000 };
    static struct rdl_stack *stacks[COUNT];
    struct rdl_stack_cache cache;
    long rss;
    long tables;

    if (RDL_STACK_SCALE > 1)
        cr_skip_test("sanitizers have memory of their own");
    memset(stacks, 1, sizeof stacks);
    rdl_stack_cache_init(&cache);
    rdl_stack_put(&cache, get(&cache, 0));
    rss = status_kib("VmRSS:");
    tables = status_kib("VmPTE:");
    for (int i = 0; i < COUNT; i++) {
        stacks[i] = get(&cache, 0);
        stacks[i]->top[-1] = 1;
    }
    cr_assert_gt(status_kib("VmRSS:"), COUNT * 4);
    for (int i = 0; i < COUNT; i++)
        rdl_stack_put(&cache, stacks[(i * 7919L) % COUNT]);
    rdl_stack_cache_flush(&cache);
    rdl_stack_trim_all();
    cr_expect_leq(status_kib("VmRSS:"), rss + rss / 10, "VmRSS %ld, was %ld", status_kib("VmRSS:"),
                  rss);
    cr_expect_leq(status_kib("VmPTE:"), tables + tables / 10 + 8, "VmPTE %ld, was %ld",
                  status_kib("VmPTE:"), tables);
}

Test(stack, a_forked_child_can_have_stacks)
{
    struct rdl_stack *stack = get(NULL, 0);
    int status;
    pid_t child;

    rdl_stack_fork_lock();
    child = fork();
    rdl_stack_fork_unlock();
    if (child == 0) {
        struct rdl_stack *own = NULL;

        if (rdl_stack_get(NULL, 0, &own) != 0 || !kills(own->low - 1) || !kills(stack->low - 1))
            _exit(1);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    rdl_stack_put(NULL, stack);
}
