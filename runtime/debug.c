/*
 * runtime/debug.c - debug mode: reads what was asked for, and counts who asked.
 */
#define _GNU_SOURCE
#include "runtime/debug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/deadlock.h"
#include "runtime/report.h"

enum { SLOW_NS = 100 * 1000 * 1000, CHAIN = 1000 };

rdl_atomic(uint32_t) rdl_debug_checking, rdl_debug_watching;

/* What the words have said so far; -1: nothing of that. */
struct asked {
    struct rdl_debug debug;
    int64_t slow_ns, chain;
};

/* A number, of which nothing may be left after it and its unit. */
static bool read_number(const char *text, size_t length, int64_t unit_max, int64_t *out)
{
    int64_t value = 0;

    if (!length)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || value > unit_max)
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *out = value;
    return true;
}

/* "50ms"; 0 needs no unit. */
static bool read_time(const char *text, size_t length, int64_t *out)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    size_t digits = strspn(text, "0123456789");
    int64_t value;

    if (digits > length || !read_number(text, digits, 100 * 1000 * 1000, &value))
        return false;
    *out = 0;
    if (digits == length)
        return value == 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strlen(units[i].name) == length - digits &&
            strncmp(units[i].name, text + digits, length - digits) == 0) {
            *out = value * units[i].ns;
            return true;
        }
    return false;
}

static bool begins(const char *text, size_t length, const char *with)
{
    return length >= strlen(with) && strncmp(text, with, strlen(with)) == 0;
}

static bool is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncmp(text, word, length) == 0;
}

static bool read_word(const char *text, size_t length, struct asked *asked)
{
    static const char slow[] = "slow=", chain[] = "chain=";

    if (is(text, length, "move"))
        asked->debug.move = true;
    else if (is(text, length, "scrub"))
        asked->debug.scrub = true;
    else if (is(text, length, "1"))
        asked->debug.checks = true;
    else if (begins(text, length, slow))
        return read_time(text + strlen(slow), length - strlen(slow), &asked->slow_ns);
    else if (begins(text, length, chain))
        return read_number(text + strlen(chain), length - strlen(chain), 1000 * 1000,
                           &asked->chain);
    else
        return is(text, length, "0");
    return true;
}

static int read_words(const char *text, const char *from, struct asked *asked)
{
    for (const char *next; text && *text; text = next) {
        size_t length = strcspn(text, ",");

        if (!read_word(text, length, asked) || (text[length] && !text[length + 1])) {
            rdl_report(
                "%s: \"%s\" is no list of words of: 0, 1, slow=TIME, chain=COUNT, move, scrub",
                from, text);
            return -EINVAL;
        }
        next = text + length + (text[length] == ',');
    }
    return 0;
}

int rdl_debug_read(const char *words, struct rdl_debug *out)
{
    struct asked asked = {.slow_ns = -1, .chain = -1};
    int rc = read_words(getenv("RADDLE_DEBUG"), "RADDLE_DEBUG", &asked);

    if (rc == 0)
        rc = read_words(words, "debug", &asked);
    if (rc < 0)
        return rc;
    *out = asked.debug;
    if (asked.slow_ns >= 0)
        out->slow_ns = asked.slow_ns;
    else if (out->checks)
        out->slow_ns = SLOW_NS;
    if (asked.chain >= 0)
        out->chain = (uint32_t)asked.chain;
    else if (out->checks)
        out->chain = CHAIN;
    return 0;
}

void rdl_debug_begin(const struct rdl_debug *debug)
{
    if (debug->checks)
        rdl_atomic_fetch_add_relaxed(&rdl_debug_checking, 1);
    if (debug->slow_ns || debug->chain)
        rdl_atomic_fetch_add_relaxed(&rdl_debug_watching, 1);
}

void rdl_debug_end(const struct rdl_debug *debug)
{
    if (debug->checks)
        rdl_atomic_fetch_sub_relaxed(&rdl_debug_checking, 1);
    if (debug->slow_ns || debug->chain)
        rdl_atomic_fetch_sub_relaxed(&rdl_debug_watching, 1);
}

void rdl_debug_after_fork(void)
{
    rdl_atomic_store_relaxed(&rdl_debug_checking, 0u);
    rdl_atomic_store_relaxed(&rdl_debug_watching, 0u);
    rdl_deadlock_after_fork();
}
