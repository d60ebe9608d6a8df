/*
 * tests/model/run.c - runs one schedule of one case, and writes its trace.
 */
#include "tests/model/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static jmp_buf failed; /* in begin or end */

void model_abandon(void)
{
    longjmp(failed, 1);
}

bool model_unwatched(struct model_site *site)
{
    if (site->kind == MODEL_NOT_ASKED) {
        site->kind = MODEL_WATCHED;
        for (const char *const *name = model_unwatched_names; *name; name++)
            if (strstr(site->what, *name))
                site->kind = MODEL_UNWATCHED;
    }
    return site->kind == MODEL_UNWATCHED;
}

/* In place of libc's: an assert() in a shipping source ends the schedule, not the checker. */
_Noreturn void __assert_fail(const char *condition, const char *file, unsigned line,
                             const char *function);
_Noreturn void __assert_fail(const char *condition, const char *file, unsigned line,
                             const char *function)
{
    model_fail("%s:%u: %s: assertion failed: %s", file, line, function, condition);
}

/* The names that begin gave to values. */
static struct {
    const void *p;
    const char *name;
} names[64];
static unsigned name_count;

void model_name(const void *p, const char *name)
{
    if (model_settings.trace && name_count < sizeof names / sizeof names[0]) {
        names[name_count].p = p;
        names[name_count++].name = name;
    }
}

const char *model_value_text(uint64_t value)
{
    static char texts[4][32];
    static unsigned turn;
    char *text = texts[turn++ % 4];

    if (!model_settings.trace)
        return "";
    for (unsigned i = 0; i < name_count; i++)
        if ((uint64_t)(uintptr_t)names[i].p == value)
            return names[i].name;
    if (value < 100000 || value > UINT64_MAX - 100000)
        snprintf(text, sizeof texts[0], "%lld", (long long)value);
    else
        snprintf(text, sizeof texts[0], "0x%llx", (unsigned long long)value);
    return text;
}

void model_trace(const struct model_site *site, const char *format, ...)
{
    const char *file;
    va_list args;

    if (!model_settings.trace)
        return;
    file = strrchr(site->file, '/');
    printf("%4u  %-10s %16s:%-4d %-28s ", model_steps, model_thread_name(model_current),
           file ? file + 1 : site->file, site->line, site->what);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

bool model_run(const struct model_case *c, uint64_t seed)
{
    name_count = 0;
    model_memory_begin();
    model_plain_begin();
    model_threads_begin(seed);
    if (setjmp(failed))
        return false;
    c->begin();
    if (!model_threads_run())
        return false;
    if (c->end)
        c->end();
    return true;
}
