/*
 * tests/runtime/test_dump.c - what a program can see of itself: dumps, reports, warnings, words.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(dump, .timeout = 30);

enum { SHORT = 5 * 1000000, TEXT = 1 << 16 };

/* What fn, in a child process, writes to its standard error; and how the child ended. */
static int errors_of(int (*fn)(void), char *text, size_t bytes)
{
    int fd = memfd_create("errors", MFD_CLOEXEC), status = -1;
    pid_t child;
    ssize_t n;

    cr_assert(fd >= 0);
    child = fork();
    if (child == 0) {
        dup2(fd, STDERR_FILENO);
        _exit(fn() | (test_failures() ? 100 : 0));
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    n = pread(fd, text, bytes - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    return status;
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

/* The line of text in which part is, in a static buffer. */
static const char *line_of(const char *text, const char *part)
{
    static char line[1024];
    const char *at = strstr(text, part);
    size_t length;

    if (!at)
        return "";
    while (at > text && at[-1] != '\n')
        at--;
    length = strcspn(at, "\n");
    if (length > sizeof(line) - 1)
        length = sizeof(line) - 1;
    memcpy(line, at, length);
    line[length] = 0;
    return line;
}

struct printed {
    int count;
    char text[TEXT];
};

static void print(struct printed *p)
{
    int fd = memfd_create("tasks", MFD_CLOEXEC);
    ssize_t n;

    p->count = raddle_print_tasks(fd);
    n = pread(fd, p->text, sizeof(p->text) - 1, 0);
    p->text[n > 0 ? n : 0] = 0;
    close(fd);
}

RuntimeTest(dump, without_tasks_says_so)
{
    static struct printed p;

    print(&p);
    cr_assert_eq(p.count, 0);
    cr_assert(strstr(p.text, "0 tasks"));
    cr_assert_eq(raddle_print_tasks(-1), -EBADF);
}

static int joins(void *arg)
{
    return raddle_join(arg, NULL);
}

static rdl_atomic(unsigned) let_go;

static int blocks(void *arg)
{
    (void)arg;
    while (!rdl_atomic_load_acquire(&let_go))
        usleep(100);
    return 0;
}

static int offloads(void *arg)
{
    return raddle_run_in_executor(NULL, blocks, arg, NULL);
}

static int grandchild(void *arg)
{
    return raddle_join(arg, NULL);
}

static int owns(void *arg)
{
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, grandchild, arg, NULL), 0);
    return raddle_group_close(&g, 0);
}

static void *prints(void *arg)
{
    print(arg);
    return NULL;
}

static int a_family(void *arg)
{
    static struct printed p;
    struct raddle_spawn_options o = {.name = "a sleeper", .mobility = RADDLE_PINNED};
    raddle_task *sleeper, *joiner, *owner, *offloader;
    struct raddle_group g;
    pthread_t thread;
    int line = 0;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    line = __LINE__ + 1;
    EXPECT_EQ(raddle_spawn(&g, &sleeper, test_sleep_forever, NULL, &o), 0);
    EXPECT_EQ(raddle_spawn(&g, &joiner, joins, sleeper, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &owner, owns, sleeper, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &offloader, offloads, NULL, NULL), 0);
    test_let_park(sleeper);
    test_let_park(joiner);
    test_let_park_for(owner, "the tasks of its group");
    test_let_park(offloader);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(20)), 0);

    for (int from_thread = 0; from_thread < 2; from_thread++) {
        char site[64];
        if (from_thread) {
            EXPECT_EQ(pthread_create(&thread, NULL, prints, &p), 0);
            pthread_join(thread, NULL);
        } else {
            print(&p);
        }
        EXPECT_EQ(p.count, 6);
        EXPECT(strstr(p.text, "6 tasks"));
        snprintf(site, sizeof(site), "test_dump.c:%d)", line);
        EXPECT(strstr(line_of(p.text, "a sleeper"), site));
        EXPECT(strstr(line_of(p.text, "a sleeper"), "[pinned]"));
        EXPECT(strstr(line_of(p.text, "a sleeper"), "waits for a point in time"));
        EXPECT(strstr(line_of(p.text, "a sleeper"), ", since "));
        EXPECT(strstr(line_of(p.text, "joins"), "waits for the end of a task"));
        EXPECT(strstr(line_of(p.text, "owns"), "waits for the tasks of its group"));
        EXPECT(strstr(line_of(p.text, "offloads"), "waits for a job in an executor"));
        EXPECT(strstr(line_of(p.text, "main"), "running"));
        /* A child is further in than its parent. */
        EXPECT(strspn(line_of(p.text, "grandchild"), " ") > strspn(line_of(p.text, "owns"), " "));
        EXPECT(strspn(line_of(p.text, "owns"), " ") > strspn(line_of(p.text, "main"), " "));
    }
    rdl_atomic_store_release(&let_go, 1u);
    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    raddle_task_unref(sleeper);
    raddle_task_unref(joiner);
    raddle_task_unref(owner);
    raddle_task_unref(offloader);
    return 0;
}

/* X2 X10 X15 */
RuntimeTest(dump, shows_each_task_where_it_was_spawned_and_what_it_waits_for)
{
    cr_assert_eq(test_run(a_family, NULL), 0);
}

static int deep(void *arg)
{
    unsigned *left = arg;
    struct raddle_group g;

    if (--*left == 0)
        return raddle_sleep_until(RADDLE_NEVER);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, deep, left, NULL), 0);
    return raddle_group_close(&g, 0);
}

static int prints_deep(void *arg)
{
    static struct printed p;
    struct raddle_group g;
    unsigned left = 300;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, deep, &left, NULL), 0);
    while (*(volatile unsigned *)&left)
        EXPECT_EQ(raddle_sleep(RADDLE_US(100)), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(2)), 0);
    print(&p);
    EXPECT_EQ(p.count, 301);
    EXPECT_EQ(count_of(p.text, "deep ("), 300);
    raddle_group_cancel(&g, NULL);
    return raddle_group_close(&g, 0);
}

/* X10 */
RuntimeTest(dump, shows_a_deep_tree)
{
    cr_assert_eq(test_run_on(1, prints_deep, NULL), 0);
}

static int waits_in_loop(void *arg)
{
    static struct printed p;

    (void)arg;
    print(&p);
    EXPECT_EQ(p.count, 2);
    EXPECT(strstr(p.text, "test_sleep_forever"));
    return 0;
}

RuntimeTest(dump, shows_the_tasks_of_loops_that_a_program_made)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(raddle_loop_spawn(loop, test_sleep_forever, NULL,
                                   &(struct raddle_spawn_options){.name = "test_sleep_forever"}),
                 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, waits_in_loop, NULL), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

/* A reader that is slow, or gone. */
static int prints_to_pipe(void *arg)
{
    int fds[2];
    struct raddle_group g;

    (void)arg;
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    close(fds[0]);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, test_sleep_forever, NULL, NULL), 0);
    EXPECT_EQ(raddle_print_tasks(fds[1]), -EPIPE);
    EXPECT_EQ(raddle_print_tasks(-1), -EBADF);
    close(fds[1]);
    raddle_group_cancel(&g, NULL);
    return raddle_group_close(&g, 0);
}

RuntimeTest(dump, tells_what_the_write_said)
{
    cr_assert_eq(test_run(prints_to_pipe, NULL), 0);
}

/* SIGQUIT */

static int quits(void *arg)
{
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, test_sleep_forever, NULL,
                           &(struct raddle_spawn_options){.name = "to be seen"}),
              0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(raddle_sleep(RADDLE_MS(20)), 0);
        EXPECT_EQ(kill(getpid(), SIGQUIT), 0);
        EXPECT_EQ(raddle_sleep(RADDLE_MS(200)), 0);
    }
    raddle_group_cancel(&g, NULL);
    return raddle_group_close(&g, 0);
}

static int sigquit_run(void)
{
    struct raddle_run_options o = {.loops = test_loops(), .flags = RADDLE_RUN_SIGQUIT};
    struct sigaction action;

    EXPECT_EQ(raddle_run(quits, NULL, &o), 0);
    EXPECT_EQ(sigaction(SIGQUIT, NULL, &action), 0);
    EXPECT(action.sa_handler == SIG_DFL);
    return 0;
}

RuntimeTest(dump, sigquit_prints_all_tasks_if_so_asked)
{
    static char text[TEXT];
    int status = errors_of(sigquit_run, text, sizeof(text));

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x: %s", status, text);
    cr_assert_eq(count_of(text, "to be seen"), 2, "%s", text);
    cr_assert_eq(count_of(text, "2 tasks"), 2, "%s", text);
}

static int sigquit_default(void)
{
    return test_run(quits, NULL);
}

RuntimeTest(dump, sigquit_has_its_default_action_otherwise)
{
    static char text[TEXT];
    int status = errors_of(sigquit_default, text, sizeof(text));

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT, "%x: %s", status, text);
}

/* Reports. */

struct reports {
    pthread_mutex_t lock;
    unsigned count;
    char last[512];
};

static void on_report(const char *line, void *arg)
{
    struct reports *r = arg;

    pthread_mutex_lock(&r->lock);
    r->count++;
    snprintf(r->last, sizeof(r->last), "%s", line);
    pthread_mutex_unlock(&r->lock);
}

static int loop_task_fails(void *arg)
{
    struct raddle_spawn_options o = {.name = "unlucky"};
    int *rc = arg;

    EXPECT_EQ(raddle_loop_spawn(raddle_running_loop(), test_return, rc, &o), 0);
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    return 0;
}

RuntimeTest(dump, a_failed_task_of_a_loop_is_reported)
{
    static struct reports reports = {.lock = PTHREAD_MUTEX_INITIALIZER};
    int rc = -EIO;

    raddle_on_report(on_report, &reports);
    cr_assert_eq(test_run(loop_task_fails, &rc), 0);
    cr_assert_eq(reports.count, 1);
    cr_assert(strstr(reports.last, "unlucky"), "%s", reports.last);
    cr_assert(strstr(reports.last, raddle_strerror(-EIO)), "%s", reports.last);
    cr_assert_null(strchr(reports.last, '\n'));
    rc = 3;
    cr_assert_eq(test_run(loop_task_fails, &rc), 0);
    cr_assert_eq(reports.count, 1);
    raddle_on_report(NULL, NULL);
}

static int report_to_stderr(void)
{
    int rc = -EPIPE;

    return test_run(loop_task_fails, &rc);
}

RuntimeTest(dump, reports_go_to_standard_error_by_default)
{
    static char text[TEXT];
    int status = errors_of(report_to_stderr, text, sizeof(text));

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x: %s", status, text);
    cr_assert_eq(count_of(text, "raddle: "), 1, "%s", text);
    cr_assert(strstr(text, "unlucky"), "%s", text);
}

/* A task that holds its loop. */

static int holds_its_loop(void *arg)
{
    (void)arg;
    test_burn(RADDLE_MS(400));
    return 0;
}

static int holds(void *arg)
{
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, holds_its_loop, NULL, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return raddle_sleep(RADDLE_MS(50));
}

static int slow_run(void)
{
    struct raddle_run_options o = {.loops = test_loops(), .slow_ns = RADDLE_MS(100)};

    return raddle_run(holds, NULL, &o);
}

/* X4 TC114 */
RuntimeTest(dump, a_task_that_holds_its_loop_is_reported_with_its_backtrace)
{
    static char text[TEXT];
    int status = errors_of(slow_run, text, sizeof(text));

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x: %s", status, text);
    cr_assert_eq(count_of(text, "has held loop"), 1, "%s", text);
    cr_assert_eq(count_of(text, "backtrace of the slow task"), 1, "%s", text);
    cr_assert_geq(count_of(text, "["), 3, "%s", text);
}

static int quick(void *arg)
{
    (void)arg;
    for (int i = 0; i < 30; i++) {
        test_burn(RADDLE_MS(5));
        EXPECT_EQ(raddle_yield(), 0);
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    }
    return 0;
}

static int quick_run(void)
{
    struct raddle_run_options o = {.loops = test_loops(), .slow_ns = RADDLE_S(2)};

    return raddle_run(quick, NULL, &o);
}

/* X4 */
RuntimeTest(dump, tasks_that_give_way_are_not_reported)
{
    static char text[TEXT];
    int status = errors_of(quick_run, text, sizeof(text));

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x: %s", status, text);
    cr_assert_str_empty(text);
}

/* Words. */

RuntimeTest(dump, there_are_words_for_every_result)
{
    cr_assert_str_eq(raddle_strerror(0), "success");
    cr_assert_str_eq(raddle_strerror(INT32_MAX), "success");
    cr_assert_str_eq(raddle_strerror(-ECONNRESET), "Connection reset by peer");
    cr_assert_str_eq(raddle_strerror(-4095), "unknown error");
    cr_assert_str_eq(raddle_strerror(INT32_MIN), "unknown error");
    cr_assert_str_eq(raddle_strerror(-5999), "unknown error");
    cr_assert_str_neq(raddle_strerror(RADDLE_ESHUTDOWN), "unknown error");
    cr_assert_str_neq(raddle_strerror(RADDLE_ECLOSED), "unknown error");
    cr_assert_str_neq(raddle_strerror(RADDLE_ESTRAY), "unknown error");
    cr_assert_str_eq(raddle_version(), RADDLE_VERSION);
}

static int counts_tasks(void *arg)
{
    struct raddle_loop_stats stats;
    struct raddle_group g;
    int64_t tasks = 0;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 50; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, i & 1 ? test_nothing : test_sleep_forever, NULL, NULL), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(50) * test_slowness()), 0);
    for (unsigned i = 0; i < raddle_loop_count(); i++) {
        EXPECT_EQ(raddle_get_loop_stats(i, &stats), 0);
        tasks += stats.tasks;
        for (int k = 0; k < 5; k++)
            EXPECT_EQ(stats.reserved[k], 0);
    }
    EXPECT_EQ(tasks, 26);
    EXPECT_EQ(raddle_get_loop_stats(0, &stats), 0);
    EXPECT(stats.switches > 0 && stats.spawns > 0 && stats.polls > 0);
    raddle_group_cancel(&g, NULL);
    return raddle_group_close(&g, 0);
}

/* What a run would leave. */

static void nothing_at_a_time(void *arg)
{
    (void)arg;
}

static int print_left(struct printed *p, unsigned what)
{
    int fd = memfd_create("left", MFD_CLOEXEC);
    ssize_t n;

    p->count = raddle_print_left(fd, what);
    n = pread(fd, p->text, sizeof(p->text) - 1, 0);
    p->text[n > 0 ? n : 0] = 0;
    close(fd);
    return p->count;
}

static int leave_some(void *arg)
{
    struct printed *p = arg;
    raddle_loop *here = raddle_running_loop();
    raddle_handle *timed, *called_off;
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    EXPECT_EQ(print_left(p, RADDLE_LEFT_TASKS | RADDLE_LEFT_CALLBACKS), 0);
    EXPECT_STR(p->text, "");
    /* A child of the main task isn't left, it is waited for. */
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, test_sleep_forever, NULL, NULL);
    EXPECT_EQ(raddle_spawn(raddle_background(), NULL, test_sleep_forever, NULL, NULL), 0);
    EXPECT_EQ(raddle_loop_spawn(here, test_sleep_forever, NULL, NULL), 0);
    EXPECT_EQ(raddle_call_later(here, RADDLE_S(3600), nothing_at_a_time, NULL, &timed), 0);
    EXPECT_EQ(raddle_call_later(here, RADDLE_S(3600), nothing_at_a_time, NULL, &called_off), 0);
    EXPECT_EQ(raddle_handle_cancel(called_off), 0);

    EXPECT_EQ(print_left(p, RADDLE_LEFT_TASKS), 2);
    EXPECT_EQ(count_of(p->text, "test_sleep_forever ("), 2);
    EXPECT_EQ(count_of(p->text, "test_dump.c:"), 2);
    EXPECT_EQ(print_left(p, RADDLE_LEFT_CALLBACKS), 1);
    EXPECT_EQ(count_of(p->text, "callback nothing_at_a_time ("), 1);
    EXPECT_EQ(count_of(p->text, "test_dump.c:"), 1);
    EXPECT(raddle_running_loop() == here);

    EXPECT_EQ(raddle_print_left(-1, RADDLE_LEFT_TASKS), -EBADF);
    EXPECT_EQ(raddle_print_left(1, 4), -EINVAL);
    EXPECT_EQ(raddle_handle_cancel(timed), 0);
    raddle_handle_unref(timed);
    raddle_handle_unref(called_off);
    raddle_group_cancel(&group, NULL);
    return raddle_group_close(&group, rc);
}

/* X2 X9 */
RuntimeTest(dump, what_a_run_would_leave_is_printed_with_where_it_was_asked_for)
{
    static struct printed p;

    cr_assert_eq(test_run(leave_some, &p), 0);
    cr_assert_eq(raddle_print_left(1, RADDLE_LEFT_TASKS), -EPERM);
}

RuntimeTest(dump, the_counters_of_all_loops_add_up_to_the_number_of_tasks)
{
    cr_assert_eq(test_run(counts_tasks, NULL), 0);
}
