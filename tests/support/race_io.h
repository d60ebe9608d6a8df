/*
 * tests/support/race_io.h - what the plain programs that test io/ share: they run a main task on
 * the driver and the number of loops that the environment names, and count descriptors.
 */
#ifndef RACE_IO_H
#define RACE_IO_H

#include <dirent.h>
#include <raddle.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/runtime.h"

/* Stops the program: it has failed. */
__attribute__((noreturn, format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _Exit(1);
}

/* result is expected to be 0 or more. */
#define must(result) must_at((result), #result, __LINE__)
static inline int must_at(ssize_t result, const char *what, int line)
{
    if (result < 0)
        fail("line %d: %s: %s", line, what, raddle_strerror((int)result));
    return (int)result;
}

/* Passes a little time, some of it suspended, so that races are met at different points. */
static inline void dawdle(void)
{
    static _Thread_local uint64_t state = 0x9E3779B97F4A7C15u;
    unsigned how;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    how = (unsigned)(state >> 40);
    for (volatile unsigned i = how % 1024; i; i--)
        ;
    for (unsigned i = how >> 10 & 3; i; i--)
        raddle_yield();
    if ((how >> 12 & 7) == 0)
        must(raddle_sleep((how >> 15) * 100));
}

static inline unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

/* main() of such a program: 0, 1, or 77 when the driver that is asked for isn't to be had. */
static inline int run_counted(raddle_task_fn *fn)
{
    const char *loops = getenv("RADDLE_TEST_LOOPS");
    struct raddle_run_options options = {.loops = loops ? (unsigned)atoi(loops) : 4,
                                         .mobility = test_mobility()};
    unsigned before = open_descriptors();
    int rc = raddle_run(fn, NULL, &options);

    if (rc < 0)
        fail("raddle_run: %s", raddle_strerror(rc));
    if (open_descriptors() != before)
        fail("%u descriptors before, %u after", before, open_descriptors());
    return 0;
}

#endif
