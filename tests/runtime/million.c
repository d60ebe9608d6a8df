/*
 * tests/runtime/million.c - so many parked tasks at once, each with a guarded stack; all woken, all
 * gone; and the memory is back.
 *
 *     million [COUNT]
 *
 * COUNT is 100,000 unless given; with a million it takes half a minute and 5 GiB. The memory that
 * counts is what is resident plus the page tables. It must come back to within a tenth of what it
 * was, give or take what the first use of code and libraries costs: 1 MiB; and, while the run still
 * has a main task, the table in which the record of its stack is: 4 MiB.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/stack.h"

enum { SLACK_KIB = 1024, TABLE_KIB = 4 * 1024, PATIENCE_S = 20 };

struct memory {
    long resident_kib, tables_kib;
};

static unsigned long count;
static rdl_atomic(unsigned long) parked, woken;
static struct memory before, during;
static raddle_time spawned_ns, woken_ns;

static struct memory memory(void)
{
    struct memory m = {0, 0};
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];

    while (file && fgets(line, sizeof(line), file)) {
        (void)sscanf(line, "VmRSS: %ld", &m.resident_kib);
        (void)sscanf(line, "VmPTE: %ld", &m.tables_kib);
    }
    if (file)
        fclose(file);
    return m;
}

static long sum(const struct memory *m)
{
    return m->resident_kib + m->tables_kib;
}

static int parks(void *arg)
{
    int rc;

    (void)arg;
    rdl_atomic_fetch_add_relaxed(&parked, 1ul);
    rc = raddle_sleep_until(RADDLE_NEVER);
    rdl_atomic_fetch_add_relaxed(&woken, 1ul);
    return rc;
}

static void print(const char *when, const struct memory *m)
{
    printf("%-8s %8ld KiB resident, %6ld KiB of page tables\n", when, m->resident_kib,
           m->tables_kib);
    fflush(stdout);
}

static int all(void *arg)
{
    raddle_time start = raddle_now();
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned long i = 0; i < count && test_failures() == 0; i++) {
        EXPECT_EQ(raddle_spawn(&g, NULL, parks, NULL, NULL), 0);
        if (i % 1024 == 0)
            EXPECT_EQ(raddle_yield(), 0);
    }
    while (rdl_atomic_load_relaxed(&parked) < count && test_failures() == 0)
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    spawned_ns = raddle_now() - start;
    EXPECT_EQ(raddle_group_live(&g), count);
    during = memory();
    print("parked", &during);
    start = raddle_now();
    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    woken_ns = raddle_now() - start;
    EXPECT_EQ(woken, count);
    return 0;
}

/* Loops give memory back when they are idle: within seconds, and here nothing else is done. */
static bool is_back(const struct memory *m, long slack_kib)
{
    return sum(m) <= sum(&before) + sum(&before) / 10 + slack_kib;
}

static int idles(void *arg)
{
    raddle_time end = raddle_in(RADDLE_S(PATIENCE_S));
    struct memory *m = arg;

    do {
        EXPECT_EQ(raddle_sleep(RADDLE_MS(100)), 0);
        *m = memory();
    } while (!is_back(m, SLACK_KIB + TABLE_KIB) && test_slowness() == 1 && raddle_now() < end);
    return 0;
}

static int all_and_idle(void *arg)
{
    int rc = all(NULL);

    return rc < 0 ? rc : idles(arg);
}

/* AA5 */
int main(int argc, char **argv)
{
    struct rdl_stack_stats stats;
    struct memory after, ended;

    count = argc > 1 ? strtoul(argv[1], NULL, 10) : test_slowness() > 1 ? 5000 : 100000;
    if (test_run(test_nothing, NULL) != 0)
        return 1;
    before = memory();
    print("before", &before);
    EXPECT_EQ(test_run(all_and_idle, &after), 0);
    ended = memory();
    print("after", &after);
    print("ended", &ended);
    printf("%lu tasks: %ld bytes each, page tables included; %ld ns to start and park, %ld ns to "
           "wake and end\n",
           count, (sum(&during) - sum(&before)) * 1024 / (long)count,
           (long)(spawned_ns / (raddle_time)count), (long)(woken_ns / (raddle_time)count));
    if (test_slowness() == 1) { /* a sanitizer keeps memory of its own */
        EXPECT(is_back(&after, SLACK_KIB + TABLE_KIB));
        EXPECT(is_back(&ended, SLACK_KIB));
    }
    rdl_stack_stats(&stats);
    EXPECT_EQ(stats.in_use, 0);
    printf("guards: %s\n", stats.guard == RDL_STACK_GUARD_REGIONS ? "regions" : "mprotect");
    return test_result();
}
