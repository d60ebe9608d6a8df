/*
 * tests/conformance/test_debug.c - what debug mode reports: rows X1 to X5, X8 and X9 of asyncio's list, and the cases TC35,
 * TC57 and TC66. Deadlocks are in test_deadlock.c.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"
#include "tests/conformance/lines.h"

#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(debug, .timeout = 60);

enum { PATIENCE_S = 20, TEXT = 1 << 14 };

static int run_with(const char *words, raddle_task_fn *fn, void *arg)
{
    struct raddle_run_options o = {
        .loops = test_loops(), .mobility = test_mobility(), .debug = words};

    return raddle_run(fn, arg, &o);
}

/* Without a suspension, until something is reported. */
static void hold(void)
{
    raddle_time end = raddle_in(RADDLE_S(PATIENCE_S));
    unsigned count = 0;

    while (!count && raddle_now() < end) {
        pthread_mutex_lock(&lines.lock);
        count = lines.count;
        pthread_mutex_unlock(&lines.lock);
    }
}

/* Slow steps. */

static int holds_its_loop(void *arg)
{
    (void)arg;
    hold();
    return 0;
}

static int spawns_slow(void *arg)
{
    struct raddle_spawn_options o = {.name = "slow one", .mobility = RADDLE_PINNED};
    struct raddle_group g;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, holds_its_loop, NULL, &o), 0);
    return raddle_group_close(&g, 0);
}

static void expect_slow_task(void)
{
    lines_end(1);
    lines_have(0, "task \"slow one\" (");
    lines_have(0, "test_debug.c:");
    lines_have(0, "has held loop 0 for ");
    lines_have(0, " ms, at ");
}

/* X4 TC114 */
RuntimeTest(debug, a_slow_step_is_reported_while_it_lasts_with_the_name_and_the_place)
{
    if (test_left_out("nothing takes time"))
        return;
    setenv("RADDLE_TEST_LOOPS", "1", 1);
    lines_begin();
    cr_assert_eq(run_with("slow=20ms", spawns_slow, NULL), 0);
    expect_slow_task();
}

/* Walks the stack that it interrupts, as the library's handler does. */
static rdl_atomic(unsigned) walks;

static void walk(int number)
{
    void *frames[32];
    int saved = errno;

    (void)number;
    EXPECT(backtrace(frames, 32) > 0);
    rdl_atomic_fetch_add_relaxed(&walks, 1u);
    errno = saved;
}

static int yields_on(void *arg)
{
    int rc = 0;

    (void)arg;
    while (rc == 0 && rdl_atomic_load_relaxed(&walks) < 5000)
        rc = raddle_yield();
    return rc;
}

static int is_interrupted(void *arg)
{
    struct sigaction walking = {.sa_handler = walk, .sa_flags = SA_RESTART | SA_ONSTACK}, old;
    struct itimerval often = {{.tv_usec = 20}, {.tv_usec = 20}}, never = {{0}, {0}};
    struct raddle_group g;
    void *warm[1];
    int rc;

    (void)arg;
    (void)backtrace(warm, 1);
    EXPECT_EQ(sigaction(SIGALRM, &walking, &old), 0);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, yields_on, NULL);
    SPAWN(&g, NULL, yields_on, NULL);
    EXPECT_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
    rc = raddle_group_close(&g, 0);
    EXPECT_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    EXPECT_EQ(sigaction(SIGALRM, &old, NULL), 0);
    return rc;
}

/* A late question may find the loop between two stacks. */
RuntimeTest(debug, X4_who_is_interrupted_in_a_switch_can_be_walked)
{
    cr_assert_eq(test_run_on(1, is_interrupted, NULL), 0);
}

/* In the child there is nobody who would ask, and who begins to does so as if nobody ever had. */
static int forks(void *arg)
{
    struct sigaction now;
    int status = -1;
    pid_t pid = fork();

    (void)arg;
    if (pid == 0) {
        EXPECT_EQ(sigaction(SIGURG, NULL, &now), 0);
        EXPECT(now.sa_handler == SIG_DFL);
        _exit((int)test_failures());
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    return 0;
}

/* D4 X4 */
RuntimeTest(debug, a_child_has_the_signal_as_it_was)
{
    cr_assert_eq(run_with("slow=10s", forks, NULL), 0);
}

/* X1 X4 */
RuntimeTest(debug, a_slow_step_on_a_loop_of_ones_own_is_reported_too)
{
    raddle_loop *loop;

    if (test_left_out("nothing takes time"))
        return;
    setenv("RADDLE_DEBUG", "slow=20ms", 1);
    lines_begin();
    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, spawns_slow, NULL), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    expect_slow_task();
}

static rdl_atomic(unsigned) called;

static void slow_callback(void *arg)
{
    (void)arg;
    hold();
    rdl_atomic_fetch_add_acq_rel(&called, 1u);
}

static int calls_slow(void *arg)
{
    (void)arg;
    rdl_atomic_store_relaxed(&called, 0u);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), slow_callback, NULL), 0);
    while (!rdl_atomic_load_acquire(&called))
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    return 0;
}

/* X4 */
RuntimeTest(debug, a_slow_callback_is_reported_as_one)
{
    if (test_left_out("nothing takes time"))
        return;
    lines_begin();
    cr_assert_eq(run_with("slow=20ms", calls_slow, NULL), 0);
    lines_end(1);
    lines_have(0, "callback ");
    lines_have(0, "has held loop ");
    lines_have(0, " ms, at ");
}

/* Chains of callbacks. */

struct chain {
    unsigned left;
    rdl_atomic(unsigned) ended;
};

static void chained(void *arg)
{
    struct chain *c = arg;

    if (--c->left)
        EXPECT_EQ(raddle_call_soon(raddle_running_loop(), chained, c), 0);
    else
        rdl_atomic_fetch_add_acq_rel(&c->ended, 1u);
}

static int runs_chains(void *arg)
{
    struct chain chains[3] = {{.left = 100}, {.left = 20}, {.left = 100}};

    (void)arg;
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(raddle_call_soon(raddle_running_loop(), chained, &chains[i]), 0);
        test_await(&chains[i].ended, 1);
    }
    return 0;
}

/* X5 */
RuntimeTest(debug, a_chain_of_callbacks_that_goes_on_and_on_is_reported_once)
{
    lines_begin();
    cr_assert_eq(test_run(runs_chains, NULL), 0);
    lines_end(0);
    lines_begin();
    cr_assert_eq(run_with("chain=50", runs_chains, NULL), 0);
    lines_end(2);
    lines_have(0, "callback ");
    lines_have(0, "is number 50 of a chain of callbacks on loop ");
}

static rdl_atomic(unsigned) ticks;

static void ticks_on(void *arg)
{
    (void)arg;
    if (rdl_atomic_fetch_add_acq_rel(&ticks, 1u) < 100)
        EXPECT_EQ(raddle_call_later(raddle_running_loop(), 1000, ticks_on, NULL, NULL), 0);
}

static int runs_ticks(void *arg)
{
    (void)arg;
    rdl_atomic_store_relaxed(&ticks, 0u);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), ticks_on, NULL), 0);
    test_await(&ticks, 100);
    return raddle_sleep(SHORT);
}

/* X5 */
RuntimeTest(debug, callbacks_that_wait_for_a_time_in_between_are_no_chain)
{
    lines_begin();
    cr_assert_eq(run_with("chain=50", runs_ticks, NULL), 0);
    lines_end(0);
}

struct volley {
    raddle_loop *loops[2];
    raddle_future *ended;
    unsigned left;
};

static void to_the_other(void *arg)
{
    struct volley *v = arg;

    if (--v->left)
        EXPECT_EQ(raddle_call_soon(v->loops[v->left % 2], to_the_other, v), 0);
    else
        EXPECT_EQ(raddle_future_set(v->ended, 0, NULL), 0);
}

/* X5 */
RuntimeTest(debug, callbacks_to_and_fro_between_loops_are_no_chain)
{
    struct volley v = {.left = 100};
    struct raddle_outcome outcome;
    raddle_loop_thread *threads[2];

    setenv("RADDLE_DEBUG", "chain=50", 1);
    lines_begin();
    cr_assert_eq(raddle_future_create(&v.ended), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(raddle_loop_thread_start(&threads[i], NULL, NULL, NULL), 0);
        v.loops[i] = raddle_loop_thread_loop(threads[i]);
    }
    cr_assert_eq(raddle_call_soon(v.loops[0], to_the_other, &v), 0);
    cr_assert_eq(raddle_future_wait_thread(v.ended, RADDLE_NEVER, &outcome), 0);
    for (int i = 0; i < 2; i++) {
        (void)raddle_loop_thread_cancel(threads[i], NULL);
        (void)!raddle_loop_thread_join(threads[i], NULL);
    }
    raddle_future_unref(v.ended);
    unsetenv("RADDLE_DEBUG");
    lines_end(0);
}

/* The wrong thread, and the wrong task. */

static void *runs_theirs(void *arg)
{
    raddle_loop *loop = arg;

    (void)pthread_setname_np(pthread_self(), "stranger");
    EXPECT_EQ(raddle_loop_run_until_complete(loop, test_nothing, NULL), -EXDEV);
    EXPECT_EQ(raddle_loop_run_forever(loop), -EXDEV);
    EXPECT_EQ(raddle_loop_close(loop), -EXDEV);
    return NULL;
}

static void wrong_thread(void)
{
    raddle_loop *loop;
    pthread_t thread;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, test_nothing, NULL), 0);
    cr_assert_eq(raddle_loop_spawn(loop, test_sleep_forever, NULL, NULL), 0);
    cr_assert_eq(pthread_create(&thread, NULL, runs_theirs, loop), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

/* X3 */
RuntimeTest(debug, who_uses_another_threads_loop_is_reported_with_both_threads)
{
    lines_begin();
    wrong_thread();
    lines_end(0);
    setenv("RADDLE_DEBUG", "1,slow=0", 1);
    lines_begin();
    wrong_thread();
    lines_end(3);
    lines_have(0, "raddle_loop_run_until_complete: called in thread \"stranger\" (");
    lines_have(0, "but the loop is bound to thread \"");
    lines_have(1, "raddle_loop_run_forever: called in thread \"stranger\" (");
    lines_have(2, "raddle_loop_close: called in thread \"stranger\" (");
}

static struct raddle_mutex mutex;
static struct raddle_rwlock rwlock;

static int unlocks(void *arg)
{
    (void)arg;
    EXPECT_EQ(raddle_unlock(&mutex), -EPERM);
    EXPECT_EQ(raddle_rwlock_unlock(&rwlock), -EPERM);
    return 0;
}

static int asks(void *arg)
{
    raddle_task *task;

    EXPECT_EQ(raddle_group_next(arg, &task), -EPERM);
    return 0;
}

static int has_strangers(void *arg)
{
    struct raddle_spawn_options o = {.name = "stranger"};
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    OPEN(&g, .as_completed = true);
    EXPECT_EQ(raddle_lock(&mutex), 0);
    EXPECT_EQ(raddle_rwlock_write(&rwlock), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, unlocks, NULL, &o), 0);
    EXPECT_EQ(raddle_group_next(&g, &task), 1);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_spawn(&g, NULL, asks, &g, &o), 0);
    EXPECT_EQ(raddle_unlock(&mutex), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&rwlock), 0);
    return raddle_group_close(&g, 0);
}

/* X3 */
RuntimeTest(debug, who_uses_what_is_another_tasks_is_reported)
{
    lines_begin();
    cr_assert_eq(test_run(has_strangers, NULL), 0);
    lines_end(0);
    lines_begin();
    cr_assert_eq(debug_run(has_strangers, NULL), 0);
    lines_end(3);
    lines_have(0, "raddle_unlock: task \"stranger\" (");
    lines_have(0, "isn't the owner; it was locked last at ");
    lines_have(1, "raddle_rwlock_unlock: task \"stranger\" (");
    lines_have(2, "raddle_group_next: task \"stranger\" (");
    lines_have(2, "isn't task \"main\", which opened the group at ");
}

/* What nobody reads. */

struct failing {
    bool reads, lists;
};

static int fails(void *arg)
{
    return *(int *)arg;
}

static int two_fail(void *arg)
{
    struct failing *f = arg;
    struct raddle_group_error errors[2];
    struct raddle_spawn_options o = {.name = "second"};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;
    int first = -EIO, second = -EPIPE;

    OPEN(&g, .mode = RADDLE_COLLECT, .errors = errors, .max_errors = f->lists ? 2 : 0);
    SPAWN(&g, &task, fails, &first);
    EXPECT_EQ(raddle_join(task, NULL), 0);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_spawn(&g, f->reads ? &task : NULL, fails, &second, &o), 0);
    if (f->reads) {
        EXPECT_EQ(raddle_join(task, &outcome), 0);
        EXPECT_EQ(outcome.rc, -EPIPE);
        raddle_task_unref(task);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    return 0;
}

/* X8 */
RuntimeTest(debug, a_failure_that_neither_the_group_nor_anybody_reads_is_reported)
{
    lines_begin();
    cr_assert_eq(test_run(two_fail, &(struct failing){.reads = false}), 0);
    cr_assert_eq(debug_run(two_fail, &(struct failing){.reads = true}), 0);
    cr_assert_eq(debug_run(two_fail, &(struct failing){.lists = true}), 0);
    lines_end(0);
    lines_begin();
    cr_assert_eq(debug_run(two_fail, &(struct failing){.reads = false}), 0);
    lines_end(1);
    lines_have(0, "task \"second\" (");
    lines_have(0, "test_debug.c:");
    lines_have(0, "nobody has read it: ");
    lines_have(0, raddle_strerror(-EPIPE));
}

static int drops_handle(void *arg)
{
    int first = -EIO, second = -EPIPE;
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    OPEN(&g, .mode = RADDLE_COLLECT);
    SPAWN(&g, &task, fails, &first);
    EXPECT_EQ(raddle_join(task, NULL), 0);
    raddle_task_unref(task);
    SPAWN(&g, &task, fails, &second);
    EXPECT_EQ(raddle_join(task, NULL), 0);
    EXPECT_EQ(lines.count, 0);
    raddle_task_unref(task); /* nobody can ask any more, unless it hasn't quite ended */
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    return 0;
}

/* X8 */
RuntimeTest(debug, the_failure_of_a_task_with_a_handle_is_reported_when_that_goes)
{
    lines_begin();
    cr_assert_eq(debug_run(drops_handle, NULL), 0);
    lines_end(1);
    lines_have(0, "nobody has read it: ");
}

/* Its only handle is its own. */
static int knows_itself(void *arg)
{
    EXPECT(raddle_self() != NULL);
    return *(int *)arg;
}

static int second_knows_itself(void *arg)
{
    int first = -EIO, second = -EPIPE;
    struct raddle_group g;

    (void)arg;
    OPEN(&g, .mode = RADDLE_COLLECT, .max_live = 1);
    SPAWN(&g, NULL, fails, &first);
    SPAWN(&g, NULL, knows_itself, &second);
    return raddle_group_close(&g, 0) == -EIO ? 0 : -EPROTO;
}

static int asks_who_failed(const struct raddle_error_event *event, void *arg)
{
    raddle_task *self = raddle_self();

    EXPECT_STR(raddle_task_name(self), event->task);
    EXPECT_EQ(raddle_outcome_of(self, &(struct raddle_outcome){.rc = 0}), -EINPROGRESS);
    raddle_task_unref(raddle_task_ref(self));
    ++*(unsigned *)arg;
    return 0;
}

/* The handler is called in the task, which is one still. */
/* X8 */
RuntimeTest(debug, of_a_task_that_nobody_else_has_a_handle_of_while_it_is_there)
{
    unsigned count = 0;

    raddle_on_error(asks_who_failed, &count);
    cr_assert_eq(debug_run(second_knows_itself, NULL), 0);
    raddle_on_error(NULL, NULL);
    EXPECT_EQ(count, 1);
}

/* What is left open. */

static int opened_at;

static void leaves_group(int *rc)
{
    raddle_auto(group) struct raddle_group g = {.scope = {{0}}};

    opened_at = __LINE__ + 1;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    SPAWN(&g, NULL, fails, rc);
    EXPECT_EQ(raddle_sleep(SHORT), -ECANCELED); /* by the failure */
}

static int forgets_to_close(void *arg)
{
    int rc = -EIO;

    (void)arg;
    leaves_group(&rc);
    return 0;
}

/* X2 X9 TC57 */
RuntimeTest(debug, a_group_that_is_left_open_is_reported_with_where_it_was_opened)
{
    char place[64];

    lines_begin();
    cr_assert_eq(debug_run(forgets_to_close, NULL), 0);
    lines_end(2);
    snprintf(place, sizeof(place), "test_debug.c:%d", opened_at);
    lines_have(0, "left a group without closing it, which it had opened at ");
    lines_have(0, place);
    lines_have(1, "failed, and nobody reads it: ");
    lines_have(1, place);
}

static int ends_with_lock(void *arg)
{
    (void)arg;
    return raddle_lock(&mutex);
}

static int has_careless_child(void *arg)
{
    struct raddle_spawn_options o = {.name = "careless"};
    struct raddle_group g;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, ends_with_lock, NULL, &o), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_lock(&mutex), -EOWNERDEAD);
    return raddle_unlock(&mutex);
}

/* X2 X9 TC66 */
RuntimeTest(debug, a_lock_whose_owner_has_ended_is_reported_with_where_it_was_locked)
{
    lines_begin();
    cr_assert_eq(debug_run(has_careless_child, NULL), 0);
    lines_end(1);
    lines_have(0, "task \"careless\" (");
    lines_have(0, ") ended while it held a mutex, which it had locked at ");
    lines_have(0, "test_debug.c:");
}

/* What stops the process: what it says on its standard error. */

static void expect_to_die(raddle_task_fn *fn, const char *what)
{
    static char text[TEXT];
    int fd = memfd_create("errors", MFD_CLOEXEC), status = -1;
    pid_t pid;
    ssize_t n;

    cr_assert(fd >= 0);
    pid = fork();
    if (pid == 0) {
        dup2(fd, STDERR_FILENO);
        _exit(test_run(fn, NULL));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%x: %s", status, text);
    cr_assert(strstr(text, what), "\"%s\" is not in: %s", what, text);
    cr_assert(strstr(text, "test_debug.c:"), "%s", text);
}

static int crosses_scopes(void *arg)
{
    struct raddle_scope outer, inner;

    (void)arg;
    raddle_scope_enter(&outer, 0, 0);
    raddle_scope_enter(&inner, 0, 0);
    return raddle_scope_leave(&outer, 0);
}

static int returns_inside(void *arg)
{
    static struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, 0, 0);
    return 0;
}

static int returns_open(void *arg)
{
    static struct raddle_group g;

    (void)arg;
    return raddle_group_open(&g, NULL);
}

static int crosses_groups(void *arg)
{
    struct raddle_group outer, inner;
    int rc;

    (void)arg;
    rc = raddle_group_open(&outer, NULL);
    if (rc == 0)
        rc = raddle_group_open(&inner, NULL);
    return raddle_group_close(&outer, rc);
}

/* X2 TC35 */
RuntimeTest(debug, what_is_left_in_the_wrong_order_is_named_with_where_it_was_entered)
{
    expect_to_die(crosses_scopes, "task \"main\" leaves the scope entered at ");
    expect_to_die(crosses_scopes, ", but is in the scope entered at ");
    expect_to_die(returns_inside, "task \"main\" returned without leaving the scope entered at ");
    expect_to_die(returns_open, "task \"main\" returned without leaving the group opened at ");
    expect_to_die(crosses_groups,
                  "not the innermost scope: task \"main\" closes the group opened at ");
}

/* Words. */

/* X1 */
RuntimeTest(debug, bad_words_are_refused_and_reported_once)
{
    struct raddle_run_options o = {.loops = test_loops(), .debug = "slow=fast"};

    lines_begin();
    cr_assert_eq(raddle_run(test_nothing, NULL, &o), -EINVAL);
    lines_end(1);
    lines_have(0, "debug: \"slow=fast\" is no list of words of: ");
}

/* X1 */
RuntimeTest(debug, the_environment_switches_it_on_and_0_leaves_it_off)
{
    setenv("RADDLE_DEBUG", "1,slow=2s", 1);
    lines_begin();
    cr_assert_eq(test_run(two_fail, &(struct failing){.reads = false}), 0);
    lines_end(1);
    setenv("RADDLE_DEBUG", "0", 1);
    lines_begin();
    cr_assert_eq(test_run(two_fail, &(struct failing){.reads = false}), 0);
    lines_end(0);
}
