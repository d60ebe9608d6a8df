/*
 * tests/fault/scenarios_context.c - what a task carries with it, for the sweep.
 */
#define _GNU_SOURCE
#include "tests/fault/scenarios.h"

#include <errno.h>
#include <pthread.h>
#include <raddle.h>
#include <string.h>

static int run(raddle_task_fn *fn, void *arg, unsigned loops)
{
    return raddle_run(fn, arg, &(struct raddle_run_options){.loops = loops});
}

/* --- context variables --- */

enum { VARS = 40 };

static struct raddle_var vars[VARS];
static struct raddle_var name = RADDLE_VAR_INIT("name", "none", NULL);

static char parent[] = "parent", shared[] = "shared", callback[] = "callback";

static int sees(void *arg)
{
    return strcmp(raddle_var_get(&name), arg) == 0 ? 0 : FAULT_WRONG;
}

static void calls(void *arg)
{
    int *seen = arg;

    *seen = sees(callback);
}

/* Set or not, each says one of the two. */
static int sets_all(void)
{
    int rc = 0;

    for (unsigned i = 0; i < VARS && rc == 0; i++) {
        rc = raddle_var_set(&vars[i], &vars[i], NULL);
        if (raddle_var_get(&vars[i]) != (rc < 0 ? NULL : &vars[i]))
            return FAULT_WRONG;
    }
    return rc;
}

static int calls_back(void)
{
    struct raddle_var_token token = {{0}};
    int seen = 1, rc = raddle_var_set(&name, "callback", &token);

    if (rc < 0)
        return rc;
    rc = raddle_call_soon(raddle_running_loop(), calls, &seen);
    for (int i = 0; i < 100 && rc == 0 && seen == 1; i++)
        (void)raddle_yield();
    if (rc == 0)
        rc = seen;
    rc = fault_first(rc, raddle_var_reset(&name, &token));
    raddle_var_token_fini(&token);
    return rc;
}

static int sets_in_context(void *arg)
{
    int rc = raddle_var_set(&name, "shared", NULL);

    return rc < 0 ? rc : sees(arg);
}

static int shares(void)
{
    struct raddle_spawn_options options = {.context = NULL};
    struct raddle_group g;
    raddle_ctx *ctx = NULL;
    int result = 0, rc = raddle_ctx_copy(&ctx);

    if (rc < 0)
        return rc;
    options.context = ctx;
    rc = raddle_group_open(&g, NULL);
    if (rc == 0) {
        rc = raddle_spawn(&g, NULL, sets_in_context, shared, &options);
        rc = raddle_group_close(&g, rc);
    }
    if (rc == 0)
        rc = raddle_ctx_run(ctx, sees, shared);
    rc = fault_first(rc, raddle_run_in_executor(NULL, sees, parent, &result));
    raddle_ctx_unref(ctx);
    return fault_first(rc, result);
}

static int uses_context(void *arg)
{
    int rc = raddle_var_set(&name, "parent", NULL);

    (void)arg;
    rc = fault_first(rc, sets_all());
    if (rc < 0)
        return rc;
    rc = fault_first(calls_back(), shares());
    return fault_first(rc, rc < 0 ? 0 : sees(parent));
}

static void *uses_thread(void *arg)
{
    int *rc = arg;

    *rc = raddle_var_set(&name, callback, NULL);
    if (*rc == 0)
        *rc = sees(callback);
    return NULL;
}

static int scenario_context(void)
{
    pthread_t thread;
    int rc = 0;

    if (pthread_create(&thread, NULL, uses_thread, &rc) == 0)
        pthread_join(thread, NULL);
    return fault_first(rc, run(uses_context, NULL, 2));
}

/* --- task-local storage --- */

static int ended;

static void ends(void *value)
{
    ended += *(int *)value;
    if (raddle_yield() < 0)
        ended = FAULT_WRONG;
}

static int sets_local(void *arg)
{
    static struct raddle_local keys[] = {RADDLE_LOCAL_INIT(ends), RADDLE_LOCAL_INIT(ends)};
    static int one = 1;
    int *set = arg, rc = 0;

    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        rc = raddle_local_set(&keys[i], &one);
        *set += rc == 0;
        if (raddle_local_get(&keys[i]) != (rc < 0 ? NULL : &one))
            return FAULT_WRONG;
    }
    return rc;
}

static int uses_locals(void *arg)
{
    struct raddle_group g;
    int set = 0, rc = raddle_group_open(&g, NULL);

    (void)arg;
    ended = 0;
    if (rc < 0)
        return rc;
    rc = raddle_spawn(&g, NULL, sets_local, &set, NULL);
    rc = raddle_group_close(&g, rc);
    return ended == set ? rc : FAULT_WRONG;
}

static int scenario_local(void)
{
    return run(uses_locals, NULL, 1);
}

/* --- generators --- */

enum { STEPS = 5 };

static int counts(raddle_gen *gen, void *arg)
{
    int rc = 0;

    for (int i = 0; i < STEPS && rc == 0; i++) {
        rc = raddle_sleep(1);
        if (rc == 0)
            rc = raddle_gen_yield(gen, &i, NULL);
    }
    ++*(int *)arg;
    return rc;
}

static int adds_up(raddle_gen *gen, void *arg)
{
    raddle_gen *below = NULL;
    void *item = NULL;
    int sum = 0, got = 0, rc = raddle_gen_open(&below, counts, arg, NULL);

    while (rc == 0 && (got = raddle_gen_next(below, NULL, &item)) == 1) {
        sum += *(int *)item;
        rc = raddle_gen_yield(gen, &sum, NULL);
    }
    rc = fault_first(rc, got);
    return fault_first(rc, raddle_gen_close(below));
}

static int uses_generators(void *arg)
{
    raddle_gen *gen = NULL, *early = NULL;
    void *item = NULL;
    int sum = 0, got = 0, over = 0, rc = raddle_gen_open(&gen, adds_up, &over, NULL);

    (void)arg;
    if (rc < 0)
        return rc;
    while ((got = raddle_gen_next(gen, NULL, &item)) == 1)
        sum = *(int *)item;
    rc = fault_first(got, raddle_gen_close(gen));
    if (rc == 0 && (sum != STEPS * (STEPS - 1) / 2 || over != 1))
        return FAULT_WRONG;
    got = raddle_gen_open(&early, adds_up, &over, NULL);
    if (got == 0)
        got = raddle_gen_next(early, NULL, NULL);
    return fault_first(rc, fault_first(got, raddle_gen_close(early)));
}

static int scenario_generator(void)
{
    return run(uses_generators, NULL, 2);
}

/* --- exit stacks --- */

enum { EXITS = 10 };

static int undoes(void *arg, int rc)
{
    --*(int *)arg;
    return fault_first(rc, raddle_yield());
}

static int uses_exits(void *arg)
{
    struct raddle_exits exits = RADDLE_EXITS_INIT;
    int done = 0, rc = 0;

    (void)arg;
    for (unsigned i = 0; i < EXITS && rc == 0; i++) {
        rc = raddle_exits_push(&exits, undoes, &done);
        done += rc == 0;
    }
    rc = raddle_exits_close(&exits, rc, 0);
    return done ? FAULT_WRONG : rc;
}

static int scenario_exits(void)
{
    return run(uses_exits, NULL, 1);
}

const struct fault_scenario fault_context_scenarios[] = {
    {"context", scenario_context, false},
    {"local", scenario_local, false},
    {"generator", scenario_generator, false},
    {"exits", scenario_exits, false},
    {NULL, NULL, false},
};
