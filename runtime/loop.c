/*
 * runtime/loop.c - loops that a user creates, runs, posts to and closes.
 *
 * Phases, under the loop's lock: NEW, RUNNING, STOPPED, back and forth between the last two,
 * CLOSING. The first run binds the loop to its thread, because the driver's ring belongs to one
 * thread.
 *
 * Closing. The loop's own tasks are cancelled and waited for, by a task of the loop; then its inbox
 * is closed, which fails if something was posted meanwhile: that is run first. So what was accepted
 * is run, and what comes later is refused.
 */
#define _GNU_SOURCE
#include "runtime/loop.h"

#include <errno.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/run.h>
#include <string.h>

#include "runtime/call.h"
#include "runtime/dump.h"
#include "runtime/replay.h"
#include "runtime/report.h"
#include "sched/sys.h"

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct raddle_loop *registry;

static void enlist(struct raddle_loop *loop)
{
    static uint64_t last_id;

    pthread_mutex_lock(&registry_lock);
    loop->id = ++last_id;
    loop->next = registry;
    if (registry)
        registry->prev = loop;
    registry = loop;
    pthread_mutex_unlock(&registry_lock);
}

static void delist(struct raddle_loop *loop)
{
    pthread_mutex_lock(&registry_lock);
    if (loop->prev)
        loop->prev->next = loop->next;
    else
        registry = loop->next;
    if (loop->next)
        loop->next->prev = loop->prev;
    pthread_mutex_unlock(&registry_lock);
}

bool rdl_raddle_loop_exists(const struct raddle_loop *loop, uint64_t id)
{
    const struct raddle_loop *l;
    bool exists;

    pthread_mutex_lock(&registry_lock);
    for (l = registry; l && l != loop; l = l->next)
        ;
    exists = l && l->id == id;
    pthread_mutex_unlock(&registry_lock);
    return exists;
}

void rdl_raddle_loop_for_each(void (*fn)(struct raddle_loop *loop, void *arg), void *arg)
{
    pthread_mutex_lock(&registry_lock);
    for (struct raddle_loop *loop = registry; loop; loop = loop->next)
        fn(loop, arg);
    pthread_mutex_unlock(&registry_lock);
}

bool rdl_raddle_loops_run(const struct rdl_fiber *fiber)
{
    const struct raddle_loop *loop;

    for (loop = registry; loop; loop = loop->next)
        if (rdl_atomic_load_relaxed(&loop->base.current) == fiber)
            return true;
    return false;
}

void rdl_raddle_loops_lock(void)
{
    pthread_mutex_lock(&registry_lock);
}

void rdl_raddle_loops_unlock(void)
{
    pthread_mutex_unlock(&registry_lock);
}

/* Their memory stays: tasks' stacks point into it, and the child may stand on one. A list of them says so to
 * who looks for leaks. */
void rdl_raddle_loops_abandon(void)
{
    static struct raddle_loop *abandoned;
    struct raddle_loop *next;

    for (struct raddle_loop *loop = registry; loop; loop = next) {
        next = loop->next;
        loop->base.driver->ops->abandon(loop->base.driver);
        loop->phase = RDL_LOOP_CLOSING;
        rdl_atomic_store_relaxed(&loop->closing, true);
        loop->next = abandoned;
        abandoned = loop;
    }
    registry = NULL;
    rdl_loop_forget();
}

int rdl_raddle_loop_create(struct rdl_driver *driver, const struct raddle_policy *policy,
                           enum raddle_mobility mobility, struct raddle_loop **out)
{
    size_t bytes = (sizeof(struct raddle_loop) + 63) & ~(size_t)63;
    struct raddle_loop *loop;
    int rc = rdl_dump_install();

    if (rc == 0)
        rc = rdl_fork_install();
    if (rc < 0)
        return rc;
    loop = rdl_sys_calloc_aligned(64, bytes);
    if (!loop)
        return -ENOMEM;
    rdl_loop_init(&loop->base, driver, NULL, 0);
    rdl_group_init_root(&loop->root);
    rdl_group_init_root(&loop->mains);
    loop->root.reports = true;
    loop->policy = policy;
    loop->mobility = mobility ? mobility : RADDLE_FRESH;
    rdl_default_executor_init(&loop->own_executor, NULL);
    loop->executor = &loop->own_executor;
    enlist(loop);
    *out = loop;
    return 0;
}

void rdl_raddle_loop_free(struct raddle_loop *loop)
{
    rdl_policy_loop_closed(loop->policy, loop);
    rdl_callbacks_drop(loop);
    rdl_readers_fini(loop);
    rdl_vars_fini(&loop->vars); /* what an error handler has set between callbacks */
    delist(loop);
    rdl_default_executor_fini(&loop->own_executor);
    rdl_loop_fini(&loop->base);
    rdl_sys_free(loop);
}

int rdl_raddle_loop_enter(struct raddle_loop *loop)
{
    bool first;
    int rc = 0;

    if (rdl_loop_current())
        return -EBUSY;
    rdl_lock_acquire(&loop->lock);
    first = !loop->bound;
    if (loop->phase == RDL_LOOP_RUNNING)
        rc = -EBUSY;
    else if (loop->phase == RDL_LOOP_CLOSING)
        rc = RADDLE_ESHUTDOWN;
    else if (!first && !pthread_equal(loop->thread, pthread_self()))
        rc = -EXDEV;
    else
        loop->phase = RDL_LOOP_RUNNING;
    rdl_lock_release(&loop->lock);
    if (rc < 0)
        return rc;

    rc = rdl_overflow_thread_init(&loop->signal_stack);
    if (rc == 0 && first) {
        loop->thread = pthread_self();
        rc = loop->base.driver->ops->start(loop->base.driver);
        if (rc == 0) {
            if (loop->debug.checks)
                (void)rdl_describe_thread(loop->bound_to);
            rdl_lock_acquire(&loop->lock);
            loop->bound = true;
            rdl_lock_release(&loop->lock);
            rdl_policy_loop_started(loop->policy, loop);
        } else {
            rdl_overflow_thread_fini(&loop->signal_stack);
        }
    }
    if (rc < 0) {
        rdl_lock_acquire(&loop->lock);
        loop->phase = first ? RDL_LOOP_NEW : RDL_LOOP_STOPPED;
        rdl_lock_release(&loop->lock);
        return rc;
    }
    rdl_replay_begin(loop->base.driver);
    return 0;
}

void rdl_raddle_loop_leave(struct raddle_loop *loop)
{
    rdl_replay_end(loop->base.driver);
    rdl_overflow_thread_fini(&loop->signal_stack);
    rdl_lock_acquire(&loop->lock);
    loop->phase = RDL_LOOP_STOPPED;
    rdl_lock_release(&loop->lock);
}

/* The task that a run is about, in the runner's frame. */
struct main_task {
    raddle_task_fn *fn;
    void *arg;
    int rc;
};

static int main_task(void *arg)
{
    struct main_task *m = arg;

    return m->rc = m->fn(m->arg);
}

static size_t live(struct rdl_group *group)
{
    return raddle_group_live((struct raddle_group *)(void *)group);
}

/*
 * The main task comes back to this loop at its end and then stops it (runtime/task.c), as the last
 * thing that it does. A stop for another reason, or a main task that is held up by a walker, runs
 * it again.
 */
int rdl_raddle_loop_main(struct raddle_loop *loop, raddle_task_fn *fn, void *arg,
                         const struct raddle_spawn_site *site,
                         void (*started)(raddle_task *main, void *arg), void *started_arg)
{
    struct main_task m = {.fn = fn, .arg = arg};
    struct raddle_spawn_options options = {.name = "main", .loop = loop};
    struct rdl_spawn spawn = {.group = &loop->mains,
                              .fn = main_task,
                              .arg = &m,
                              .options = &options,
                              .site = site,
                              .stops = &loop->base};
    raddle_task *handle;
    int rc = rdl_task_spawn(&spawn, &handle);

    if (rc < 0)
        return rc;
    if (started)
        started(handle, started_arg);
    /* Tasks stand on this loop, and the caller's frame is theirs: without a driver nothing can end well. */
    while (live(&loop->mains))
        rdl_check(rdl_loop_run(&loop->base) == 0,
                  "a loop's driver failed while tasks were running");
    raddle_task_unref(handle);
    return m.rc;
}

/* What the API says of loops. */

/* Debug mode: the loop is another thread's. */
static void report_thread(struct raddle_loop *loop, const char *call)
{
    char name[RDL_WHO_BYTES];

    if (loop->debug.checks)
        rdl_report("%s: called in %s, but the loop is bound to %s, which ran it first", call,
                   rdl_describe_thread(name), loop->bound_to);
}

int raddle_loop_run_until_complete(raddle_loop *loop, raddle_task_fn *fn, void *arg)
{
    static const struct raddle_spawn_site site = {"main", "raddle_loop_run_until_complete", 0};
    int rc;

    if (!loop || !fn)
        return -EINVAL;
    rc = rdl_raddle_loop_enter(loop);
    if (rc == -EXDEV)
        report_thread(loop, "raddle_loop_run_until_complete");
    if (rc < 0)
        return rc;
    rc = rdl_raddle_loop_main(loop, fn, arg, &site, NULL, NULL);
    rdl_raddle_loop_leave(loop);
    rdl_replay_result(loop->base.driver, rc);
    return rc;
}

int raddle_loop_run_forever(raddle_loop *loop)
{
    int rc;

    if (!loop)
        return -EINVAL;
    rc = rdl_raddle_loop_enter(loop);
    if (rc == -EXDEV)
        report_thread(loop, "raddle_loop_run_forever");
    if (rc < 0)
        return rc;
    rc = rdl_loop_run(&loop->base);
    rdl_raddle_loop_leave(loop);
    return rc;
}

void raddle_loop_stop(raddle_loop *loop)
{
    if (loop->of_run)
        return; /* its run ends it */
    rdl_loop_stop(&loop->base);
}

static int close_tasks(void *arg)
{
    struct raddle_loop *loop = arg;

    rdl_group_finish_root(&loop->root, "its loop is closing");
    return 0;
}

int rdl_raddle_loop_drain(struct raddle_loop *loop)
{
    int rc = 0;

    /* Callbacks that post themselves again must not keep it going. */
    rdl_atomic_store_relaxed(&loop->closing, true);
    while (rc == 0 && (rdl_loop_busy(&loop->base) || !rdl_inbox_close(&loop->base.inbox))) {
        rdl_loop_stop(&loop->base);
        rc = rdl_loop_run(&loop->base);
    }
    return rc;
}

/* On the thread that the loop is bound to, and entered. */
static int close_here(struct raddle_loop *loop)
{
    static const struct raddle_spawn_site site = {"close", "raddle_loop_close", 0};
    int rc = rdl_raddle_loop_main(loop, close_tasks, loop, &site, NULL, NULL);

    return rc < 0 ? rc : rdl_raddle_loop_drain(loop);
}

int raddle_loop_close(raddle_loop *loop)
{
    int rc;

    if (!loop)
        return -EINVAL;
    if (loop->of_run || rdl_loop_current())
        return -EBUSY;
    rc = rdl_raddle_loop_enter(loop);
    if (rc == 0) {
        rc = close_here(loop);
        rdl_raddle_loop_leave(loop);
    } else if (rc == -EXDEV && rdl_atomic_load_relaxed(&loop->base.counters.tasks) == 0 &&
               !rdl_loop_busy(&loop->base) && rdl_inbox_close(&loop->base.inbox)) {
        rc = 0; /* its thread was another's, but nothing is left to be run there */
    }
    if (rc == -EXDEV)
        report_thread(loop, "raddle_loop_close");
    if (rc < 0)
        return rc;
    rdl_raddle_loop_free(loop);
    return 0;
}

raddle_loop *raddle_running_loop(void)
{
    struct rdl_loop *loop = rdl_loop_current();

    return loop ? rdl_raddle_loop(loop) : NULL;
}

/* On the loop's own thread tasks and callbacks line up in one queue, as in asyncio: but not before what other
 * threads have left in the inbox. */
bool rdl_raddle_loop_queue(struct raddle_loop *loop, struct rdl_runnable *run)
{
    if (rdl_loop_current() != &loop->base || !rdl_inbox_empty(&loop->base.inbox))
        return rdl_loop_post(&loop->base, run);
    rdl_loop_enqueue(&loop->base, run);
    return true;
}

struct callback {
    struct rdl_runnable run;
    raddle_callback_fn *fn;
    void *arg;
    struct rdl_map *vars;
    uint32_t hops; /* see call.h */
};

static void call_back(struct rdl_runnable *run)
{
    struct callback callback = *(struct callback *)(void *)run;

    rdl_sys_free(run);
    rdl_call(callback.vars, callback.fn, callback.arg, callback.hops);
}

int raddle_call_soon(raddle_loop *loop, raddle_callback_fn *fn, void *arg)
{
    struct callback *callback;

    if (!loop || !fn)
        return -EINVAL;
    if (rdl_atomic_load_relaxed(&loop->closing))
        return RADDLE_ESHUTDOWN;
    callback = rdl_sys_malloc(sizeof(*callback));
    if (!callback)
        return -ENOMEM;
    *callback = (struct callback){.run = {.call = call_back},
                                  .fn = fn,
                                  .arg = arg,
                                  .vars = rdl_vars_capture(),
                                  .hops = rdl_call_hops(loop)};
    if (rdl_raddle_loop_queue(loop, &callback->run))
        return 0;
    rdl_map_unref(callback->vars);
    rdl_sys_free(callback);
    return RADDLE_ESHUTDOWN;
}

int raddle_loop_spawn_at(raddle_loop *loop, raddle_task_fn *fn, void *arg,
                         const struct raddle_spawn_options *options,
                         const struct raddle_spawn_site *site)
{
    struct raddle_spawn_options pinned = options ? *options : (struct raddle_spawn_options){0};
    struct rdl_spawn spawn = {
        .group = NULL, .fn = fn, .arg = arg, .options = &pinned, .site = site};

    if (!loop || (pinned.loop && pinned.loop != loop))
        return -EINVAL;
    if (rdl_atomic_load_relaxed(&loop->closing))
        return RADDLE_ESHUTDOWN; /* also when it is the parent's, after a fork */
    pinned.loop = loop;
    spawn.group = &loop->root;
    return rdl_task_spawn(&spawn, NULL);
}

/* That of the first loop of the team. */
struct raddle_group *raddle_background(void)
{
    struct rdl_loop *loop = rdl_loop_current();

    if (!loop)
        return NULL;
    if (loop->team)
        loop = loop->team->loops[0];
    return (struct raddle_group *)(void *)&rdl_raddle_loop(loop)->root;
}

const char *raddle_loop_driver(const raddle_loop *loop)
{
    return loop->base.driver->ops->name;
}

unsigned raddle_loop_index(const raddle_loop *loop)
{
    return loop->base.index;
}

unsigned raddle_loop_count(void)
{
    struct rdl_loop *loop = rdl_loop_current();

    if (!loop)
        return 0;
    return loop->team ? loop->team->count : 1;
}

int raddle_get_loop_stats(unsigned index, struct raddle_loop_stats *out)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_loop_counters *c;

    if (!out)
        return -EINVAL;
    if (!loop)
        return -EPERM;
    if (index >= (loop->team ? loop->team->count : 1))
        return -ENOENT;
    c = loop->team ? &loop->team->loops[index]->counters : &loop->counters;
    memset(out, 0, sizeof(*out));
    out->switches = rdl_atomic_load_relaxed(&c->switches);
    out->spawns = rdl_atomic_load_relaxed(&c->spawns);
    out->steals = rdl_atomic_load_relaxed(&c->steals);
    out->wakes_sent = rdl_atomic_load_relaxed(&c->wakes_sent);
    out->parks = rdl_atomic_load_relaxed(&c->parks);
    out->polls = rdl_atomic_load_relaxed(&c->polls);
    out->completions = rdl_atomic_load_relaxed(&c->completions);
    out->timers = rdl_atomic_load_relaxed(&c->timers);
    out->tasks = rdl_atomic_load_relaxed(&c->tasks);
    out->page_outs = rdl_atomic_load_relaxed(&c->page_outs);
    out->paged_out = rdl_atomic_load_relaxed(&c->paged_out);
    return 0;
}
