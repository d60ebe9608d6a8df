/*
 * tests/security/test_scrub.c - with RADDLE_RUN_SCRUB a task finds nothing on its stack of those before it, and
 * nobody finds anything in the memory of those that have ended.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <alloca.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sched/annotate.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/stack.h"
#include "sched/sys.h"

TestSuite(scrub, .timeout = 60);

enum { DEEP = 40 * 1024, SHALLOW = 3 * 1024, TASKS = 200, BEARERS = 20 };

/* Made at run time, so that no instruction or constant is taken for one. */
static uint64_t secret(void)
{
    static volatile uint64_t half = 0x5EC12E75;

    return half << 32 | (half ^ 0xA5A5A5A5);
}

/* alloca: an array would be elsewhere under AddressSanitizer. */
static __attribute__((noinline)) void keep_secrets(size_t bytes)
{
    volatile uint64_t *words = alloca(bytes);
    uint64_t value = secret();

    for (size_t i = 0; i < bytes / sizeof(*words); i++)
        words[i] = value;
    __asm__ volatile("" : : "r"(words) : "memory");
}

static int bears(void *arg)
{
    keep_secrets(*(size_t *)arg);
    return raddle_yield();
}

/* noinline and uninstrumented: it reads what is nobody's. */
#if defined(__clang__)
__attribute__((noinline, no_sanitize("address", "thread")))
#else
__attribute__((noinline, no_sanitize_address, no_sanitize_thread))
#endif
static unsigned
count_secrets(const char *low, const char *high)
{
    const volatile uint64_t *word = (const volatile uint64_t *)(const volatile void *)low;
    unsigned count = 0;

    for (; (const volatile char *)(word + 1) <= high; word++)
        count += *word == secret();
    return count;
}

static rdl_atomic(unsigned) found_by_tasks;

/* Below its own frame, which may have the word in a register or spilled. */
static int looks(void *arg)
{
    struct rdl_stack *stack = rdl_fiber_self()->stack;
    const char *here = __builtin_frame_address(0);
    unsigned found;

    (void)arg;
    found = count_secrets(stack->low, here - 1024);
    rdl_atomic_fetch_add_relaxed(&found_by_tasks, found);
    return 0;
}

/* One after the other, so that each has a stack that others have had. */
static int bear_and_look(void *arg)
{
    size_t sizes[] = {DEEP, SHALLOW};
    struct raddle_group g;

    (void)arg;
    for (unsigned i = 0; i < TASKS; i++) {
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        for (unsigned k = 0; k < BEARERS; k++)
            EXPECT_EQ(raddle_spawn(&g, NULL, bears, &sizes[(i + k) % 2], NULL), 0);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        for (unsigned k = 0; k < BEARERS; k++)
            EXPECT_EQ(raddle_spawn(&g, NULL, looks, NULL, NULL), 0);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
    }
    return 0;
}

struct search {
    unsigned stacks, secrets;
};

static bool search_free(struct rdl_stack *stack, void *arg)
{
    struct search *s = arg;

    if (rdl_atomic_load_acquire(&stack->owner))
        return true;
    s->stacks++;
    s->secrets += count_secrets(stack->low, stack->top);
    return true;
}

/* On one loop, whose cache nobody else changes meanwhile. */
static int bear_and_search(void *arg)
{
    int rc = bear_and_look(NULL);

    rdl_stack_for_each(search_free, arg);
    return rc;
}

static int run_on(unsigned loops, raddle_task_fn *fn, void *arg, unsigned flags)
{
    struct raddle_run_options o = {.loops = loops, .flags = flags};

    rdl_atomic_store_relaxed(&found_by_tasks, 0u);
    return raddle_run(fn, arg, &o);
}

RuntimeTest(scrub, a_task_finds_nothing_of_those_before_it)
{
    cr_assert_eq(run_on(test_loops(), bear_and_look, NULL, 0), 0);
    EXPECT(rdl_atomic_load_relaxed(&found_by_tasks) > 0); /* there is something to find */
    cr_assert_eq(run_on(test_loops(), bear_and_look, NULL, RADDLE_RUN_SCRUB), 0);
    EXPECT_EQ(rdl_atomic_load_relaxed(&found_by_tasks), 0);
    cr_assert_eq(run_on(test_loops(), bear_and_look, NULL, 0), 0);
    EXPECT(rdl_atomic_load_relaxed(&found_by_tasks) > 0); /* it ends with its run */
}

RuntimeTest(scrub, the_memory_of_those_that_have_ended_is_wiped)
{
    struct search without = {0}, with = {0};

    cr_assert_eq(run_on(1, bear_and_search, &without, 0), 0);
    EXPECT(without.stacks > 0 && without.secrets > 0);
    setenv("RADDLE_DEBUG", "scrub", 1);
    cr_assert_eq(run_on(1, bear_and_search, &with, 0), 0);
    EXPECT(with.stacks > 0);
    EXPECT_EQ(with.secrets, 0);
    setenv("RADDLE_DEBUG", "move,scrub", 1);
    cr_assert_eq(run_on(1, bear_and_search, &with, 0), 0);
    EXPECT_EQ(with.secrets, 0);
}

/* As on locked memory. */
static int refuses_advice(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_MADVISE ? -EINVAL : 0;
}

RuntimeTest(scrub, where_the_kernel_refuses_to_take_memory_back_it_is_overwritten)
{
    struct search with = {0};

    rdl_sys_set_hook(refuses_advice);
    cr_assert_eq(run_on(1, bear_and_search, &with, RADDLE_RUN_SCRUB), 0);
    rdl_sys_set_hook(NULL);
    EXPECT(with.stacks > 0);
    EXPECT_EQ(with.secrets, 0);
}

/* What a run without left in its caches and the depot, one that asks for it doesn't hand out as it is. */
static int looks_beside(void *arg)
{
    size_t deep = DEEP;
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned k = 0; k < BEARERS; k++)
        EXPECT_EQ(raddle_spawn(&g, NULL, bears, &deep, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    rdl_stack_scrub_begin();
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned k = 0; k < BEARERS; k++)
        EXPECT_EQ(raddle_spawn(&g, NULL, looks, NULL, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    rdl_stack_scrub_end();
    return 0;
}

RuntimeTest(scrub, stacks_that_were_put_before_are_wiped_when_they_are_handed_out)
{
    cr_assert_eq(run_on(1, looks_beside, NULL, 0), 0);
    EXPECT_EQ(rdl_atomic_load_relaxed(&found_by_tasks), 0);
}
