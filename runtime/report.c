/*
 * runtime/report.c - one-line reports, results in words, and the end of a process that a bug
 * deserves.
 */
#define _GNU_SOURCE
#include "runtime/report.h"

#include <limits.h>
#include <pthread.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/version.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void write_line(const char *line)
{
    char text[600];
    int n = snprintf(text, sizeof(text), "raddle: %s\n", line);

    if (n > 0)
        (void)rdl_sys_write(STDERR_FILENO, text,
                            (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void rdl_report(const char *format, ...)
{
    char line[512];
    va_list args;
    void (*fn)(const char *, void *);
    void *arg;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    pthread_mutex_lock(&report_lock);
    fn = report_fn;
    arg = report_arg;
    pthread_mutex_unlock(&report_lock);
    if (fn)
        fn(line, arg);
    else
        write_line(line);
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
