/*
 * raddle/cli.c - argument parsing: see cli.h.
 */
#include "tools/raddle/cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/address.h"

void rdl_cli_begin(struct argp_state *state)
{
    /* argp then prints nothing itself and returns an error; getopt still says what is wrong. */
    state->err_stream = NULL;
}

void rdl_cli_parse(const struct argp *argp, const char *name, int argc, char **argv, void *input)
{
    char *writable = strdup(name);

    if (!writable) {
        (void)rdl_cli_error("no memory");
        exit(1);
    }
    argv[0] = writable;
    argp_err_exit_status = RDL_EXIT_USAGE;
    if (argp_parse(argp, argc, argv, 0, NULL, input))
        exit(RDL_EXIT_USAGE);
    argv[0] = NULL;
    free(writable);
}

void rdl_cli_fail(const struct argp_state *state, const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    fprintf(stderr, "%s: ", state ? state->name : "raddle");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(RDL_EXIT_USAGE);
}

int rdl_cli_error(const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    fputs("raddle: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return 1;
}

static uint64_t scaled(const struct argp_state *state, const char *option, const char *text,
                       uint64_t min, uint64_t max, uint64_t thousand)
{
    unsigned long long value;
    uint64_t unit = 1, result;
    char *end;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (end != text && (*end == 'k' || *end == 'K')) {
        unit = thousand;
        end++;
    } else if (end != text && *end == 'M') {
        unit = thousand * thousand;
        end++;
    }
    if (text[0] < '0' || text[0] > '9' || *end || errno ||
        __builtin_mul_overflow((uint64_t)value, unit, &result))
        rdl_cli_fail(state, "%s: not a number: '%s'", option, text);
    if (result < min || result > max)
        rdl_cli_fail(state, "%s: %s is not within %llu to %llu", option, text,
                     (unsigned long long)min, (unsigned long long)max);
    return result;
}

uint64_t rdl_cli_count(const struct argp_state *state, const char *option, const char *text,
                       uint64_t min, uint64_t max)
{
    return scaled(state, option, text, min, max, 1000);
}

uint64_t rdl_cli_bytes(const struct argp_state *state, const char *option, const char *text,
                       uint64_t min, uint64_t max)
{
    return scaled(state, option, text, min, max, 1024);
}

/* A number at the start of text, without the forms of strtod() that nobody means ("inf",
 * "0x1p3"). */
static double leading_number(const struct argp_state *state, const char *option, const char *text,
                             char **end)
{
    size_t length = strspn(text, "0123456789.");
    double value = strtod(text, end);

    if (length == 0 || *end != text + length || !isfinite(value))
        rdl_cli_fail(state, "%s: not a number: '%s'", option, text);
    return value;
}

int64_t rdl_cli_time(const struct argp_state *state, const char *option, const char *text,
                     int64_t min_ns, int64_t max_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"m", 60e9}};
    char *end;
    double value = leading_number(state, option, text, &end);

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].name) != 0)
            continue;
        value *= units[i].ns;
        if (value < (double)min_ns || value > (double)max_ns)
            rdl_cli_fail(state, "%s: %s is not within %g s to %g s", option, text,
                         (double)min_ns / 1e9, (double)max_ns / 1e9);
        return (int64_t)value;
    }
    rdl_cli_fail(state, "%s: not a time (s, ms, us, m): '%s'", option, text);
}

double rdl_cli_number(const struct argp_state *state, const char *option, const char *text,
                      double min, double max)
{
    char *end;
    double value = leading_number(state, option, text, &end);

    if (*end)
        rdl_cli_fail(state, "%s: not a number: '%s'", option, text);
    if (value < min || value > max)
        rdl_cli_fail(state, "%s: %s is not within %g to %g", option, text, min, max);
    return value;
}

unsigned rdl_cli_choice(const struct argp_state *state, const char *option, const char *text,
                        const char *const *choices)
{
    char list[256];
    size_t used = 0;

    for (unsigned i = 0; choices[i]; i++)
        if (strcmp(text, choices[i]) == 0)
            return i;
    for (unsigned i = 0; choices[i] && used < sizeof list; i++) {
        int n = snprintf(list + used, sizeof list - used, "%s%s",
                         i == 0 ? "" : (choices[i + 1] ? ", " : " or "), choices[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    rdl_cli_fail(state, "%s: '%s' is not %s", option, text, list);
}

const char *rdl_cli_address(const struct argp_state *state, const char *option, const char *text)
{
    struct rdl_address address;

    if (rdl_address_parse(text, &address) < 0)
        rdl_cli_fail(state,
                     "%s: not an address (tcp:HOST:PORT with a numeric HOST, or unix:PATH): '%s'",
                     option, text);
    return text;
}
