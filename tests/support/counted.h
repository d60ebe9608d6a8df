/*
 * tests/support/counted.h - what a test has done, as a line that tools/check adds up.
 *
 *     counted: 1000000 schedules
 */
#ifndef TESTS_SUPPORT_COUNTED_H
#define TESTS_SUPPORT_COUNTED_H

#include <stdio.h>

static inline void test_counted(unsigned long long number, const char *what)
{
    printf("counted: %llu %s\n", number, what);
    fflush(stdout);
}

#endif
