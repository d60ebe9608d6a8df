/*
 * runtime/thread.c - threads that run a loop.
 *
 * The thread's main task does what ends the loop, too: it cancels and waits for the tasks that were left, so that
 * the end needs no memory that might not be there. Then the thread closes the inbox and sets the future by which
 * it is joined. The loop's memory stays until the join: others may post to it, and be refused, until then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <raddle/error.h>
#include <raddle/future.h>
#include <raddle/thread.h>
#include <raddle/time.h>
#include <string.h>

#include "runtime/loop.h"
#include "runtime/replay.h"
#include "sched/sys.h"

struct raddle_loop_thread {
    struct raddle_loop *loop;
    raddle_task_fn *fn;
    void *arg;
    int rc; /* what fn returned */
    char name[16];
    pthread_t thread;
    raddle_future *ended;

    /* Of the start. Under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started;
    int start_rc;
    raddle_task *main;
};

static void report_start(raddle_loop_thread *t, int rc, raddle_task *main)
{
    pthread_mutex_lock(&t->lock);
    if (!t->started) {
        t->started = true;
        t->start_rc = rc;
        t->main = main ? raddle_task_ref(main) : NULL;
        pthread_cond_signal(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
}

/* In the thread. */

static int waits_for_cancel(void)
{
    int rc = raddle_sleep_until(RADDLE_NEVER);

    return rc == -ECANCELED ? 0 : rc;
}

static int run_main(void *arg)
{
    raddle_loop_thread *t = arg;
    struct raddle_scope shield;

    t->rc = t->fn ? t->fn(t->arg) : waits_for_cancel();
    raddle_scope_enter(&shield, RADDLE_NEVER, RADDLE_SHIELD);
    rdl_group_finish_root(&t->loop->root, "its thread is ending");
    return raddle_scope_leave(&shield, t->rc);
}

static void started(raddle_task *main, void *arg)
{
    report_start(arg, 0, main);
}

static void *thread_main(void *arg)
{
    static const struct raddle_spawn_site site = {"main", "raddle_loop_thread_start", 0};
    raddle_loop_thread *t = arg;
    int rc;

    pthread_setname_np(pthread_self(), t->name);
    rc = rdl_policy_set_loop(t->loop->policy, t->loop);
    if (rc == 0)
        rc = rdl_raddle_loop_enter(t->loop);
    if (rc == 0) {
        rc = rdl_raddle_loop_main(t->loop, run_main, t, &site, started, t);
        rdl_check(rdl_raddle_loop_drain(t->loop) == 0,
                  "a loop's driver failed while tasks were running");
        rdl_raddle_loop_leave(t->loop);
        rdl_replay_result(t->loop->base.driver, rc);
    }
    report_start(t, rc, NULL); /* if it has not been yet, this says why */
    (void)raddle_future_set(t->ended, 0, NULL);
    return NULL;
}

/* Outside of it. */

static void destroy(raddle_loop_thread *t)
{
    if (t->loop)
        rdl_raddle_loop_free(t->loop);
    raddle_task_unref(t->main);
    raddle_future_unref(t->ended);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    rdl_sys_free(t);
}

static int start(raddle_loop_thread *t, size_t stack_bytes)
{
    int rc = rdl_sys_thread_create(&t->thread, stack_bytes, thread_main, t);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&t->lock);
    while (!t->started)
        pthread_cond_wait(&t->changed, &t->lock);
    rc = t->start_rc;
    pthread_mutex_unlock(&t->lock);
    if (rc < 0)
        pthread_join(t->thread, NULL);
    return rc;
}

static int check(const struct raddle_loop_thread_options *options)
{
    for (unsigned i = 0; i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;
    return 0;
}

int raddle_loop_thread_start(raddle_loop_thread **out, raddle_task_fn *fn, void *arg,
                             const struct raddle_loop_thread_options *options)
{
    static const struct raddle_loop_thread_options defaults;
    static const struct raddle_loop_options of_loop;
    const char *name = options && options->name ? options->name : "raddle-loop";
    raddle_loop_thread *t;
    int rc;

    if (!options)
        options = &defaults;
    if (!out || check(options) < 0)
        return -EINVAL;
    t = rdl_sys_calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->fn = fn;
    t->arg = arg;
    strncpy(t->name, name, sizeof(t->name) - 1);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    rc = raddle_future_create(&t->ended);
    if (rc == 0)
        rc = rdl_policy_new_loop(options->policy ? options->policy : raddle_get_policy(), &of_loop,
                                 &t->loop);
    if (rc == 0) {
        rdl_raddle_loops_lock(); /* it is listed already, and may be looked at */
        t->loop->of_run = true;
        rdl_raddle_loops_unlock();
        rc = start(t, options->stack_bytes);
    }
    if (rc < 0)
        destroy(t);
    else
        *out = t;
    return rc;
}

raddle_loop *raddle_loop_thread_loop(const raddle_loop_thread *thread)
{
    return thread->loop;
}

int raddle_loop_thread_cancel(raddle_loop_thread *thread, const char *reason)
{
    return thread ? raddle_task_cancel(thread->main, reason) : -EINVAL;
}

int raddle_loop_thread_join(raddle_loop_thread *thread, int *result)
{
    int rc;

    if (!thread)
        return -EINVAL;
    if (raddle_running_loop() == thread->loop)
        return -EDEADLK;
    rc = raddle_future_wait(thread->ended, NULL);
    if (rc < 0)
        return rc;
    pthread_join(thread->thread, NULL); /* which has a few instructions to go */
    if (result)
        *result = thread->rc;
    destroy(thread);
    return 0;
}

int raddle_thread_id(void)
{
    return rdl_sys_thread_id();
}
