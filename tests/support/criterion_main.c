/*
 * tests/support/criterion_main.c - main() of the Criterion programs: skips all where RADDLE_POLICY asks for a driver
 * that this kernel or container denies.
 *
 * A test counts as hung after RADDLE_TEST_PATIENCE times its timeout.
 */
#include <criterion/criterion.h>
#include <criterion/options.h>

#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    EXIT_SKIP = 77,
};

static bool uring_works(void)
{
    struct io_uring_params params = {0};
    long fd = syscall(__NR_io_uring_setup, 1, &params);
    bool works;

    if (fd < 0)
        return false;
    works = syscall(__NR_io_uring_enter, fd, 0, 0, 0, NULL, 0) == 0;
    close((int)fd);
    return works;
}

static void be_patient(struct criterion_test_set *tests)
{
    const char *text = getenv("RADDLE_TEST_PATIENCE");
    double patience = text != NULL ? atof(text) : 1;

    FOREACH_SET(struct criterion_suite_set * set, tests->suites)
    {
        if (set->suite.data != NULL)
            set->suite.data->timeout *= patience;
    }
}

int main(int argc, char **argv)
{
    const char *policy = getenv("RADDLE_POLICY");
    struct criterion_test_set *tests;
    int status = 0;

    if (policy != NULL && strcmp(policy, "uring") == 0 && (!RADDLE_HAVE_URING || !uring_works())) {
        printf("skipped: io_uring is %s\n", RADDLE_HAVE_URING ? "denied here" : "not built in");
        return EXIT_SKIP;
    }
    tests = criterion_initialize();
    be_patient(tests);
    if (criterion_handle_args(argc, argv, true))
        status = criterion_run_all_tests(tests) ? 0 : 1;
    criterion_finalize(tests);
    return status;
}
