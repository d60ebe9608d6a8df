/*
 * tests/model/scenario_group.c - groups: close against spawn, the end of the last child against the close
 * that waits for it, and cancels that walk over tasks while they come and go.
 *
 * Whole tasks on two loops: children are fresh, so that either loop may run them. What ended is poisoned.
 */
#include <errno.h>

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
    rdl_inject_init(&team.inject);
    team.count = LOOPS;
    team.loops = loop_list;
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
    rdl_idle_init(&team.idle, sleepers, LOOPS);
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

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&g, &task, child, &ran[0], NULL);
    model_check(rc == 0);
    rc = raddle_join(task, &outcome);
    model_check(rc == 0 || rc == -ECANCELED);
    model_check((rc == 0) == (outcome.kind == RADDLE_OK));
    if (rc == 0)
        model_check(ran[0] == 1);
    model_check(raddle_group_close(&g, rc) == rc || rc == 0);
    model_check(ran[0] == 1);
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

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "group";
const struct model_case model_cases[] = {
    {"close", begin_close, end},
    {"spawn", begin_spawn, end},
    {"fail", begin_fail, end},
    {"cancel", begin_cancel, end},
    {"join", begin_join, end},
    {"join_cancel", begin_join_cancel, end},
    {0},
};
