/*
 * raddle/main.c - the raddle command: finds the subcommand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <raddle/version.h>

#include "tools/raddle/cli.h"
#include "tools/raddle/commands.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", rdl_command_serve},
    {"load", rdl_command_load},
    {"doctor", rdl_command_doctor},
    {"bench", rdl_command_bench},
};

struct choice {
    size_t command;
    int first; /* of its arguments, counted from 0 */
};

enum { KEY_VERSION = 'V' };

static const struct argp_option options[] = {
    {"version", KEY_VERSION, NULL, 0, "Print the version", 0}, {0}};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct choice *choice = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        rdl_cli_begin(state);
        return 0;
    case KEY_VERSION:
        printf("raddle %s\n", raddle_version());
        exit(0);
    case ARGP_KEY_ARG:
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
            if (strcmp(text, commands[i].name) != 0)
                continue;
            /* The rest is the subcommand's. */
            choice->command = i;
            choice->first = state->next - 1;
            state->next = state->argc;
            return 0;
        }
        rdl_cli_fail(state, "no command '%s' (serve, load, doctor or bench)", text);
    case ARGP_KEY_NO_ARGS:
        rdl_cli_fail(state, "a command is missing (serve, load, doctor or bench; raddle --help)");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "COMMAND ...",
    .doc =
        "A runtime of coroutines on io_uring or epoll: servers to try it, load for them, what this "
        "machine allows, and how fast it is.\v"
        "Commands:\n"
        "  serve   run an echo or HTTP server\n"
        "  load    put load on a server and measure it\n"
        "  doctor  tell what the kernel and the container allow\n"
        "  bench   measure this machine\n"
        "\n"
        "`raddle COMMAND --help' describes a command. Exit status: 0; 1 when the command could not "
        "do its work; 2 for a wrong option.",
};

int main(int argc, char **argv)
{
    struct choice choice = {0, 0};

    /* Only as far as the command's name: what follows may look like options of ours. */
    argp_err_exit_status = RDL_EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice))
        return RDL_EXIT_USAGE;
    return commands[choice.command].run(argc - choice.first, argv + choice.first);
}
