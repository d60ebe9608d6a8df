/*
 * tests/conformance/lines.h - the reports that come while a test runs.
 */
#ifndef TESTS_CONFORMANCE_LINES_H
#define TESTS_CONFORMANCE_LINES_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/fixture.h"

enum { LINES = 8, LINE_BYTES = 4096 };

static struct {
    pthread_mutex_t lock;
    unsigned count;
    char text[LINES][LINE_BYTES];
} lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void lines_note(const char *line, void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lines.lock);
    if (lines.count < LINES)
        snprintf(lines.text[lines.count], LINE_BYTES, "%s", line);
    lines.count++;
    pthread_mutex_unlock(&lines.lock);
}

/* Forgets those before. */
static inline void lines_begin(void)
{
    lines.count = 0;
    memset(lines.text, 0, sizeof(lines.text));
    raddle_on_report(lines_note, NULL);
}

/* How many have come so far. */
static inline unsigned lines_count(void)
{
    unsigned count;

    pthread_mutex_lock(&lines.lock);
    count = lines.count;
    pthread_mutex_unlock(&lines.lock);
    return count;
}

/* Expects that so many have come. */
static inline void lines_end(unsigned count)
{
    raddle_on_report(NULL, NULL);
    EXPECT_EQ(lines.count, count);
    for (unsigned i = 0; lines.count != count && i < lines.count && i < LINES; i++)
        fprintf(stderr, "reported: %s\n", lines.text[i]);
}

/* Expects part in line number i. */
static inline void lines_have(unsigned i, const char *part)
{
    if (strstr(lines.text[i], part))
        return;
    fprintf(stderr, "not in \"%s\": \"%s\"\n", lines.text[i], part);
    test_expect(false, "a report has what it should", __FILE__, __LINE__);
}

/* raddle_run() as test_run(), in debug mode. The machine may be busy: nothing is called slow. */
static inline int debug_run(raddle_task_fn *fn, void *arg)
{
    struct raddle_run_options options = {
        .loops = test_loops(), .mobility = test_mobility(), .debug = "1,slow=0"};

    return raddle_run(fn, arg, &options);
}

#endif
