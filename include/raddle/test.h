/*
 * raddle/test.h - tests of code that uses raddle, on Criterion: each in a run of its own, as a task.
 *
 *     #include <raddle/test.h>
 *
 *     RADDLE_TEST(cache, forgets_after_an_hour, .virtual_time = true)
 *     {
 *         cache_put("key", "value");
 *         raddle_assert_ok(raddle_sleep(RADDLE_S(3600)));      // takes no time
 *         cr_assert_null(cache_get("key"));
 *     }
 *
 * Link raddle::test, which brings Criterion; raddle.h doesn't include this header. Include it in every file whose
 * tasks assert something, after or instead of Criterion's.
 *
 * Order. Setup, body, teardown, then clean-ups (raddle_test_cleanup()), the last registered first, then the end of
 * raddle_test_group(). Each is a task on the same loop, in the same context (raddle/context.h), and shielded from
 * how the others ended. When the setup failed, body and teardown are left out; nothing else leaves the teardown out.
 * Criterion runs each test in a process of its own, so what is static begins anew.
 *
 * Assertions. cr_assert() and its kin, in a task on any loop, fail the test and end this task where it stands: groups
 * that are open in it are cancelled and waited for, locks go to the next, but nothing else that it has begun is
 * ended (raddle_abandon()). Setup or body, whichever runs, is cancelled, and the test goes on with the teardown, which
 * nothing but its time cancels, and the same holds for clean-ups.
 * cr_expect() notes the failure and goes on. In callbacks, jobs of executors and threads of one's own there is no
 * task to end: there cr_assert() ends the test at once, without a teardown; use cr_expect(). It is the same in the
 * main task of a raddle_run() that the test makes itself. cr_skip_test() ends the process at once, too.
 *
 * Processes. A test that calls exit() ends there, without teardown and search for what is left; with 0 it passes. The
 * child of a fork() must not assert anything: Criterion doesn't listen to it, and it would wait for an answer for
 * ever. It ends by _exit(), and its status is for the test to look at.
 *
 * Time. Each part of a test has a limit, in real time. A part that takes longer fails the test, with the tree of
 * all tasks, where each was spawned and what it waits for, and is cancelled. If it isn't over five seconds later,
 * the test ends without what would have followed. In virtual time a test in which nothing can happen any more has
 * reached its limit two seconds later; until then a thread outside may change something.
 *
 * What is left fails the test, too: tasks of loops and of raddle_background() that haven't ended, callbacks whose
 * time has not come, descriptors that were not open before, and what the library reports (raddle_on_report(),
 * raddle_on_error()): locks that a task ended with, failures that nobody has read, groups that were not closed. A
 * test that sets those handlers has them for itself. .allow says what may be left.
 *
 * Simulation. .virtual_time, .seed and .seeds make it a simulated run (raddle/sim.h), with seed 1 unless they say
 * otherwise. A failure in one names the seed, as RADDLE_POLICY=sim:seed=7; with that in the environment, the test
 * runs so, and once. RADDLE_POLICY=epoll or uring in the environment goes before .policy, and leaves tests alone
 * that are simulated.
 */
#ifndef RADDLE_TEST_H
#define RADDLE_TEST_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <raddle/group.h>
#include <raddle/task.h>
#include <raddle/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What may be left by a test. */
enum raddle_test_allow {
    RADDLE_TEST_TASKS = 1,       /**< Tasks of loops and of raddle_background(). */
    RADDLE_TEST_CALLBACKS = 2,   /**< Callbacks with a time. */
    RADDLE_TEST_DESCRIPTORS = 4, /**< Open descriptors. */
    RADDLE_TEST_REPORTS = 8,     /**< Reports: they go to standard error. */
};

/** How a test is run. Zero is the default for every member, and what the suite says comes between. */
struct raddle_test_options {
    int sentinel; /**< Zero. */
    /** How many loops. 0: RADDLE_TEST_LOOPS in the environment, else 1. */
    unsigned loops;
    /** "uring", "epoll", "sim:latency=2ms"; NULL: what the kernel allows. A test that asks for uring is skipped where
     *  that is denied. */
    const char *policy;
    bool virtual_time; /**< A simulated run: sleeping takes no time. */
    uint64_t seed;     /**< Of a simulated run, the first one. 0: 1. */
    unsigned seeds; /**< Simulated runs with so many seeds, one after the other, until one fails. */
    int64_t timeout_ns; /**< For setup and body, each. 0: 10 s; RADDLE_NEVER: none. */
    int64_t
        teardown_ns; /**< For the teardown, each clean-up, each end. 0: 10 s; RADDLE_NEVER: none. */
    void (*setup)(void);
    void (*teardown)(void);
    size_t stack_bytes;   /**< Of each part's task. 0: 256 KiB. */
    unsigned allow;       /**< Of enum raddle_test_allow. */
    uint64_t reserved[4]; /**< Zero. */
};

/** What a test does. */
typedef void raddle_test_fn(void *arg);

/**
 * RADDLE_TEST(suite, name, ...options) { body }: a Criterion test whose body is a task. Options are members of struct
 * raddle_test_options. A plain return passes.
 *
 * For Criterion's own options, and parameters, put raddle_test() into a Test() or ParameterizedTest().
 */
#define RADDLE_TEST(...) RADDLE_TEST_OF(__VA_ARGS__, .reserved = {0})
#define RADDLE_TEST_OF(suite, test, ...)                                                           \
    static void suite##_##test##_body(void *raddle_none_);                                         \
    Test(suite, test)                                                                              \
    {                                                                                              \
        static const struct raddle_test_options options = {.sentinel = 0, __VA_ARGS__};            \
        raddle_test_at(#suite, suite##_##test##_body, NULL, &options, __FILE__, __LINE__);         \
    }                                                                                              \
    static void suite##_##test##_body(__attribute__((unused)) void *raddle_none_)

/**
 * RADDLE_TEST_SUITE(suite, ...options): what all RADDLE_TEST()s of that suite have, if they don't say otherwise. Once
 * per suite of a program, in any file.
 */
#define RADDLE_TEST_SUITE(...) RADDLE_TEST_SUITE_OF(__VA_ARGS__, .reserved = {0})
#define RADDLE_TEST_SUITE_OF(suite, ...)                                                           \
    __attribute__((constructor)) static void raddle_test_suite_##suite(void)                       \
    {                                                                                              \
        static struct raddle_test_suite entry = {#suite, {.sentinel = 0, __VA_ARGS__}, NULL};      \
        raddle_test_add_suite(&entry);                                                             \
    }

/**
 * raddle_test(body, arg, ...options): runs body(arg) as RADDLE_TEST() does, from inside of Criterion's Test().
 *
 *     ParameterizedTest(struct port *port, listener, binds)
 *     {
 *         raddle_test(binds, port, .loops = 4);
 *     }
 *
 * Returns when it is over, also when it has failed, which Criterion knows by then.
 *
 * Context   The thread that Criterion runs the test in, outside a loop.
 */
#define raddle_test(...) RADDLE_TEST_CALL(__VA_ARGS__, .reserved = {0})
#define RADDLE_TEST_CALL(body, arg, ...)                                                           \
    do {                                                                                           \
        static const struct raddle_test_options raddle_options_ = {.sentinel = 0, __VA_ARGS__};    \
        raddle_test_at(NULL, (body), (arg), &raddle_options_, __FILE__, __LINE__);                 \
    } while (0)

/** What raddle_test() calls; suite: whose options it has besides, or NULL. */
void raddle_test_at(const char *suite, raddle_test_fn *body, void *arg,
                    const struct raddle_test_options *options, const char *file, int line);

/** What RADDLE_TEST_SUITE() makes; static data. */
struct raddle_test_suite {
    const char *name;
    struct raddle_test_options options;
    struct raddle_test_suite *next;
};

/** What RADDLE_TEST_SUITE() calls, before main(). */
void raddle_test_add_suite(struct raddle_test_suite *suite);

/**
 * The test's own group: for what runs beside the body, a server say. It is open in all parts of a test, and its tasks
 * are cancelled and waited for after the last clean-up. One that fails before fails the test, and cancels setup or
 * body, if it runs.
 *
 * Returns   the group, for raddle_spawn() only; NULL outside a test
 * Context   Any task of the test.
 */
struct raddle_group *raddle_test_group(void);

/**
 * raddle_test_cleanup(fn, arg): has fn(arg) called after the teardown, as a task; of several, the last one first. A
 * negative result fails the test. One may register another; a task of raddle_test_group() that registers one when
 * the last has been called fails the test.
 *
 * Context   Any task of the test.
 * Lifetime  arg must live until then: it can't lie in a frame of the body.
 */
#define raddle_test_cleanup(fn, arg) raddle_test_cleanup_at((fn), (arg), __FILE__, __LINE__)

/** What raddle_test_cleanup() calls. */
void raddle_test_cleanup_at(raddle_task_fn *fn, void *arg, const char *file, int line);

/**
 * Asserts that expression, a result of this library, isn't negative, and says what it means if it is. As a cr_assert()
 * it ends the task.
 *
 *     n = raddle_assert_ok(raddle_read(s, line, sizeof(line)));
 *
 * Returns   what expression came to
 */
#define raddle_assert_ok(expression) raddle_test_ok((expression), #expression, __FILE__, __LINE__)

/** What raddle_assert_ok() calls. */
ssize_t raddle_test_ok(ssize_t result, const char *what, const char *file, int line);

/**
 * Suspends the caller until every other task of the run waits: none could go on, no event is ready, nothing is due, no
 * job of an executor has yet to end. Then what the body has set going has got as far as it gets by itself.
 *
 *     raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, consumer, &queue, NULL));
 *     raddle_assert_ok(raddle_test_quiesce());
 *     cr_assert(consumer_waits);
 *
 * What arrives later has not arrived: the simulated network takes its time, and a task that waits for data on its
 * way waits, as one that sleeps does. Several tasks in this call wait for the others only, and go on together.
 *
 * In simulated runs only: raddle/sim.h, which has it as raddle_sim_quiesce(). In a real run that all wait is true for
 * a moment only: the kernel and threads are at work meanwhile, and nobody can ask all of them at once. There an event
 * or a latch says what the test waits for.
 *
 * Returns   0, or
 *           -ECANCELED  the caller was cancelled
 *           -ENOTSUP    the run is a real one
 *           -EPERM      outside a task
 * Context   Any task of the test.
 * Cancel    Cancellation point.
 */
int raddle_test_quiesce(void);

/**
 * Whether fn(arg) meets a cancellation point: it is called, by the caller's task, in a scope that is cancelled already,
 * and every point in it fails with -ECANCELED. One that fn swallows counts; one that it has shielded doesn't, and nor do
 * raddle_cancelled() and what its children meet. What fn returns is dropped.
 *
 * Returns   1 if it met one, 0 if not, or
 *           -EINVAL  fn is NULL
 *           -EPERM   outside a task
 * Context   Any task of the test.
 * Cancel    No cancellation point but those of fn.
 */
int raddle_test_cancel_point(raddle_task_fn *fn, void *arg);

/** Asserts that fn(arg) meets a cancellation point, as raddle_test_cancel_point() says; and that it meets none. */
#define raddle_assert_cancel_point(fn, arg)                                                        \
    raddle_test_cancel_point_at((fn), (arg), 1, #fn "(" #arg ")", __FILE__, __LINE__)
#define raddle_assert_no_cancel_point(fn, arg)                                                     \
    raddle_test_cancel_point_at((fn), (arg), 0, #fn "(" #arg ")", __FILE__, __LINE__)

/** What they call. */
void raddle_test_cancel_point_at(raddle_task_fn *fn, void *arg, int wanted, const char *what,
                                 const char *file, int line);

/** What assertions call when they failed, in place of Criterion's functions, which jump. */
__attribute__((noreturn)) void raddle_test_abort(void);
void raddle_test_continue(void);

#define criterion_abort_test    raddle_test_abort
#define criterion_continue_test raddle_test_continue

#ifdef __cplusplus
}
#endif

#endif
