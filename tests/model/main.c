/*
 * tests/model/main.c - runs the cases of one scenario, and shows one schedule step by step.
 *
 *     model_NAME [SCHEDULES] [--case NAME] [--random | --pct] [--depth D] [--first S] [--seed S]
 *
 * Each case runs SCHEDULES schedules (default 100,000) with the seeds S, S+1, ... The seed, the scheduler
 * and the depth determine a schedule completely; with --seed just that one is run, and traced.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/model/core.h"
#include "tests/support/counted.h"

enum { CALIBRATION = 64 };

static bool failed(const struct model_case *c, uint64_t seed, uint64_t schedules)
{
    printf("FAIL model %s/%s: seed=%llu after %llu schedules: %s\n", model_scenario_name, c->name,
           (unsigned long long)seed, (unsigned long long)schedules, model_failure);
    printf("trace: model_%s --case %s %s --depth %u --seed %llu\n", model_scenario_name, c->name,
           model_settings.pct ? "--pct" : "--random", model_settings.depth,
           (unsigned long long)seed);
    return false;
}

/* How long a schedule can get, for PCT to place its change points: from fixed seeds, so that a
 * replay finds the same. False: one of these failed. */
static bool calibrate(const struct model_case *c)
{
    struct model_settings wanted = model_settings;
    unsigned longest = 1;

    if (!wanted.pct)
        return true;
    model_settings.pct = false;
    model_settings.steps_expected = 1;
    for (uint64_t seed = 0; seed < CALIBRATION; seed++) {
        if (!model_run(c, seed))
            return failed(c, seed, seed + 1);
        if (model_steps > longest)
            longest = model_steps;
    }
    model_settings = wanted;
    model_settings.steps_expected = longest;
    return true;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool run_case(const struct model_case *c, uint64_t first, uint64_t count)
{
    double begun = now(), seconds;
    uint64_t steps = 0;

    if (!calibrate(c))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!model_run(c, first + i))
            return failed(c, first + i, i + 1);
        steps += model_steps;
    }
    seconds = now() - begun;
    printf("model %s/%s: %llu schedules clean, avg %llu steps, %.0f/s\n", model_scenario_name,
           c->name, (unsigned long long)count, (unsigned long long)(steps / count),
           (double)count / seconds);
    test_counted(count, "schedules");
    return true;
}

static bool trace_case(const struct model_case *c, uint64_t seed)
{
    bool clean;

    if (!calibrate(c))
        return false;
    model_settings.trace = true;
    clean = model_run(c, seed);
    model_settings.trace = false;
    if (clean)
        printf("seed %llu is clean\n", (unsigned long long)seed);
    else
        printf("FAIL model %s/%s: seed=%llu: %s\n", model_scenario_name, c->name,
               (unsigned long long)seed, model_failure);
    return clean;
}

static _Noreturn void usage(const char *wrong)
{
    fprintf(stderr,
            "model_%s: don't understand '%s'\n"
            "usage: model_%s [SCHEDULES] [--case NAME] [--random | --pct] [--depth D] [--first S] "
            "[--seed S]\n",
            model_scenario_name, wrong, model_scenario_name);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value;

    if (!text)
        usage("the end: a number is missing");
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
        usage(text);
    return value;
}

int main(int argc, char **argv)
{
    uint64_t schedules = 100000, first = 1, seed = 0;
    const char *only = NULL;
    bool traced = false, clean = true, found = false;
    struct model_settings settings;

    model_settings =
        (struct model_settings){.pct = true, .depth = 3, .steps_expected = 1, .steps_max = 20000};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];

        if (strcmp(arg, "--random") == 0) {
            model_settings.pct = false;
        } else if (strcmp(arg, "--pct") == 0) {
            model_settings.pct = true;
        } else if (strcmp(arg, "--depth") == 0) {
            model_settings.depth = (unsigned)number(argv[++i]);
        } else if (strcmp(arg, "--first") == 0) {
            first = number(argv[++i]);
        } else if (strcmp(arg, "--seed") == 0) {
            traced = true;
            seed = number(argv[++i]);
        } else if (strcmp(arg, "--case") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else if (arg[0] != '-') {
            schedules = number(arg);
        } else {
            usage(arg);
        }
    }
    if (schedules == 0 || model_settings.depth == 0 || model_settings.depth > 16)
        usage("0 schedules, or a depth that isn't 1 to 16");

    settings = model_settings;
    for (const struct model_case *c = model_cases; c->name; c++) {
        if (only && strcmp(only, c->name) != 0)
            continue;
        found = true;
        model_settings = settings;
        if (traced)
            clean &= trace_case(c, seed);
        else
            clean &= run_case(c, first, schedules);
        fflush(stdout);
    }
    if (!found)
        usage(only);
    return clean ? 0 : 1;
}
