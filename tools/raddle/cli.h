/*
 * raddle/cli.h - what the subcommands' argument parsers share: one line per mistake, exit status 2.
 *
 * The parser is argp. It is kept from printing its "Try --help" line, so that a wrong option gets
 * one line on standard error: getopt's, or that of rdl_cli_fail().
 */
#ifndef RDL_TOOLS_CLI_H
#define RDL_TOOLS_CLI_H

#include <argp.h>
#include <stddef.h>
#include <stdint.h>

enum { RDL_EXIT_USAGE = 2 };

/* Parses arguments; on a mistake the process ends with status 2, after --help with 0. name is what
 * usage and error lines call the command ("raddle serve"); it replaces argv[0]. */
void rdl_cli_parse(const struct argp *argp, const char *name, int argc, char **argv, void *input);

/* To be called by every parser at ARGP_KEY_INIT. */
void rdl_cli_begin(struct argp_state *state);

/* One line on standard error, status 2. */
_Noreturn void rdl_cli_fail(const struct argp_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One line on standard error; returns 1, the status of a command that could not do its work. */
int rdl_cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A whole number within bounds: "512", "100k", "1M" (powers of 1000). */
uint64_t rdl_cli_count(const struct argp_state *state, const char *option, const char *text,
                       uint64_t min, uint64_t max);

/* A number of bytes within bounds: "64", "16k", "1M" (powers of 1024). */
uint64_t rdl_cli_bytes(const struct argp_state *state, const char *option, const char *text,
                       uint64_t min, uint64_t max);

/* A length of time in nanoseconds; seconds without a unit: "10", "0.5", "500ms", "20us", "2m". */
int64_t rdl_cli_time(const struct argp_state *state, const char *option, const char *text,
                     int64_t min_ns, int64_t max_ns);

/* A number within bounds, with fractions. */
double rdl_cli_number(const struct argp_state *state, const char *option, const char *text,
                      double min, double max);

/* The place of text in a NULL-terminated list. */
unsigned rdl_cli_choice(const struct argp_state *state, const char *option, const char *text,
                        const char *const *choices);

/* An address as raddle_serve() and raddle_connect() take it; checked for its shape only. */
const char *rdl_cli_address(const struct argp_state *state, const char *option, const char *text);

#endif
