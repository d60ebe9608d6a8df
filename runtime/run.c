/*
 * runtime/run.c - raddle_run(): a team of loops, a thread for each, a main task, and the end of it
 * all.
 *
 * The end, in order. The main task returns. Still on its loop, it cancels and waits for what was
 * left on each loop; tasks of other teams can't be there. Then all loops are stopped; each runs what
 * was posted to it, closes its inbox, so that later posts fail, and its thread is joined. At last
 * the executor's threads are waited for and the loops freed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <raddle/error.h>
#include <raddle/executor.h>
#include <raddle/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/sim.h"
#include "runtime/cpus.h"
#include "runtime/loop.h"
#include "runtime/monitor.h"
#include "runtime/replay.h"
#include "runtime/report.h"
#include "sched/sys.h"

enum { MAX_LOOPS = 1024 };

struct run;

struct loop_thread {
    struct run *run;
    struct raddle_loop *loop;
    pthread_t thread;
};

struct run {
    struct rdl_team team;
    struct raddle_loop **loops; /* team.count of them, NULL where none was made yet */
    struct rdl_sleeper **sleepers;
    struct loop_thread *threads; /* of loops 1 and up */
    unsigned started;            /* threads */
    bool simulated;              /* the loops share a thread */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned reported; /* threads that know whether they can run their loop. Under lock */
    int start_rc;      /* of the first that can't. Under lock */
    struct rdl_default_executor executor;
    struct rdl_monitor *monitor;
    raddle_task_fn *fn;
    void *arg;
};

/* In the thread of a loop. */
static void report_start(struct run *run, int rc)
{
    pthread_mutex_lock(&run->lock);
    run->reported++;
    if (rc < 0 && run->start_rc == 0)
        run->start_rc = rc;
    pthread_cond_signal(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

/* In the thread of a loop that it has entered. */
static void run_loop(void *arg)
{
    struct raddle_loop *loop = arg;
    int rc = rdl_loop_run(&loop->base);

    if (rc == 0)
        rc = rdl_raddle_loop_drain(loop);
    rdl_raddle_loop_leave(loop);
    rdl_check(rc == 0, "a loop's driver failed while tasks were running");
}

static void *loop_thread(void *arg)
{
    struct loop_thread *self = arg;
    struct raddle_loop *loop = self->loop;
    sigset_t urgent;
    char name[16];
    int rc;

    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG); /* how the monitor asks for a slow task's backtrace */
    pthread_sigmask(SIG_UNBLOCK, &urgent, NULL);
    snprintf(name, sizeof(name), "raddle-%u", loop->base.index);
    pthread_setname_np(pthread_self(), name);
    rc = rdl_raddle_loop_enter(loop);
    report_start(self->run, rc);
    if (rc == 0)
        run_loop(loop);
    return NULL;
}

/* Loops of a simulated world take turns on the thread of the first. */
static int start_simulated(struct run *run)
{
    int rc = 0;

    for (unsigned i = 1; i < run->team.count && rc == 0; i++) {
        struct raddle_loop *loop = run->loops[i];
        rc = rdl_raddle_loop_enter(loop);
        if (rc < 0)
            break;
        rc = rdl_sim_thread_create(run->loops[0]->base.driver, loop->base.driver, run_loop, loop);
        if (rc == 0)
            run->started = i;
        else
            rdl_raddle_loop_leave(loop);
    }
    return rc;
}

/* Starts the other loops' threads, and waits until all of them can run, or one can't. */
static int start_threads(struct run *run)
{
    int rc = 0;

    for (unsigned i = 1; i < run->team.count && rc == 0; i++) {
        struct loop_thread *t = &run->threads[i];
        *t = (struct loop_thread){.run = run, .loop = run->loops[i]};
        rc = rdl_sys_thread_create(&t->thread, 0, loop_thread, t);
        if (rc == 0)
            run->started = i;
    }
    pthread_mutex_lock(&run->lock);
    while (run->reported < run->started)
        pthread_cond_wait(&run->changed, &run->lock);
    if (rc == 0)
        rc = run->start_rc;
    pthread_mutex_unlock(&run->lock);
    return rc;
}

/*
 * A loop that the policy made becomes number i of the team. It is listed already, and may be looked at. Real
 * and simulated loops can't be mixed.
 */
static int adopt(struct run *run, unsigned i, const struct raddle_run_options *options)
{
    struct raddle_loop *loop = run->loops[i];

    if (rdl_sim_is(loop->base.driver) != run->simulated && i)
        return -EINVAL;
    run->simulated = rdl_sim_is(loop->base.driver);
    if (run->simulated && i)
        rdl_sim_join_world(loop->base.driver, run->loops[0]->base.driver);
    rdl_raddle_loops_lock();
    loop->base.index = i;
    loop->base.random += i;
    loop->of_run = true;
    loop->executor = &run->executor;
    if (options->mobility)
        loop->mobility = options->mobility;
    rdl_raddle_loops_unlock();
    run->team.loops[i] = &loop->base;
    run->sleepers[i] = &loop->base.sleeper;
    return 0;
}

static int make_loops(struct run *run, const struct raddle_run_options *options)
{
    const struct raddle_policy *policy = options->policy ? options->policy : raddle_get_policy();
    struct raddle_loop_options loop_options = {
        .driver = options->driver, .mobility = options->mobility, .debug = options->debug};
    unsigned count = run->team.count;

    for (unsigned i = 0; i < count; i++) {
        int rc = rdl_policy_new_loop(policy, &loop_options, &run->loops[i]);
        if (rc == 0)
            rc = adopt(run, i, options);
        if (rc < 0)
            return rc;
    }
    /* One loop has nobody to steal from it, and asyncio's order. */
    for (unsigned i = 0; i < count && count > 1; i++)
        run->loops[i]->base.team = &run->team;
    rdl_team_init(&run->team, run->team.loops, run->sleepers, count);
    return 0;
}

static int run_main(void *arg)
{
    struct run *run = arg;
    int rc = run->fn(run->arg);
    struct raddle_scope shield;

    raddle_scope_enter(&shield, RADDLE_NEVER, RADDLE_SHIELD);
    for (unsigned i = 0; i < run->team.count; i++)
        rdl_group_cancel_root(&run->loops[i]->root, "the run has ended");
    for (unsigned i = 0; i < run->team.count; i++)
        rdl_group_finish_root(&run->loops[i]->root, "the run has ended");
    return raddle_scope_leave(&shield, rc);
}

static void started(raddle_task *main, void *arg)
{
    struct run *run = arg;

    if (run->monitor)
        rdl_monitor_set_main(run->monitor, main);
}

static void stop_threads(struct run *run)
{
    for (unsigned i = 1; i <= run->started; i++)
        rdl_loop_stop(&run->loops[i]->base);
    for (unsigned i = 1; i <= run->started; i++) {
        if (run->simulated)
            rdl_sim_thread_join(run->loops[0]->base.driver, run->loops[i]->base.driver);
        else
            pthread_join(run->threads[i].thread, NULL);
    }
}

/* A write to a pipe or socket that nobody reads is -EPIPE, as for Python's programs, and not the end. */
static bool ignore_sigpipe(struct sigaction *old)
{
    struct sigaction ignore;

    if (rdl_sys_sigaction(SIGPIPE, NULL, old) < 0 || old->sa_handler != SIG_DFL)
        return false;
    memset(&ignore, 0, sizeof(ignore));
    sigemptyset(&ignore.sa_mask);
    ignore.sa_handler = SIG_IGN;
    return rdl_sys_sigaction(SIGPIPE, &ignore, NULL) == 0;
}

static int run_team(struct run *run, const struct raddle_run_options *options)
{
    static const struct raddle_spawn_site site = {"main", "raddle_run", 0};
    struct rdl_monitor_options monitor = {
        .loops = run->team.loops,
        .count = run->team.count,
        .sigint = !(options->flags & RADDLE_RUN_NO_SIGINT),
        .sigquit = options->flags & RADDLE_RUN_SIGQUIT,
        .slow_ns = options->slow_ns ? options->slow_ns : run->loops[0]->debug.slow_ns,
    };
    int rc = rdl_raddle_loop_enter(run->loops[0]);

    if (rc < 0)
        return rc;
    /* A thread that does something by itself would be another's run each time. */
    if (!run->simulated)
        rc = rdl_monitor_start(&monitor, &run->monitor);
    if (rc == 0)
        rc = run->simulated ? start_simulated(run) : start_threads(run);
    if (rc == 0)
        rc = rdl_raddle_loop_main(run->loops[0], run_main, run, &site, started, run);
    rdl_monitor_stop(run->monitor);
    stop_threads(run);
    (void)rdl_raddle_loop_drain(run->loops[0]);
    rdl_raddle_loop_leave(run->loops[0]);
    rdl_replay_result(run->loops[0]->base.driver, rc);
    return rc;
}

static int check_options(const struct raddle_run_options *options)
{
    for (unsigned i = 0; i < 2; i++)
        if (options->reserved[i])
            return -EINVAL;
    if (options->loops > MAX_LOOPS || (unsigned)options->mobility > RADDLE_PINNED ||
        options->flags & ~(unsigned)(RADDLE_RUN_NO_SIGINT | RADDLE_RUN_SIGQUIT |
                                     RADDLE_RUN_SIGPIPE | RADDLE_RUN_MOVE | RADDLE_RUN_SCRUB) ||
        options->slow_ns < 0)
        return -EINVAL;
    return 0;
}

int raddle_run(raddle_task_fn *main_fn, void *arg, const struct raddle_run_options *options)
{
    static const struct raddle_run_options defaults;
    struct run run = {.fn = main_fn,
                      .arg = arg,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER};
    struct sigaction old_sigpipe;
    bool ignoring, scrubs;
    unsigned count;
    struct rdl_debug debug;
    int rc = -ENOMEM;

    if (!options)
        options = &defaults;
    if (!main_fn || check_options(options) < 0)
        return -EINVAL;
    if (rdl_loop_current())
        return -EBUSY;
    if (rdl_debug_read(options->debug, &debug) < 0)
        return -EINVAL;
    run.team.moves = debug.move || options->flags & RADDLE_RUN_MOVE;
    scrubs = debug.scrub || options->flags & RADDLE_RUN_SCRUB;
    count = options->loops ? options->loops : rdl_cpus_allowed();
    run.team.count = count < MAX_LOOPS ? count : MAX_LOOPS;
    run.loops = rdl_sys_calloc(count, sizeof(*run.loops));
    run.team.loops = rdl_sys_calloc(count, sizeof(*run.team.loops));
    run.sleepers = rdl_sys_calloc(count, sizeof(*run.sleepers));
    run.threads = rdl_sys_calloc(count, sizeof(*run.threads));
    rdl_default_executor_init(&run.executor, options->executor);
    if (run.loops && run.team.loops && run.sleepers && run.threads)
        rc = make_loops(&run, options);
    ignoring = !(options->flags & RADDLE_RUN_SIGPIPE) && ignore_sigpipe(&old_sigpipe);
    if (scrubs)
        rdl_stack_scrub_begin();
    if (rc == 0)
        rc = run_team(&run, options);
    if (scrubs)
        rdl_stack_scrub_end();
    if (ignoring)
        (void)rdl_sys_sigaction(SIGPIPE, &old_sigpipe, NULL);

    rdl_default_executor_fini(&run.executor);
    rdl_team_fini(&run.team);
    for (unsigned i = 0; run.loops && i < count && run.loops[i]; i++)
        rdl_raddle_loop_free(run.loops[i]);
    rdl_sys_free(run.threads);
    rdl_sys_free(run.sleepers);
    rdl_sys_free(run.team.loops);
    rdl_sys_free(run.loops);
    rdl_stack_trim_all();
    return rc;
}
