/*
 * tests/support/runtime.h - what the tests of the runtime share, with Criterion and without it.
 *
 * A task must not fail a Criterion assertion: that would jump from its stack to the test's. So
 * EXPECT() and its kin note and print what was wrong and go on, from any thread and any stack, and
 * the test fails at its end (tests/support/fixture.h), or the program by test_result().
 */
#ifndef TESTS_SUPPORT_RUNTIME_H
#define TESTS_SUPPORT_RUNTIME_H

#include <raddle.h>
#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

#define EXPECT(condition) test_expect((condition), #condition, __FILE__, __LINE__)
#define EXPECT_EQ(is, wanted)                                                                      \
    test_expect_eq((long long)(is), (long long)(wanted), #is, __FILE__, __LINE__)
#define EXPECT_STR(is, wanted) test_expect_str((is), (wanted), #is, __FILE__, __LINE__)
/* At least low and less than high. */
#define EXPECT_IN(is, low, high)                                                                   \
    test_expect_in((long long)(is), (long long)(low), (long long)(high), #is, __FILE__, __LINE__)

void test_expect(bool good, const char *what, const char *file, int line);
void test_expect_eq(long long is, long long wanted, const char *what, const char *file, int line);
void test_expect_str(const char *is, const char *wanted, const char *what, const char *file,
                     int line);
void test_expect_in(long long is, long long low, long long high, const char *what, const char *file,
                    int line);

/* How many expectations were not met so far. */
unsigned test_failures(void);

/* What main() returns: 0, or 1 after a failure. */
int test_result(void);

/* RADDLE_TEST_LOOPS, or 1. */
unsigned test_loops(void);

/* RADDLE_POLICY asks for simulated runs. */
bool test_simulated(void);

/* Are the runs simulated? Then the test that asks is to return: it is printed and counted as left out, and why. */
bool test_left_out(const char *why);

/* Of tasks that don't say: the default, or with RADDLE_TEST_MOBILITY=migratable all may move. */
enum raddle_mobility test_mobility(void);

/* For a test of who runs where: the mode that moves all tasks is not for it, and it runs as without. */
void test_keep_still(void);

/* raddle_run() with so many loops; the driver is RADDLE_POLICY's. */
int test_run(raddle_task_fn *fn, void *arg);
int test_run_on(unsigned loops, raddle_task_fn *fn, void *arg);

/* How many entries a folder has, its own two included: of descriptors or threads in /proc, say. 0: it can't be read. */
unsigned test_entries(const char *folder);

/* What a test may not leave behind. */
struct test_footprint {
    unsigned descriptors;
    size_t stacks; /* in use */
};

struct test_footprint test_footprint(void);

/* Expects nothing more than there was. */
void test_same_footprint(const struct test_footprint *before);

/* Uses the CPU for so long, without a suspension. */
void test_burn(int64_t length_ns);

/* How much slower than usual this build may be: more than 1 with a sanitizer. */
int test_slowness(void);

/* What the task waits for, as a dump would say; NULL: it runs or is runnable or has ended. */
const char *test_waits_for(raddle_task *task);

/* In a task: gives way until task waits for something, or has ended. Gives up, as a failure, after
 * ten seconds. The second expects it to wait for that. */
void test_let_park(raddle_task *task);
void test_let_park_for(raddle_task *task, const char *what);

/* In a task: gives way until *flag is at least value; also in a thread. */
void test_await(const rdl_atomic(unsigned) * flag, unsigned value);

/* A small random number, of a generator that is the caller's; any seed but 0. */
uint32_t test_random(uint32_t *state);

/* --NAME N among the arguments of a program, or the value given. */
unsigned long test_argument(int argc, char **argv, const char *name, unsigned long otherwise);

/* Task bodies that many tests use. */
int test_nothing(void *arg);       /* returns 0 */
int test_return(void *arg);        /* returns *(int *)arg */
int test_sleep_forever(void *arg); /* until it is cancelled */

#endif
