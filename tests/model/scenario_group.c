/*
 * tests/model/scenario_group.c - groups: close against spawn, the end of the last child against the close
 * that waits for it, and cancels that walk over tasks while they come and go.
 *
 * Whole tasks on two loops: children are fresh, so that either loop may run them. What ended is poisoned.
 */
#include <errno.h>

#include <raddle/context.h>
#include <raddle/error.h>
#include <raddle/group.h>
#include <raddle/scope.h>
#include <raddle/task.h>

#include "runtime/loop.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LOOPS = 2, CHILDREN = 3 };

static struct raddle_loop loops[LOOPS];
static struct rdl_loop *loop_list[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static struct rdl_team team;
static struct rdl_group root;
static raddle_task *main_task;
static unsigned ran[CHILDREN]; /* plain: who closed the group must see it */
static bool finished;

_Noreturn void rdl_die(const char *what)
{
    model_fail("%s", what);
}

/* What nobody reads is told by a report, which is no fault here. */
void rdl_report(const char *what, ...)
{
    (void)what;
}

void rdl_report_error(const struct raddle_error_event *event, const char *what, ...)
{
    (void)event;
    (void)what;
}

const char *raddle_strerror(int error)
{
    (void)error;
    return "";
}

static void run_loop(void *arg)
{
    struct raddle_loop *loop = arg;

    model_check(rdl_loop_run(&loop->base) == 0);
}

static void begin(raddle_task_fn *fn)
{
    static const char *const names[LOOPS] = {"loop 0", "loop 1"};
    struct raddle_spawn_options options = {.name = "main", .loop = &loops[0]};
    struct rdl_spawn spawn = {
        .group = &root, .fn = fn, .options = &options, .stops = &loops[0].base};

    host_begin();
    finished = false;
    for (unsigned i = 0; i < CHILDREN; i++)
        ran[i] = 0;
    rdl_team_init(&team, loop_list, sleepers, LOOPS);
    rdl_group_init_root(&root);
    rdl_atomic_init(&root.lock.held, 0u);
    rdl_atomic_init(&root.scope.state, (uint32_t)RDL_SCOPE_OPEN);
    rdl_atomic_init(&root.scope.reason, NULL);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_list[i] = &loops[i].base;
        sleepers[i] = &loops[i].base.sleeper;
        rdl_loop_init(&loops[i].base, host_driver(i), &team, i);
        loops[i].mobility = RADDLE_FRESH;
        model_spawn(names[i], run_loop, &loops[i]);
    }
    model_check(rdl_task_spawn(&spawn, &main_task) == 0);
}

static void end(void)
{
    model_check(finished);
    model_check(root.live == 0);
    raddle_task_unref(main_task);
    host_end();
}

/* What every main task does last: loop 0 stops by itself when it has ended. */
static int finish(void)
{
    finished = true;
    rdl_loop_stop(&loops[1].base);
    return 0;
}

static int child(void *arg)
{
    unsigned *mine = arg;

    ++*mine;
    return 0;
}

static int failing_child(void *arg)
{
    (void)child(arg);
    return -EIO;
}

/* Until it is cancelled. */
static int sleeping_child(void *arg)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    (void)child(arg);
    while ((rc = rdl_cancel_check(self)) == 0) {
        (void)rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "nothing", 0);
    }
    return rc;
}

/* Two children, and the close that waits for them. */
static int close_after_two(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, child, &ran[0], NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, child, &ran[1], NULL);
    model_check(rc == 0);
    model_check(raddle_group_close(&g, rc) == 0);
    model_check(ran[0] == 1 && ran[1] == 1);
    /* The frame is ours again. */
    model_poison(&g, sizeof g);
    rc = finish();
    model_unpoison(&g, sizeof g);
    return rc;
}

static void begin_close(void)
{
    begin(close_after_two);
}

/* A child spawns a sibling, and ends, while the group is being closed. */
static int spawning_child(void *arg)
{
    ran[1]++;
    model_check(raddle_spawn(arg, NULL, child, &ran[0], NULL) == 0);
    return 0;
}

static int close_while_spawning(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, spawning_child, &g, NULL);
    model_check(rc == 0);
    model_check(raddle_group_close(&g, rc) == 0);
    model_check(ran[0] == 1 && ran[1] == 1);
    model_poison(&g, sizeof g);
    rc = finish();
    model_unpoison(&g, sizeof g);
    return rc;
}

static void begin_spawn(void)
{
    begin(close_while_spawning);
}

/* The first failure cancels a sibling that sleeps, or is about to, or hasn't begun. */
static int fail_fast(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, sleeping_child, &ran[0], NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, failing_child, &ran[1], NULL);
    model_check(rc == 0);
    model_check(raddle_group_close(&g, rc) == -EIO);
    model_check(ran[0] == 1 && ran[1] == 1);
    return finish();
}

static void begin_fail(void)
{
    begin(fail_fast);
}

/* A stranger cancels a task that opens a group, spawns into it, and closes it. */
static int cancelled_main(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, sleeping_child, &ran[0], NULL);
    model_check(rc == 0);
    rc = raddle_group_close(&g, rc);
    model_check(rc == -ECANCELED);
    model_check(ran[0] == 1);
    (void)finish();
    return rc;
}

static void cancel_main(void *arg)
{
    (void)arg;
    model_check(raddle_task_cancel(main_task, "a stranger") == 0);
}

static void begin_cancel(void)
{
    begin(cancelled_main);
    model_spawn("stranger", cancel_main, NULL);
}

/* A task joins another through its handle, which a stranger may cancel meanwhile. */
static int joining_main(void *arg)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    struct raddle_group g;
    raddle_task *task = NULL;
    int rc = raddle_group_open(&g, NULL);
    bool early;

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&g, &task, child, &ran[0], NULL);
    model_check(rc == 0);
    rc = raddle_join(task, &outcome);
    model_check(rc == 0 || rc == -ECANCELED);
    model_check((rc == 0) == (outcome.kind == RADDLE_OK));
    if (rc == 0)
        model_check(ran[0] == 1);
    /* Before the close the task itself may still have its handle, and then is the last to give it back. */
    early = model_choose(2);
    if (early)
        raddle_task_unref(task);
    model_check(raddle_group_close(&g, rc) == rc || rc == 0);
    model_check(ran[0] == 1);
    if (!early)
        raddle_task_unref(task);
    return finish();
}

static void begin_join(void)
{
    begin(joining_main);
}

static void try_to_cancel_main(void *arg)
{
    int rc = raddle_task_cancel(main_task, "a stranger");

    (void)arg;
    model_check(rc == 0 || rc == -EALREADY);
}

static void begin_join_cancel(void)
{
    begin(joining_main);
    model_spawn("stranger", try_to_cancel_main, NULL);
}

/* A stranger cancels the group while a child spawns a sibling into it, which must notice, wherever it is. */
static int sibling_spawning_child(void *arg)
{
    ran[1]++;
    model_check(raddle_spawn(arg, NULL, sleeping_child, &ran[0], NULL) == 0);
    return sleeping_child(&ran[2]);
}

static struct raddle_group *shared;      /* to be cancelled by the stranger */
static rdl_atomic(uint32_t) group_state; /* 1: it is open; 2: the stranger is done with it */

static int close_cancelled_group(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, sibling_spawning_child, &g, NULL);
    model_check(rc == 0);
    shared = &g;
    (void)rdl_atomic_exchange_acq_rel(&group_state, 1u);
    /* The group must stay for as long as somebody has it in his hands. */
    model_sleep_while(&group_state, 1);
    (void)rdl_atomic_fetch_add_acq_rel(&group_state, 0u);
    model_check(raddle_group_close(&g, 0) == 0);
    model_check(ran[0] == 1 && ran[1] == 1 && ran[2] == 1);
    return finish();
}

static void cancel_group(void *arg)
{
    (void)arg;
    model_sleep_while(&group_state, 0);
    (void)rdl_atomic_fetch_add_acq_rel(&group_state, 0u);
    raddle_group_cancel(shared, "a stranger");
    (void)rdl_atomic_exchange_acq_rel(&group_state, 2u);
}

static void begin_cancel_spawn(void)
{
    rdl_atomic_init(&group_state, 0u);
    begin(close_cancelled_group);
    model_spawn("stranger", cancel_group, NULL);
}

/* Who sees a cancellation, in whichever way, sees what the canceller did before, and the reason. */
static struct raddle_scope *looked_at;
static rdl_atomic(uint32_t) cancellers; /* that are done with the scope */
static unsigned prepared[2];            /* plain, by each canceller */
static char reasons[2][4];
static unsigned canceller_count;

static void cancel_with_reason(void *arg)
{
    unsigned i = *(const unsigned *)arg;

    model_sleep_while(&group_state, 0);
    (void)rdl_atomic_fetch_add_acq_rel(&group_state, 0u);
    prepared[i] = 1;
    reasons[i][0] = 'x';
    raddle_scope_cancel(looked_at, reasons[i]);
    (void)rdl_atomic_fetch_add_acq_rel(&cancellers, 1u);
}

static int looking_main(void *arg)
{
    struct raddle_scope scope;
    const char *reason;
    bool by_task = model_choose(2);
    uint32_t n;

    (void)arg;
    raddle_scope_enter(&scope, 0, 0);
    looked_at = &scope;
    (void)rdl_atomic_exchange_acq_rel(&group_state, 1u);
    while (by_task ? !raddle_cancelled() : !raddle_scope_cancelled(&scope))
        model_yield();
    if (canceller_count == 1)
        model_check(prepared[0] == 1);
    reason = raddle_cancel_reason();
    /* Of two, the second may have been quicker to set the state than the first to say why. */
    model_check(reason || canceller_count > 1);
    if (reason)
        model_check(*reason == 'x');
    while ((n = rdl_atomic_fetch_add_acq_rel(&cancellers, 0u)) != canceller_count)
        model_sleep_while(&cancellers, n);
    /* Whoever was first says why, and nobody else later. */
    model_check(raddle_cancel_reason() && (!reason || raddle_cancel_reason() == reason));
    model_check(raddle_scope_leave(&scope, -ECANCELED) == 0);
    return finish();
}

static void begin_look(unsigned count)
{
    static const char *const names[] = {"canceller 0", "canceller 1"};
    static const unsigned numbers[] = {0, 1};

    rdl_atomic_init(&group_state, 0u);
    rdl_atomic_init(&cancellers, 0u);
    canceller_count = count;
    begin(looking_main);
    for (unsigned i = 0; i < count; i++) {
        prepared[i] = 0;
        reasons[i][0] = 0;
        model_spawn(names[i], cancel_with_reason, (void *)(uintptr_t)&numbers[i]);
    }
}

static void begin_reason(void)
{
    begin_look(1);
}

static void begin_two_reasons(void)
{
    begin_look(2);
}

/* Two children set a variable that never was set before, each in a context of its own: it gets one number. */
static struct raddle_var variable = RADDLE_VAR_INIT("variable", NULL, NULL);

static int setting_child(void *arg)
{
    (void)child(arg);
    model_check(raddle_var_set(&variable, arg, NULL) == 0);
    model_check(raddle_var_get(&variable) == arg);
    return 0;
}

static int setting_main(void *arg)
{
    struct raddle_group g;

    (void)arg;
    model_check(raddle_group_open(&g, NULL) == 0);
    for (unsigned i = 0; i < 2; i++)
        model_check(raddle_spawn(&g, NULL, setting_child, &ran[i], NULL) == 0);
    model_check(raddle_group_close(&g, 0) == 0);
    model_check(raddle_var_get(&variable) == NULL);
    return finish();
}

static void renew_number(void *number)
{
    rdl_atomic_init((rdl_atomic(uint32_t) *)number, 0u);
}

static void begin_variable(void)
{
    renew_number(variable.raddle_private);
    begin(setting_main);
}

/* A context that two children run in is given back by whoever ends last. */
static int looking_child(void *arg)
{
    (void)child(arg);
    model_check(raddle_var_get(&variable) == &variable);
    return 0;
}

static int sharing_main(void *arg)
{
    struct raddle_spawn_options options = {.name = "child"};
    struct raddle_group g;

    (void)arg;
    model_check(raddle_var_set(&variable, &variable, NULL) == 0);
    model_check(raddle_ctx_copy(&options.context) == 0);
    model_check(raddle_group_open(&g, NULL) == 0);
    for (unsigned i = 0; i < 2; i++)
        model_check(raddle_spawn(&g, NULL, looking_child, &ran[i], &options) == 0);
    raddle_ctx_unref(options.context);
    model_check(raddle_group_close(&g, 0) == 0);
    return finish();
}

static void begin_context(void)
{
    begin(sharing_main);
}

/* Children are told of in the order of their ends: one that began when another had been joined comes after it. */
static void expect_next(struct raddle_group *g, const unsigned *arg)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    raddle_task *task = NULL;

    model_check(raddle_group_next(g, &task) == 1);
    model_check(!arg || raddle_task_arg(task) == arg);
    model_check(raddle_outcome_of(task, &outcome) == 0 && outcome.kind == RADDLE_OK);
    raddle_task_unref(task);
}

static int next_main(void *arg)
{
    struct raddle_group_options options = {.mode = RADDLE_COLLECT, .as_completed = true};
    struct raddle_group g;
    raddle_task *task = NULL;

    (void)arg;
    model_check(raddle_group_open(&g, &options) == 0);
    model_check(raddle_spawn(&g, &task, child, &ran[0], NULL) == 0);
    switch (model_choose(3)) {
    case 0: /* one after the other */
        model_check(raddle_join(task, NULL) == 0);
        model_check(raddle_spawn(&g, NULL, child, &ran[1], NULL) == 0);
        expect_next(&g, &ran[0]);
        expect_next(&g, &ran[1]);
        break;
    case 1: /* in either order; one may be left to the close */
        model_check(raddle_spawn(&g, NULL, child, &ran[1], NULL) == 0);
        expect_next(&g, NULL);
        if (model_choose(2))
            expect_next(&g, NULL);
        break;
    default: /* one that doesn't end meanwhile */
        model_check(raddle_spawn(&g, NULL, sleeping_child, &ran[1], NULL) == 0);
        expect_next(&g, &ran[0]);
        raddle_group_cancel(&g, NULL);
        break;
    }
    raddle_task_unref(task);
    (void)!raddle_group_close(&g, 0);
    model_check(ran[0] == 1 && ran[1] == 1);
    return finish();
}

static void begin_next(void)
{
    begin(next_main);
}

/* Two strangers walk over the tasks and take handles of them, while a child takes its own, or asks who has
 * cancelled it, or just ends. */
enum { FINDERS = 2 };

static raddle_task
    *own_handle; /* which the child has seen; plain, as the main task looks after the close */
static raddle_task *found[FINDERS];  /* by each, with a reference */
static rdl_atomic(uint32_t) finders; /* that have found what they can */

static int found_child(void *arg)
{
    (void)child(arg);
    own_handle = NULL;
    switch (model_choose(3)) {
    case 0:
        own_handle = raddle_self();
        model_check(own_handle && raddle_task_arg(own_handle) == arg);
        break;
    case 1:
        model_check(raddle_uncancel() >= 0);
        break;
    default:
        break;
    }
    return 0;
}

static void find_child(struct rdl_task *task, unsigned depth, void *out)
{
    struct raddle_task *handle;

    (void)depth;
    if (task->fn != found_child)
        return;
    handle = rdl_task_handle(task);
    model_check(handle && raddle_task_arg(handle) == &ran[0]);
    *(raddle_task **)out = raddle_task_ref(handle);
}

static void find(void *out)
{
    rdl_tree_visit(&root, find_child, out);
    (void)rdl_atomic_fetch_add_acq_rel(&finders, 1u);
}

static int finding_main(void *arg)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    struct raddle_group g;
    uint32_t n;

    (void)arg;
    model_check(raddle_group_open(&g, NULL) == 0);
    model_check(raddle_spawn(&g, NULL, found_child, &ran[0], NULL) == 0);
    model_check(raddle_group_close(&g, 0) == 0);
    while ((n = rdl_atomic_fetch_add_acq_rel(&finders, 0u)) != FINDERS)
        model_sleep_while(&finders, n);
    model_check(!found[0] || !found[1] || found[0] == found[1]);
    for (unsigned i = 0; i < FINDERS; i++) {
        if (!found[i])
            continue;
        model_check(!own_handle || found[i] == own_handle);
        model_check(raddle_outcome_of(found[i], &outcome) == 0 && outcome.kind == RADDLE_OK);
        raddle_task_unref(found[i]);
    }
    return finish();
}

static void begin_find(void)
{
    rdl_atomic_init(&finders, 0u);
    begin(finding_main);
    for (unsigned i = 0; i < FINDERS; i++) {
        static const char *const names[FINDERS] = {"finder 0", "finder 1"};

        found[i] = NULL;
        model_spawn(names[i], find, (void *)&found[i]);
    }
}

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "group";
const struct model_case model_cases[] = {
    {"close", begin_close, end},
    {"spawn", begin_spawn, end},
    {"fail", begin_fail, end},
    {"cancel", begin_cancel, end},
    {"join", begin_join, end},
    {"join_cancel", begin_join_cancel, end},
    {"cancel_spawn", begin_cancel_spawn, end},
    {"reason", begin_reason, end},
    {"two_reasons", begin_two_reasons, end},
    {"variable", begin_variable, end},
    {"context", begin_context, end},
    {"next", begin_next, end},
    {"find", begin_find, end},
    {0},
};
