/*
 * runtime/runner.c - several runs on one loop that is made when it is needed.
 */
#include <errno.h>
#include <raddle/context.h>
#include <raddle/error.h>
#include <raddle/run.h>
#include <raddle/runner.h>
#include <string.h>

#include "runtime/loop.h"
#include "runtime/monitor.h"
#include "runtime/replay.h"

enum { OPEN_MARK = 0x52554E21, CLOSED_MARK = 0x52554E00 };

/* What struct raddle_runner holds. */
struct runner {
    uint32_t mark;
    unsigned flags;
    const struct raddle_policy *policy;
    struct raddle_loop *loop;    /* NULL: not made yet */
    raddle_ctx *context;         /* of all main tasks; there when loop is */
    struct rdl_monitor *monitor; /* during a run */
};

static_assert(sizeof(struct runner) <= sizeof(struct raddle_runner), "fits what users compile in");

static struct runner *of(struct raddle_runner *runner)
{
    return (struct runner *)(void *)runner;
}

int raddle_runner_open(struct raddle_runner *runner, const struct raddle_runner_options *options)
{
    static const struct raddle_runner_options defaults;

    if (!options)
        options = &defaults;
    if (!runner || options->flags & ~(unsigned)RADDLE_RUN_NO_SIGINT)
        return -EINVAL;
    for (unsigned i = 0; i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;
    memset(runner, 0, sizeof(*runner));
    *of(runner) =
        (struct runner){.mark = OPEN_MARK, .flags = options->flags, .policy = options->policy};
    return 0;
}

static int check(const struct runner *r)
{
    if (!r || (r->mark != OPEN_MARK && r->mark != CLOSED_MARK))
        return -EINVAL;
    return r->mark == OPEN_MARK ? 0 : RADDLE_ESHUTDOWN;
}

/* The loop, which becomes the thread's as soon as there is one. */
static int need_loop(struct runner *r)
{
    static const struct raddle_loop_options defaults;
    struct raddle_loop *loop;
    raddle_ctx *context;
    int rc;

    if (r->loop)
        return 0;
    if (rdl_loop_current())
        return -EBUSY;
    rc = raddle_ctx_copy(&context);
    if (rc < 0)
        return rc;
    rc = rdl_policy_new_loop(r->policy ? r->policy : raddle_get_policy(), &defaults, &loop);
    if (rc < 0)
        goto unref_context;
    rc = rdl_policy_set_loop(loop->policy, loop);
    if (rc < 0)
        goto close_loop;
    r->loop = loop;
    r->context = context;
    return 0;
close_loop:
    (void)raddle_loop_close(loop);
unref_context:
    raddle_ctx_unref(context);
    return rc;
}

/* A main task, in the context that all of them share. */
struct call {
    raddle_ctx *context;
    raddle_task_fn *fn;
    void *arg;
};

static int run_in_context(void *arg)
{
    struct call *call = arg;

    return raddle_ctx_run(call->context, call->fn, call->arg);
}

static void started(raddle_task *main, void *arg)
{
    struct runner *r = arg;

    if (r->monitor)
        rdl_monitor_set_main(r->monitor, main);
}

int raddle_runner_run(struct raddle_runner *runner, raddle_task_fn *fn, void *arg)
{
    static const struct raddle_spawn_site site = {"main", "raddle_runner_run", 0};
    struct runner *r = of(runner);
    struct rdl_monitor_options monitor = {.sigint = r && !(r->flags & RADDLE_RUN_NO_SIGINT)};
    struct call call = {.fn = fn, .arg = arg};
    struct rdl_loop *base;
    int rc = check(r);

    if (rc < 0 || !fn)
        return rc < 0 ? rc : -EINVAL;
    rc = need_loop(r);
    if (rc == 0)
        rc = rdl_raddle_loop_enter(r->loop);
    if (rc < 0)
        return rc;
    call.context = r->context;
    base = &r->loop->base;
    monitor.loops = &base;
    monitor.count = 1;
    rc = rdl_monitor_start(&monitor, &r->monitor);
    if (rc == 0)
        rc = rdl_raddle_loop_main(r->loop, run_in_context, &call, &site, started, r);
    rdl_monitor_stop(r->monitor);
    r->monitor = NULL;
    rdl_raddle_loop_leave(r->loop);
    rdl_replay_result(r->loop->base.driver, rc);
    return rc;
}

int raddle_runner_get_loop(struct raddle_runner *runner, raddle_loop **out)
{
    struct runner *r = of(runner);
    int rc = out ? check(r) : -EINVAL;

    if (rc == 0)
        rc = need_loop(r);
    if (rc == 0)
        *out = r->loop;
    return rc;
}

int raddle_runner_close(struct raddle_runner *runner)
{
    struct runner *r = of(runner);
    int rc = check(r);

    if (rc < 0)
        return rc == RADDLE_ESHUTDOWN ? 0 : rc;
    if (r->loop)
        rc = raddle_loop_close(r->loop);
    if (rc < 0)
        return rc;
    raddle_ctx_unref(r->context);
    r->context = NULL;
    r->loop = NULL;
    r->mark = CLOSED_MARK;
    return 0;
}
