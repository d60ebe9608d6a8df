/*
 * tests/io/results.h - what the operations of a task returned, for the test to compare when the task is over.
 */
#ifndef TESTS_IO_RESULTS_H
#define TESTS_IO_RESULTS_H

#include <criterion/criterion.h>
#include <sys/types.h>

/* More bytes than go at once. */
enum { FAR = 4 * 1024 * 1024 };

/* One after another, a list of results. */
struct results {
    ssize_t got[16];
    unsigned count;
};

static inline void note(struct results *r, ssize_t result)
{
    r->got[r->count++] = result;
}

/* The first ones are those of the array. */
#define EXPECT_RESULTS(r, expected)                                                                \
    do {                                                                                           \
        for (unsigned i_ = 0; i_ < sizeof(expected) / sizeof((expected)[0]); i_++)                 \
            cr_expect_eq((r).got[i_], (expected)[i_], "%u: %zd, not %zd", i_, (r).got[i_],         \
                         (expected)[i_]);                                                          \
    } while (0)

#endif
