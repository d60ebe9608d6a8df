/*
 * runtime/error.c - errors that are nobody's result, and who is told of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <stdarg.h>
#include <stdio.h>

#include "runtime/loop.h"
#include "runtime/report.h"

struct handler {
    raddle_error_fn *fn;
    void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct handler of_process;

void rdl_errors_lock(void)
{
    pthread_mutex_lock(&lock);
}

void rdl_errors_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void raddle_on_error(raddle_error_fn *fn, void *arg)
{
    pthread_mutex_lock(&lock);
    of_process = (struct handler){fn, arg};
    pthread_mutex_unlock(&lock);
}

int raddle_loop_on_error(raddle_loop *loop, raddle_error_fn *fn, void *arg)
{
    if (!loop)
        return -EINVAL;
    rdl_lock_acquire(&loop->lock);
    loop->on_error = fn;
    loop->on_error_arg = arg;
    rdl_lock_release(&loop->lock);
    return 0;
}

static struct handler handler_for(struct raddle_loop *loop)
{
    struct handler handler = {NULL, NULL};

    if (loop) {
        rdl_lock_acquire(&loop->lock);
        handler = (struct handler){loop->on_error, loop->on_error_arg};
        rdl_lock_release(&loop->lock);
    }
    if (!handler.fn) {
        pthread_mutex_lock(&lock);
        handler = of_process;
        pthread_mutex_unlock(&lock);
    }
    return handler;
}

void rdl_report_error(const struct raddle_error_event *event, const char *format, ...)
{
    struct raddle_loop *loop = raddle_running_loop();
    struct raddle_error_event told = *event;
    struct handler handler = {NULL, NULL};
    char line[512];
    va_list args;
    int rc;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    told.what = line;
    told.loop = loop;
    if (!loop || !loop->in_on_error)
        handler = handler_for(loop);
    if (!handler.fn) {
        rdl_report("%s", line);
        return;
    }
    if (loop)
        loop->in_on_error = true;
    rc = handler.fn(&told, handler.arg);
    if (loop)
        loop->in_on_error = false;
    if (rc < 0)
        rdl_report("%s; and its handler failed: %s", line, raddle_strerror(rc));
}
