/*
 * runtime/loop.h - the loop that a user holds: a scheduler's loop, the tasks it owns, its thread.
 */
#ifndef RDL_RUNTIME_LOOP_H
#define RDL_RUNTIME_LOOP_H

#include <pthread.h>
#include <stdbool.h>

#include <raddle/debug.h>
#include <raddle/executor.h>
#include <raddle/loop.h>
#include <raddle/policy.h>

#include "runtime/debug.h"
#include "runtime/describe.h"
#include "runtime/task.h"
#include "sched/lock.h"
#include "sched/loop.h"
#include "sched/overflow.h"

/* The default executor of a run, or of a loop that is alone: made on first use. */
struct rdl_default_executor {
    pthread_mutex_t lock;
    raddle_executor *executor;
    const struct raddle_executor_options *options;
};

struct rdl_table;

struct rdl_monitor;

/* What a loop's thread was at when the monitor asked, by a signal. Written by the thread before it answers. */
struct rdl_look {
    rdl_atomic(uint32_t) asked, answered; /* the same: the rest is the monitor's to read */
    char task[RDL_TASK_NAME_BYTES];       /* its name; "": it is a callback */
    char file[64];                        /* where the task was spawned; line 0: not known */
    int line;
    int count; /* of frames */
    void *frames[32];
};

enum rdl_loop_phase {
    RDL_LOOP_NEW,
    RDL_LOOP_RUNNING,
    RDL_LOOP_STOPPED, /* bound to its thread, not running */
    RDL_LOOP_CLOSING,
};

struct raddle_loop {
    struct rdl_loop base;               /* first */
    struct rdl_group root;              /* the tasks it owns: raddle_loop_spawn()'s */
    struct rdl_group mains;             /* the task that it is run for, if any */
    uint64_t id;                        /* unlike that of any other loop of this process, ever */
    const struct raddle_policy *policy; /* by which it was made */
    enum raddle_mobility mobility;      /* of tasks that don't say: never the default */
    const struct raddle_policy *spawns; /* who is asked before each; NULL: nobody. As policy */
    struct rdl_debug debug;             /* what is to be debugged in it; set before it runs */
    struct rdl_monitor *monitor;        /* of its own, while debugged; NULL: none, or the run's */
    char bound_to[RDL_WHO_BYTES];       /* its thread, in words, while debugged. Set with bound */
    struct rdl_look look;
    struct rdl_default_executor own_executor;
    struct rdl_default_executor *executor; /* the run's, or its own */

    rdl_atomic(bool) closing; /* posts are refused; those that were accepted are run */
    bool of_run;              /* made and ended by a raddle_run() */
    struct rdl_vars vars;     /* of the callback that runs; its thread's */
    struct rdl_lock lock;
    enum rdl_loop_phase phase; /* under lock */
    bool bound;                /* thread is set, the driver started. Under lock */
    pthread_t thread;
    struct rdl_overflow_thread signal_stack; /* while it runs */

    struct raddle_handle *timed;   /* callbacks with a time that the loop knows of. Its thread's */
    rdl_atomic(uint32_t) arriving; /* those that are on their way there */
    raddle_error_fn *on_error;     /* under lock */
    void *on_error_arg;            /* under lock */
    bool in_on_error;              /* its thread is in it */

    /* Kept only while something watches callbacks: see call.c. Of its thread, the atomics to be read by the monitor. */
    uint32_t hops; /* of the callback that runs */
    rdl_atomic(raddle_callback_fn *) calling;
    rdl_atomic(uint64_t) calls;
    struct rdl_table *watched; /* by readers and writers; NULL: none yet. Under lock */

    struct raddle_loop *next, *prev; /* all loops of the process, under the registry's lock */
};

static inline struct raddle_loop *rdl_raddle_loop(struct rdl_loop *loop)
{
    return (struct raddle_loop *)(void *)loop;
}

/* A loop with this driver, which becomes its own; on failure the driver is the caller's. */
int rdl_raddle_loop_create(struct rdl_driver *driver, const struct raddle_policy *policy,
                           enum raddle_mobility mobility, struct raddle_loop **out);

/* Enters the loop in the calling thread: bound, running. Fails as
 * raddle_loop_run_until_complete() does. */
int rdl_raddle_loop_enter(struct raddle_loop *loop);
void rdl_raddle_loop_leave(struct raddle_loop *loop);

/* The entered loop's thread, which has nothing of its own to run any more: runs what was posted, then takes
 * no more. */
int rdl_raddle_loop_drain(struct raddle_loop *loop);

/* Frees a loop that is not running and whose tasks have ended. */
void rdl_raddle_loop_free(struct raddle_loop *loop);

/* Runs fn(arg) as a task of the entered loop until it has ended, and returns its result. started:
 * NULL, or told the task's handle before it runs. */
int rdl_raddle_loop_main(struct raddle_loop *loop, raddle_task_fn *fn, void *arg,
                         const struct raddle_spawn_site *site,
                         void (*started)(raddle_task *main, void *arg), void *started_arg);

/* Any thread: whether loop, which may have been freed, is still the one with this id. */
bool rdl_raddle_loop_exists(const struct raddle_loop *loop, uint64_t id);

/* Any thread: calls fn for each loop of the process; none is freed meanwhile. */
void rdl_raddle_loop_for_each(void (*fn)(struct raddle_loop *loop, void *arg), void *arg);

/* Called back by that: does one of the loops run fiber just now? */
bool rdl_raddle_loops_run(const struct rdl_fiber *fiber);

/* Once per process, and harmless to repeat: what happens to loops when the process forks (fork.c). */
int rdl_fork_install(void);
/* For fork.c: keeps loops from coming and going, and lets them again; the child forgets them all. */
void rdl_raddle_loops_lock(void);
void rdl_raddle_loops_unlock(void);
void rdl_raddle_loops_abandon(void);

/* Any thread: queues what the loop is to run, behind what was queued there before. False: the loop is closed,
 * and run still the caller's. */
bool rdl_raddle_loop_queue(struct raddle_loop *loop, struct rdl_runnable *run);

/* callback.c: gives up the callbacks whose time has not come. The loop is not running any more. */
void rdl_callbacks_drop(struct raddle_loop *loop);

/* The loop's thread: calls visit for each callback that has a time and is still to be called. site may be NULL. */
void rdl_callbacks_visit(struct raddle_loop *loop,
                         void (*visit)(const struct raddle_spawn_site *site, raddle_time when,
                                       void *arg),
                         void *arg);

/* reader.c: the loop's tasks have ended. */
void rdl_readers_fini(struct raddle_loop *loop);

/* executor.c */
void rdl_default_executor_init(struct rdl_default_executor *d,
                               const struct raddle_executor_options *options);
void rdl_default_executor_fini(struct rdl_default_executor *d);

/* policy.c: the first function of that name in the chain of bases. */
int rdl_policy_new_loop(const struct raddle_policy *policy,
                        const struct raddle_loop_options *options, struct raddle_loop **out);
int rdl_policy_set_loop(const struct raddle_policy *policy, struct raddle_loop *loop);
void rdl_policy_loop_started(const struct raddle_policy *policy, struct raddle_loop *loop);
void rdl_policy_loop_closed(const struct raddle_policy *policy, struct raddle_loop *loop);
void rdl_policy_after_fork_child(void);

#endif
