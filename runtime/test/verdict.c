/*
 * runtime/test/verdict.c - failures, from whatever thread and stack, to Criterion.
 *
 * Criterion's criterion_abort_test() is a longjmp to the frame that called the test, on the stack of the process's
 * first thread. From a task's stack that is undefined, from another thread's it is the end. So raddle/test.h puts
 * raddle_test_abort() in its place, which ends the task. What tells the runner of a failed assertion has a
 * lock (cr_send_to_runner() of Criterion 2.4), and may be called from any thread.
 */
#define _GNU_SOURCE
#include <raddle/debug.h>
#include <raddle/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/test/part.h"
#include "sched/atomic.h"

#undef criterion_abort_test
#undef criterion_continue_test

static rdl_atomic(unsigned) failures;
static rdl_atomic(bool) running;
static const char *test_file; /* written before running is set */
static int test_line;

/* Loops' threads and tasks are still there, and destructors are not for them. */
static void leave(int status, void *arg)
{
    (void)arg;
    if (!rdl_atomic_load_acquire(&running))
        return;
    (void)fflush(stdout);
    (void)fflush(stderr);
    _exit(status);
}

void rdl_test_begin(const char *file, int line)
{
    static bool registered;

    if (!registered)
        registered = on_exit(leave, NULL) == 0;
    test_file = file;
    test_line = line;
    rdl_atomic_store_release(&running, true);
}

void rdl_test_end(void)
{
    rdl_atomic_store_release(&running, false);
}

unsigned rdl_test_failures(void)
{
    return rdl_atomic_load_acquire(&failures);
}

static void send(const char *file, int line, const char *format, va_list args)
{
    struct criterion_assert_stats stats = {.passed = false, .file = file, .line = (unsigned)line};
    char *text = NULL;

    (void)rdl_atomic_fetch_add_acq_rel(&failures, 1u);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    stats.message = text ? text : "no memory to say why";
    criterion_send_assert(&stats);
    free(text);
}

void rdl_test_fail_at(const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    send(file, line, format, args);
    va_end(args);
}

void rdl_test_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    send(test_file, test_line, format, args);
    va_end(args);
}

_Noreturn void rdl_test_die(const char *why)
{
    criterion_test_die("%s", why);
    abort();
}

void raddle_test_continue(void)
{
    (void)rdl_atomic_fetch_add_acq_rel(&failures, 1u);
    criterion_continue_test();
}

void raddle_test_abort(void)
{
    bool in_loop = raddle_running_loop() != NULL;

    (void)rdl_atomic_fetch_add_acq_rel(&failures, 1u);
    if (raddle_self()) {
        rdl_test_stop_part("an assertion of the test failed");
        (void)raddle_abandon(RADDLE_ETEST);
    }
    /* Criterion runs a test in the first thread: before and after its run there is nothing but that. */
    if (!in_loop && syscall(SYS_gettid) == getpid())
        criterion_abort_test();
    rdl_test_die("An assertion failed outside of the test's tasks: there is no teardown.");
}

ssize_t raddle_test_ok(ssize_t result, const char *what, const char *file, int line)
{
    if (result >= 0) {
        cri_asserts_passed_incr();
        return result;
    }
    rdl_test_fail_at(file, line, "%s is %lld: %s", what, (long long)result,
                     raddle_strerror((int)result));
    raddle_test_abort();
}
