/*
 * tests/model/scenario_sync.c - waiting in line: a grant against a cancellation, a move against both, and memory
 * that the one who was woken gives back.
 *
 * A main task on one loop, a child that either of two may run, and a stranger that cancels main at any time.
 */
#include <errno.h>

#include <raddle/error.h>
#include <raddle/group.h>
#include <raddle/scope.h>
#include <raddle/sync.h>
#include <raddle/task.h>

#include "runtime/loop.h"
#include "runtime/mutex.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "runtime/waiter.h"
#include "sched/sys.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LOOPS = 2 };

static struct raddle_loop loops[LOOPS];
static struct rdl_loop *loop_list[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static struct rdl_team team;
static struct rdl_group root;
static raddle_task *main_task;
static bool finished;

/* What is waited for; made anew by begin. */
static struct raddle_mutex mutex;
static struct raddle_sem sem;
static struct raddle_cond cond;
static struct raddle_event event;
static unsigned guarded; /* plain: under mutex, or from before event was set */
static size_t notified;  /* the child's, until it has ended */

_Noreturn void rdl_die(const char *what)
{
    model_fail("%s", what);
}

void rdl_report(const char *what, ...)
{
    model_fail("%s", what);
}

void rdl_report_error(const struct raddle_error_event *event, const char *what, ...)
{
    (void)event;
    model_fail("%s", what);
}

const char *raddle_strerror(int error)
{
    (void)error;
    return "";
}

void rdl_sys_futex_wait(const void *word, uint32_t value)
{
    model_futex_wait(word, value);
}

void rdl_sys_futex_wake(const void *word)
{
    model_futex_wake(word);
}

static void run_loop(void *arg)
{
    struct raddle_loop *loop = arg;

    model_check(rdl_loop_run(&loop->base) == 0);
}

static void cancel_main(void *arg)
{
    int rc = raddle_task_cancel(main_task, "a stranger");

    (void)arg;
    model_check(rc == 0 || rc == -EALREADY);
}

/* What lies in the same memory in every schedule has to be made by rdl_atomic_init(). */
static void renew(void *thing, size_t queue_offset)
{
    struct rdl_queue *queue = (struct rdl_queue *)(void *)((char *)thing + queue_offset);

    rdl_atomic_init(&queue->lock.held, 0u);
}

static void begin(raddle_task_fn *fn)
{
    static const char *const names[LOOPS] = {"loop 0", "loop 1"};
    struct raddle_spawn_options options = {.name = "main", .loop = &loops[0]};
    struct rdl_spawn spawn = {
        .group = &root, .fn = fn, .options = &options, .stops = &loops[0].base};
    struct rdl_mutex *m = (struct rdl_mutex *)(void *)&mutex;

    host_begin();
    finished = false;
    guarded = 0;
    notified = 0;
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
    mutex = (struct raddle_mutex)RADDLE_MUTEX_INIT;
    renew(&mutex, 0);
    rdl_atomic_init(&m->owner, (uintptr_t)0);
    sem = (struct raddle_sem)RADDLE_SEM_INIT(0, 0);
    renew(&sem, 2 * sizeof(size_t));
    cond = (struct raddle_cond)RADDLE_COND_INIT;
    renew(&cond, 0);
    event = (struct raddle_event)RADDLE_EVENT_INIT;
    renew(&event, 0);
    model_check(rdl_task_spawn(&spawn, &main_task) == 0);
    model_spawn("stranger", cancel_main, NULL);
}

static void end(void)
{
    model_check(finished);
    model_check(root.live == 0);
    raddle_task_unref(main_task);
    host_end();
}

static struct raddle_group group;

/* The child is spawned into a group that the cancellation reaches, too: it doesn't look. */
static void spawn_child(raddle_task_fn *child)
{
    model_check(raddle_group_open(&group, NULL) == 0);
    model_check(raddle_spawn(&group, NULL, child, NULL, NULL) == 0);
}

static int finish(void)
{
    int rc = raddle_group_close(&group, 0);

    model_check(rc == 0 || rc == -ECANCELED);
    finished = true;
    rdl_loop_stop(&loops[1].base);
    return 0;
}

/* In a task that may be cancelled: what it must do all the same. */
static void lock_shielded(void)
{
    struct raddle_scope shield;

    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    model_check(raddle_lock(&mutex) == 0);
    model_check(raddle_scope_leave(&shield, 0) == 0);
}

/* Mutex: handed over or cancelled, and in the end nobody's. */
static int locking_child(void *arg)
{
    (void)arg;
    lock_shielded();
    guarded++;
    model_check(raddle_unlock(&mutex) == 0);
    return 0;
}

static int locking_main(void *arg)
{
    unsigned mine = 0;
    int rc;

    (void)arg;
    spawn_child(locking_child);
    for (int i = 0; i < 2; i++) {
        rc = raddle_lock(&mutex);
        model_check(rc == 0 || rc == -ECANCELED);
        if (rc == 0) {
            mine++;
            guarded++;
            model_check(raddle_unlock(&mutex) == 0);
        }
    }
    rc = finish();
    model_check(guarded == mine + 1);
    model_check(raddle_trylock(&mutex) == 0);
    model_check(raddle_unlock(&mutex) == 0);
    return rc;
}

static void begin_mutex(void)
{
    begin(locking_main);
}

/* Semaphore: main wants two, which come one by one; they are had, or they are there. */
static int releasing_child(void *arg)
{
    (void)arg;
    model_check(raddle_sem_release(&sem, 1) == 0);
    model_check(raddle_sem_release(&sem, 1) == 0);
    return 0;
}

static int acquiring_main(void *arg)
{
    int rc;

    (void)arg;
    spawn_child(releasing_child);
    rc = raddle_sem_acquire(&sem, 2);
    model_check(rc == 0 || rc == -ECANCELED);
    (void)finish();
    model_check(raddle_sem_value(&sem) == (rc == 0 ? 0 : 2));
    return 0;
}

static void begin_semaphore(void)
{
    begin(acquiring_main);
}

/* Condition: notified or cancelled, with the mutex in any case. */
static int notifying_child(void *arg)
{
    bool locked = model_choose(2);

    (void)arg;
    if (locked)
        lock_shielded();
    notified = raddle_cond_notify(&cond, 1);
    if (locked)
        model_check(raddle_unlock(&mutex) == 0);
    return 0;
}

static int waiting_main(void *arg)
{
    int rc;

    (void)arg;
    lock_shielded();
    spawn_child(notifying_child);
    rc = raddle_cond_wait(&cond, &mutex);
    model_check(rc == 0 || rc == -ECANCELED);
    guarded++;
    model_check(raddle_unlock(&mutex) == 0);
    /* Somebody must end the wait: the stranger does, if the notification came too early. */
    (void)finish();
    model_check((rc == 0) == (notified == 1));
    return 0;
}

static void begin_condition(void)
{
    begin(waiting_main);
}

/* Event: main gives its memory back at once. When it was cancelled, it waits for the child to have set it. */
static int setting_child(void *arg)
{
    (void)arg;
    guarded = 1;
    raddle_event_set(&event);
    return 0;
}

static int forgetting_main(void *arg)
{
    struct raddle_scope shield;
    int rc;

    (void)arg;
    spawn_child(setting_child);
    rc = raddle_event_wait(&event);
    if (rc == -ECANCELED) {
        raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
        model_check(raddle_event_wait(&event) == 0);
        model_check(raddle_scope_leave(&shield, 0) == 0);
    } else {
        model_check(rc == 0);
    }
    model_poison(&event, sizeof event);
    rc = finish();
    model_unpoison(&event, sizeof event);
    return rc;
}

static void begin_event(void)
{
    begin(forgetting_main);
}

/* Two wait, and are called one after the other, while one or both are cancelled. Who sees that it is set, by a look
 * without the lock, sees what came before. */
static int waiting_child(void *arg)
{
    unsigned *had = arg;
    int rc = raddle_event_wait(&event);

    model_check(rc == 0 || rc == -ECANCELED);
    *had = rc == 0;
    return 0;
}

static int waiting_beside(void *arg)
{
    unsigned child_had = 2;
    int rc;

    (void)arg;
    spawn_child(setting_child);
    model_check(raddle_spawn(&group, NULL, waiting_child, &child_had, NULL) == 0);
    if (raddle_event_is_set(&event))
        model_check(guarded == 1);
    rc = raddle_event_wait(&event);
    model_check(rc == 0 || rc == -ECANCELED);
    rc = finish();
    model_check(child_had != 2);
    model_check(raddle_event_is_set(&event));
    return rc;
}

static void begin_batch(void)
{
    begin(waiting_beside);
}

/* A plain thread waits, and gives the memory back. */
static void waiting_thread(void *arg)
{
    (void)arg;
    model_check(raddle_event_wait(&event) == 0);
    model_poison(&event, sizeof event);
}

static int setting_main(void *arg)
{
    (void)arg;
    spawn_child(setting_child);
    return finish();
}

static void begin_thread(void)
{
    begin(setting_main);
    model_spawn("thread", waiting_thread, NULL);
}

static void end_thread(void)
{
    model_unpoison(&event, sizeof event);
    end();
}

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "sync";
const struct model_case model_cases[] = {
    {"mutex", begin_mutex, end},
    {"semaphore", begin_semaphore, end},
    {"condition", begin_condition, end},
    {"event", begin_event, end},
    {"batch", begin_batch, end},
    {"thread", begin_thread, end_thread},
    {0},
};
