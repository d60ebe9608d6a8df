/*
 * tests/race/race_steal.c - a burst of fresh tasks spawned on one loop ends up spread over all of them.
 *
 *     race_steal [--tasks N] [--burn NS] [--loops N]
 *
 * By default on 2 loops, with which each must run its half within 20%. Counted, not timed: but a
 * loop whose thread the machine gives no CPU to can't take its share, so a round that failed is
 * tried again, twice.
 *
 * Most of a large burst goes through the injector. So there is a small one as well, all of which the spawner's own
 * queue has room for: the others have nothing but what they steal. A burst before makes the stacks, as to spawn on new
 * ones takes a sixth of the time that the loop has, and half where a hypervisor has a hand in each page fault. It is
 * three times as large, where there may be as many, since by the last burst some are in other loops' caches, and
 * others back with the kernel.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "sched/stack.h"

enum { LOOPS_MAX = 64, TRIES = 3, WARM_UP = 3, FEW = 200, EXIT_SKIP = 77 };

static unsigned loops;
static unsigned long tasks;
static long burn_ns;
static rdl_atomic(unsigned long) ran_on[LOOPS_MAX];
static uint64_t steals;

static int burns(void *arg)
{
    unsigned index = raddle_loop_index(raddle_running_loop());
    (void)arg;

    test_burn(burn_ns);
    rdl_atomic_fetch_add_relaxed(&ran_on[index % LOOPS_MAX], 1ul);
    /* A fresh task stays where it began. */
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(raddle_loop_index(raddle_running_loop()), index);
    return 0;
}

static uint64_t stolen(void)
{
    struct raddle_loop_stats stats;
    uint64_t sum = 0;

    for (unsigned i = 0; i < raddle_loop_count(); i++) {
        EXPECT_EQ(raddle_get_loop_stats(i, &stats), 0);
        sum += stats.steals;
    }
    return sum;
}

static void burst_of(unsigned long count)
{
    struct raddle_spawn_options options = {.mobility = RADDLE_FRESH};
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned long i = 0; i < count; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, burns, NULL, &options), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
}

/* Before Linux 6.13 a stack takes two of the areas that there may be: no more stacks than half of these allow. */
static unsigned long warm_up(void)
{
    struct rdl_stack_stats stats;
    unsigned long count = WARM_UP * tasks;

    rdl_stack_stats(&stats);
    if (stats.guard == RDL_STACK_GUARD_MPROTECT && count > stats.areas_budget / 4)
        count = stats.areas_budget / 4;
    return count;
}

static int bursts(void *arg)
{
    uint64_t before;

    (void)arg;
    burst_of(warm_up());
    before = stolen();
    burst_of(FEW);
    steals = stolen() - before;
    memset(ran_on, 0, sizeof(ran_on));
    burst_of(tasks);
    return 0;
}

static bool spread(void)
{
    unsigned long sum = 0;
    bool even = true;

    for (unsigned i = 0; i < loops; i++) {
        unsigned long count = rdl_atomic_load_relaxed(&ran_on[i]);
        sum += count;
        even = even && count * 10 * loops >= tasks * 8 && count * 10 * loops <= tasks * 12;
        printf("%sloop %u: %lu", i ? ", " : "", i, count);
    }
    printf(" of %lu tasks; of %d, %llu stolen\n", tasks, FEW, (unsigned long long)steals);
    test_counted(tasks, "races");
    EXPECT_EQ(sum, tasks);
    return even && steals > 0;
}

int main(int argc, char **argv)
{
    cpu_set_t cpus;
    bool good = false;

    loops = (unsigned)test_argument(argc, argv, "--loops", 2);
    tasks = test_argument(argc, argv, "--tasks", 10000);
    burn_ns = (long)test_argument(argc, argv, "--burn", 20000) * test_slowness();
    if (loops > LOOPS_MAX)
        loops = LOOPS_MAX;
    if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && (unsigned)CPU_COUNT(&cpus) < loops) {
        printf("skipped: %u loops need as many CPUs\n", loops);
        return EXIT_SKIP;
    }
    for (int i = 0; i < TRIES && !good; i++) {
        EXPECT_EQ(test_run_on(loops, bursts, NULL), 0);
        good = spread();
    }
    EXPECT(good);
    return test_result();
}
