/*
 * tests/support/io_task.h - runs a test's code as a main task on the driver and the number of loops that the
 * environment names, and compares open descriptors before and after.
 *
 * The task records into a struct and the test asserts when it is back: a failed assertion jumps, and must
 * not do so from a task's stack.
 */
#ifndef IO_TASK_H
#define IO_TASK_H

#include <criterion/criterion.h>

#include <dirent.h>
#include <raddle.h>
#include <stdlib.h>

#include "tests/support/runtime.h"

static inline unsigned count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

static inline int in_task(raddle_task_fn *fn, void *arg)
{
    const char *loops = getenv("RADDLE_TEST_LOOPS");
    struct raddle_run_options options = {.loops = loops ? (unsigned)atoi(loops) : 1,
                                         .mobility = test_mobility()};
    unsigned before = count_descriptors();
    int rc = raddle_run(fn, arg, &options);

    cr_assert_eq(count_descriptors(), before, "%u descriptors before, %u after", before,
                 count_descriptors());
    return rc;
}

#endif
