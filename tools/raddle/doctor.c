/*
 * raddle/doctor.c - `raddle doctor`: prints what doctor_examine.c found.
 */
#include "tools/raddle/doctor.h"

#include <stdio.h>
#include <stdlib.h>

#include <raddle/version.h>

#include "sched/stack.h"
#include "tools/raddle/cli.h"
#include "tools/raddle/commands.h"
#include "tools/raddle/json.h"

enum { KEY_JSON = 0x400, KEY_MPROTECT };

struct asked {
    bool json;
};

static const struct argp_option options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON object instead of a table", 0},
    {"mprotect", KEY_MPROTECT, NULL, 0, "As if the kernel had no guard regions (before Linux 6.13)",
     0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct asked *asked = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        rdl_cli_begin(state);
        return 0;
    case KEY_JSON:
        asked->json = true;
        return 0;
    case KEY_MPROTECT:
        rdl_stack_force_mprotect(true);
        return 0;
    case ARGP_KEY_ARG:
        rdl_cli_fail(state, "no argument is taken: '%s'", text);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc = "Tells what the kernel and the container allow, what is chosen for that reason, and "
           "what to do "
           "about what is missing.\v"
           "Sizes are in bytes, KiB, MiB or GiB as marked; in JSON in the unit that ends the key. "
           "Exit "
           "status 0 also with warnings.",
};

static const char *const state_names[] = {"ok", "note", "warning"};

static void print_table(const struct rdl_doctor *doctor)
{
    unsigned warnings = 0;

    printf("raddle %s\n\n", raddle_version());
    for (unsigned i = 0; i < doctor->findings; i++) {
        const struct rdl_finding *finding = &doctor->finding[i];

        printf("  %c %-12s %s\n", "  !"[finding->state], finding -> name, finding -> value);
        warnings += finding->state == RDL_FINDING_WARNING;
    }
    printf("\n");
    for (unsigned i = 0; i < doctor->findings; i++) {
        const struct rdl_finding *finding = &doctor->finding[i];

        if (finding->advice[0])
            printf("%s: %s: %s\n", state_names[finding->state], finding->name, finding->advice);
    }
    if (warnings == 0)
        printf("no warnings\n");
}

static int print_json(const struct rdl_doctor *doctor)
{
    enum { SIZE = 64 * 1024 };
    char *text = malloc(SIZE);
    struct rdl_json json;

    if (!text)
        return rdl_cli_error("no memory");
    rdl_json_init(&json, text, SIZE);
    rdl_json_open(&json, NULL, '{');
    rdl_json_string(&json, "name", "doctor");
    rdl_json_string(&json, "version", raddle_version());
    rdl_json_string(&json, "driver", doctor->driver);
    rdl_json_unsigned(&json, "loops", doctor->loops);
    rdl_json_open(&json, "facts", '{');
    for (unsigned i = 0; i < doctor->facts; i++)
        rdl_json_signed(&json, doctor->fact[i].name, doctor->fact[i].value);
    rdl_json_close(&json, '}');
    rdl_json_open(&json, "findings", '[');
    for (unsigned i = 0; i < doctor->findings; i++) {
        const struct rdl_finding *finding = &doctor->finding[i];

        rdl_json_open(&json, NULL, '{');
        rdl_json_string(&json, "name", finding->name);
        rdl_json_string(&json, "state", state_names[finding->state]);
        rdl_json_string(&json, "value", finding->value);
        rdl_json_string(&json, "advice", finding->advice[0] ? finding->advice : NULL);
        rdl_json_close(&json, '}');
    }
    rdl_json_close(&json, ']');
    rdl_json_close(&json, '}');
    if (rdl_json_finish(&json) >= 0)
        puts(text);
    free(text);
    return 0;
}

int rdl_command_doctor(int argc, char **argv)
{
    static struct rdl_doctor doctor;
    struct asked asked = {false};

    rdl_cli_parse(&argp, "raddle doctor", argc, argv, &asked);
    rdl_doctor_examine(&doctor);
    if (asked.json)
        return print_json(&doctor);
    print_table(&doctor);
    return 0;
}
