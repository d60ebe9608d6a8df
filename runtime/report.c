/*
 * runtime/report.c - one-line reports, results in words, and the end of a process that a bug
 * deserves.
 */
#define _GNU_SOURCE
#include "runtime/report.h"

#include <execinfo.h>
#include <limits.h>
#include <pthread.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/version.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/describe.h"
#include "runtime/task.h"
#include "sched/sys.h"

static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*report_fn)(const char *line, void *arg);
static void *report_arg;

void raddle_on_report(void (*fn)(const char *line, void *arg), void *arg)
{
    pthread_mutex_lock(&report_lock);
    report_fn = fn;
    report_arg = arg;
    pthread_mutex_unlock(&report_lock);
}

/* In one call: lines of several threads don't mix. */
static void write_line(const char *line)
{
    struct iovec parts[] = {{.iov_base = (void *)(uintptr_t) "raddle: ", .iov_len = 8},
                            {.iov_base = (void *)(uintptr_t)line, .iov_len = strlen(line)},
                            {.iov_base = (void *)(uintptr_t) "\n", .iov_len = 1}};

    (void)rdl_sys_writev(STDERR_FILENO, parts, 3);
}

void rdl_report(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    rdl_report_line(line);
}

void rdl_report_line(const char *line)
{
    void (*fn)(const char *, void *);
    void *arg;

    pthread_mutex_lock(&report_lock);
    fn = report_fn;
    arg = report_arg;
    pthread_mutex_unlock(&report_lock);
    if (fn)
        fn(line, arg);
    else
        write_line(line);
}

void rdl_report_trace(const char *line, const char *what, void *const *frames, int count)
{
    enum { BYTES = 2048 };
    char *text = rdl_sys_malloc(BYTES), name[RDL_WHO_BYTES];
    bool direct;
    int n;

    pthread_mutex_lock(&report_lock);
    direct = !report_fn;
    pthread_mutex_unlock(&report_lock);
    if (!text) {
        rdl_report_line(line);
    } else if (direct) {
        snprintf(text, BYTES, "%s\nraddle: backtrace of the %s:", line, what);
        write_line(text);
        backtrace_symbols_fd(frames, count, STDERR_FILENO);
    } else {
        n = snprintf(text, BYTES, "%s, at ", line);
        for (int i = 0; i < count && n > 0 && n < BYTES; i++)
            n += snprintf(text + n, (size_t)(BYTES - n), "%s%s", i ? " < " : "",
                          rdl_describe_code(frames[i], name));
        rdl_report_line(text);
    }
    rdl_sys_free(text);
}

void rdl_die(const char *what)
{
    write_line(what);
    abort();
}

const char *raddle_version(void)
{
    return RADDLE_VERSION;
}

const char *raddle_strerror(int result)
{
    const char *text;

    if (result >= 0)
        return "success";
    switch (result) {
    case RADDLE_ESHUTDOWN:
        return "shut down, no more work is taken";
    case RADDLE_EBROKEN:
        return "the barrier is broken";
    case RADDLE_ESTRAY:
        return "returned \"cancelled\" without having been cancelled";
    case RADDLE_ETEST:
        return "an assertion of the test failed";
    case RADDLE_ECLOSED:
        return "closed by this side";
    default:
        text = result == INT_MIN ? NULL : strerrordesc_np(-result);
        return text ? text : "unknown error";
    }
}
