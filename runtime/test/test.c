/*
 * runtime/test/test.c - one test: its options, and its runs, of which there are several if it has several seeds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/test/parts.h"

static struct raddle_test_suite *suites; /* added before main() */

void raddle_test_add_suite(struct raddle_test_suite *suite)
{
    suite->next = suites;
    suites = suite;
}

/* Options: the test's own, else the suite's, else the defaults. */

#define OTHERWISE(member, value)                                                                   \
    do {                                                                                           \
        if (!o->member)                                                                            \
            o->member = (value);                                                                   \
    } while (0)

static void inherit(struct raddle_test_options *o, const struct raddle_test_options *from)
{
    OTHERWISE(loops, from->loops);
    OTHERWISE(policy, from->policy);
    OTHERWISE(virtual_time, from->virtual_time);
    OTHERWISE(seed, from->seed);
    OTHERWISE(seeds, from->seeds);
    OTHERWISE(timeout_ns, from->timeout_ns);
    OTHERWISE(teardown_ns, from->teardown_ns);
    OTHERWISE(setup, from->setup);
    OTHERWISE(teardown, from->teardown);
    OTHERWISE(stack_bytes, from->stack_bytes);
    OTHERWISE(allow, from->allow);
}

static unsigned default_loops(void)
{
    const char *text = getenv("RADDLE_TEST_LOOPS");
    unsigned long loops = text ? strtoul(text, NULL, 10) : 1;

    return loops ? (unsigned)loops : 1;
}

static void fill_in(struct raddle_test_options *o, const char *suite)
{
    const struct raddle_test_options defaults = {
        .loops = default_loops(),
        .timeout_ns = RADDLE_S(10),
        .teardown_ns = RADDLE_S(10),
        .stack_bytes = 256 * 1024,
    };

    for (const struct raddle_test_suite *s = suites; s && suite; s = s->next)
        if (strcmp(s->name, suite) == 0)
            inherit(o, &s->options);
    inherit(o, &defaults);
}

static bool is_sim(const char *policy)
{
    return policy && strncmp(policy, "sim", 3) == 0 && (policy[3] == ':' || !policy[3]);
}

/* The simulation's name with another seed; in what it says besides, seed=N is left out. */
static void name_simulation(char *text, size_t bytes, const char *policy, uint64_t seed)
{
    const char *next = is_sim(policy) && policy[3] ? policy + 4 : "";
    size_t used = (size_t)snprintf(text, bytes, "sim:seed=%llu", (unsigned long long)seed);

    while (*next && used < bytes) {
        size_t length = strcspn(next, ",");

        if (strncmp(next, "seed=", 5) != 0)
            used += (size_t)snprintf(text + used, bytes - used, ",%.*s", (int)length, next);
        next += length + (next[length] == ',');
    }
}

/* What the library reports. */

static void on_report(const char *line, void *arg)
{
    const struct rdl_test *test = arg;

    if (test->options.allow & RADDLE_TEST_REPORTS)
        fprintf(stderr, "raddle: %s\n", line);
    else
        rdl_test_fail("reported: %s", line);
}

/* The end of a task in a failed assertion has been told. */
static int on_error(const struct raddle_error_event *event, void *arg)
{
    if (event->rc != RADDLE_ETEST)
        on_report(event->what, arg);
    return 0;
}

/* Runs. */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static struct raddle_run_options run_options(const struct rdl_test *test)
{
    return (struct raddle_run_options){
        .loops = test->options.loops, .driver = test->driver, .flags = RADDLE_RUN_NO_SIGINT};
}

/* What the first run of a process makes for good is there before the descriptors are listed. */
static int warm_up(const struct rdl_test *test)
{
    struct raddle_run_options options = run_options(test);

    return raddle_run(nothing, NULL, &options);
}

static void run_once(struct rdl_test *test)
{
    struct raddle_run_options options = run_options(test);
    struct rdl_test_open *before = rdl_test_open_list();
    int rc = rdl_test_watch_start();

    if (rc == 0) {
        raddle_on_report(on_report, test);
        raddle_on_error(on_error, test);
        rc = raddle_run(rdl_test_main, test, &options);
        rdl_test_watch_stop();
        raddle_on_report(NULL, NULL);
        raddle_on_error(NULL, NULL);
    }
    if (rc < 0)
        rdl_test_fail("the test could not be run: %s", raddle_strerror(rc));
    else if (!(test->options.allow & RADDLE_TEST_DESCRIPTORS))
        rdl_test_open_compare(before);
    rdl_test_open_free(before);
}

/* Which driver, and how often. */
static void run_all(struct rdl_test *test)
{
    const struct raddle_test_options *o = &test->options;
    const char *environment = getenv("RADDLE_POLICY");
    bool simulated = o->virtual_time || o->seed || o->seeds || is_sim(o->policy);
    unsigned runs = simulated && o->seeds ? o->seeds : 1;
    unsigned before = rdl_test_failures();
    int rc;

    if (is_sim(environment)) {
        simulated = false; /* as the environment says, and once */
        runs = 1;
        test->driver = environment;
    } else if (!environment || !*environment) {
        test->driver = o->policy;
    }
    for (unsigned i = 0; i < runs && rdl_test_failures() == before; i++) {
        if (simulated) {
            name_simulation(test->simulation, sizeof(test->simulation), o->policy,
                            (o->seed ? o->seed : 1) + i);
            test->driver = test->simulation;
        }
        rc = i ? 0 : warm_up(test);
        if (rc < 0 && test->driver && strcmp(test->driver, "uring") == 0)
            criterion_skip_test("io_uring: %s", raddle_strerror(rc));
        if (rc < 0)
            rdl_test_fail("a run can't begin: %s", raddle_strerror(rc));
        else
            run_once(test);
    }
    if (rdl_test_failures() != before && test->simulated) {
        name_simulation(test->simulation, sizeof(test->simulation),
                        is_sim(environment) ? environment : o->policy, test->seed);
        rdl_test_fail("RADDLE_POLICY=%s has the same again", test->simulation);
    }
}

void raddle_test_at(const char *suite, raddle_test_fn *body, void *arg,
                    const struct raddle_test_options *options, const char *file, int line)
{
    struct rdl_test test = {
        .file = file, .line = line, .body = body, .arg = arg, .options = *options};

    rdl_test_begin(file, line);
    fill_in(&test.options, suite);
    if (raddle_running_loop())
        rdl_test_fail("raddle_test() inside a loop");
    else
        run_all(&test);
    rdl_test_end();
}
