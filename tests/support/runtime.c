/*
 * tests/support/runtime.c - expectations, footprints and small task bodies for tests of the runtime.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/task.h"
#include "sched/annotate.h"
#include "sched/stack.h"
#include "sched/sys.h"
#include "tests/support/counted.h"

static rdl_atomic(unsigned) failures;

enum { PRINTED = 20, PATIENCE_S = 10 };

static void failed(const char *text, const char *file, int line)
{
    if (rdl_atomic_fetch_add_relaxed(&failures, 1u) < PRINTED)
        fprintf(stderr, "%s:%d: %s\n", file, line, text);
}

void test_expect(bool good, const char *what, const char *file, int line)
{
    if (!good)
        failed(what, file, line);
}

void test_expect_eq(long long is, long long wanted, const char *what, const char *file, int line)
{
    char text[256];

    if (is == wanted)
        return;
    snprintf(text, sizeof(text), "%s is %lld, not %lld", what, is, wanted);
    failed(text, file, line);
}

void test_expect_str(const char *is, const char *wanted, const char *what, const char *file,
                     int line)
{
    char text[256];

    if (is == wanted || (is && wanted && strcmp(is, wanted) == 0))
        return;
    snprintf(text, sizeof(text), "%s is \"%s\", not \"%s\"", what, is ? is : "(null)",
             wanted ? wanted : "(null)");
    failed(text, file, line);
}

void test_expect_in(long long is, long long low, long long high, const char *what, const char *file,
                    int line)
{
    char text[256];

    if (is >= low && is < high)
        return;
    snprintf(text, sizeof(text), "%s is %lld, not from %lld to below %lld", what, is, low, high);
    failed(text, file, line);
}

unsigned test_failures(void)
{
    return rdl_atomic_load_relaxed(&failures);
}

int test_result(void)
{
    unsigned count = test_failures();

    if (count)
        fprintf(stderr, "%u expectations failed\n", count);
    return count ? 1 : 0;
}

unsigned test_loops(void)
{
    const char *text = getenv("RADDLE_TEST_LOOPS");
    unsigned long loops = text ? strtoul(text, NULL, 10) : 1;

    return loops ? (unsigned)loops : 1;
}

bool test_simulated(void)
{
    const char *policy = getenv("RADDLE_POLICY");

    return policy && strncmp(policy, "sim", 3) == 0;
}

bool test_left_out(const char *why)
{
    if (!test_simulated())
        return false;
    printf("left out of simulated runs: %s\n", why);
    test_counted(1, "tests left out of simulated runs");
    return true;
}

enum raddle_mobility test_mobility(void)
{
    const char *text = getenv("RADDLE_TEST_MOBILITY");

    return text && strcmp(text, "migratable") == 0 ? RADDLE_MIGRATABLE : RADDLE_MOBILITY_DEFAULT;
}

void test_keep_still(void)
{
    unsetenv("RADDLE_DEBUG");
    unsetenv("RADDLE_TEST_MOBILITY");
}

int test_run_on(unsigned loops, raddle_task_fn *fn, void *arg)
{
    struct raddle_run_options options = {.loops = loops, .mobility = test_mobility()};

    return raddle_run(fn, arg, &options);
}

int test_run(raddle_task_fn *fn, void *arg)
{
    return test_run_on(test_loops(), fn, arg);
}

unsigned test_entries(const char *folder)
{
    DIR *dir = opendir(folder);
    unsigned count = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

struct test_footprint test_footprint(void)
{
    struct rdl_stack_stats stats;

    rdl_stack_stats(&stats);
    return (struct test_footprint){.descriptors = test_entries("/proc/self/fd"),
                                   .stacks = stats.in_use};
}

void test_same_footprint(const struct test_footprint *before)
{
    struct test_footprint after = test_footprint();

    EXPECT_EQ(after.descriptors, before->descriptors);
    EXPECT_EQ(after.stacks, before->stacks);
}

void test_burn(int64_t length_ns)
{
    raddle_time end = raddle_now() + length_ns;

    while (raddle_now() < end)
        ;
}

int test_slowness(void)
{
    return RDL_STACK_SCALE > 1 || RDL_MSAN ? 10 : 1;
}

const char *test_waits_for(raddle_task *task)
{
    const char *what = NULL;

    rdl_lock_acquire(&task->lock);
    if (task->task)
        what = rdl_atomic_load_relaxed(&task->task->fiber.waiting_for);
    rdl_lock_release(&task->lock);
    return what;
}

/* From a task, or from a thread. */
static void give_way(void)
{
    if (!raddle_running_loop()) {
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        return;
    }
    /* Also in a cancelled task. */
    struct raddle_scope shield;
    raddle_scope_enter(&shield, RADDLE_NEVER, RADDLE_SHIELD);
    EXPECT_EQ(raddle_scope_leave(&shield, raddle_sleep(RADDLE_US(50))), 0);
}

void test_let_park(raddle_task *task)
{
    raddle_time end = raddle_in(RADDLE_S(PATIENCE_S) * test_slowness());
    struct raddle_outcome outcome;

    while (!test_waits_for(task) && raddle_outcome_of(task, &outcome) != 0) {
        if (raddle_now() > end) {
            failed("a task doesn't park", __FILE__, __LINE__);
            break;
        }
        give_way();
    }
}

void test_let_park_for(raddle_task *task, const char *what)
{
    test_let_park(task);
    EXPECT_STR(test_waits_for(task), what);
}

void test_await(const rdl_atomic(unsigned) * flag, unsigned value)
{
    raddle_time end = raddle_in(RADDLE_S(PATIENCE_S) * test_slowness());

    while (rdl_atomic_load_acquire(flag) < value) {
        if (raddle_now() > end) {
            failed("a flag isn't set", __FILE__, __LINE__);
            break;
        }
        give_way();
    }
}

uint32_t test_random(uint32_t *state)
{
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

unsigned long test_argument(int argc, char **argv, const char *name, unsigned long otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoul(argv[i + 1], NULL, 10);
    return otherwise;
}

int test_nothing(void *arg)
{
    (void)arg;
    return 0;
}

int test_return(void *arg)
{
    return *(int *)arg;
}

int test_sleep_forever(void *arg)
{
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER);
}
