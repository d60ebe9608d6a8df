/*
 * runtime/test/part.h - what the files of raddle::test share: failures, the parts of a test and their time, what is open.
 */
#ifndef RDL_RUNTIME_TEST_PART_H
#define RDL_RUNTIME_TEST_PART_H

#include <raddle/context.h>
#include <raddle/loop.h>
#include <raddle/test.h>

/* The test that this process runs. */
struct rdl_test {
    const char *file;
    int line;
    raddle_test_fn *body;
    void *arg;
    struct raddle_test_options options; /* with the suite's and all defaults filled in */

    /* During a run; the main task's. */
    const char *driver;   /* NULL: the environment's, or the kernel's */
    char simulation[256]; /* the name of a simulated one */
    bool simulated;
    uint64_t seed; /* of a simulated one */
    raddle_loop *loop;
    raddle_ctx *context;
    struct raddle_group group; /* raddle_test_group()'s */
};

/* verdict.c. Any thread, any stack with a few KiB: fails the test, and says why. */
void rdl_test_begin(const char *file, int line);
void rdl_test_end(void);
void rdl_test_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void rdl_test_fail_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* How many failures there were. */
unsigned rdl_test_failures(void);

/* The process ends here and now, and the test has failed. */
_Noreturn void rdl_test_die(const char *why);

/* watch.c. Starts the thread that watches over the time, and ends it. */
int rdl_test_watch_start(void);
void rdl_test_watch_stop(void);

/* A part begins that may take so long; task: what to cancel then, or NULL, and, with stops_on_failure, at
 * rdl_test_stop_part(). And it is over. */
void rdl_test_watch(const char *what, int64_t limit_ns, raddle_task *task, bool stops_on_failure);
void rdl_test_unwatch(void);

/* The part that runs waits in vain: as if its time were over. */
void rdl_test_stands_still(void);

/* Any thread: the test has failed. Cancels the part that runs, if it is setup or body. */
void rdl_test_stop_part(const char *reason);

/* open.c: the descriptors that are open; NULL: unknown. */
struct rdl_test_open;
struct rdl_test_open *rdl_test_open_list(void);
void rdl_test_open_free(struct rdl_test_open *list);

/* Fails the test for each that is open and not in before. */
void rdl_test_open_compare(const struct rdl_test_open *before);

/* What print(fd) writes, as a string to be freed; what is beyond a limit can't be written. NULL: no memory. */
char *rdl_test_capture(int (*print)(int fd, void *arg), void *arg, int *result);

#endif
