/*
 * tests/model/scenario_turn.c - turns in a line: who waits, a fiber or a plain thread, against who serves it, and a
 * choice between two lines that are served at once.
 *
 * What is handed over is plain, and so is the waiter's frame, which is poisoned when the waiter has gone.
 */
#include "sched/turn.h"

#include <errno.h>
#include <raddle/task.h>

#include "sched/loop.h"
#include "sched/sys.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LINES = 2, PASSED = 7 };

/* What is waited for. handed: how many were served, and thing is what they are served with. */
struct object {
    struct rdl_lock lock;
    struct rdl_line line;
    unsigned handed;
};

/* What is in the waiter's frame. */
struct waiter {
    struct rdl_turn turn;
    unsigned got;
};

static struct rdl_loop loop;
static struct rdl_loop *loop_list[1] = {&loop};
static struct rdl_sleeper *sleepers[1] = {&loop.sleeper};
static struct rdl_team team;
static struct rdl_fiber *fiber;
static struct object objects[LINES];
static bool has_loop, ended;
static rdl_atomic(uint32_t) servers; /* that are done */
static struct waiter waiters[LINES]; /* static, so that it can be poisoned */

void rdl_sys_futex_wait(const void *word, uint32_t value)
{
    model_futex_wait(word, value);
}

void rdl_sys_futex_wait_for(const void *word, uint32_t value, int64_t ns)
{
    (void)ns;
    model_futex_wait(word, value);
}

void rdl_sys_futex_wake(const void *word)
{
    model_futex_wake(word);
}

static void begin(void)
{
    host_begin();
    has_loop = ended = false;
    rdl_atomic_init(&servers, 0u);
    for (unsigned i = 0; i < LINES; i++) {
        objects[i] = (struct object){.handed = 0};
        rdl_atomic_init(&objects[i].lock.held, 0u);
        waiters[i] = (struct waiter){.got = 0};
    }
}

static void end(void)
{
    model_check(ended);
    for (unsigned i = 0; i < LINES; i++)
        model_check(!objects[i].line.first);
    if (has_loop)
        model_check(!rdl_loop_busy(&loop) && rdl_inbox_empty(&loop.inbox));
    host_end();
}

static void run_loop(void *arg)
{
    model_check(rdl_loop_run(arg) == 0);
}

static void start(void (*main)(struct rdl_fiber *))
{
    struct rdl_stack_cache *none = NULL;

    has_loop = true;
    rdl_team_init(&team, loop_list, sleepers, 1);
    rdl_loop_init(&loop, host_driver(0), &team, 0);
    model_spawn("loop", run_loop, &loop);
    model_check(rdl_fiber_create(none, sizeof *fiber, sizeof *fiber, 0, main, &fiber) == 0);
    fiber->mobility = RADDLE_PINNED;
    fiber->home = &loop;
    model_name(fiber, "fiber");
    model_check(rdl_loop_post(&loop, &fiber->run));
}

/* Serves the first in line, or nobody. */
static bool serve_one(struct object *object)
{
    struct rdl_turn_call call = {.told = NULL};
    struct waiter *waiter;

    rdl_lock_acquire(&object->lock);
    waiter = (struct waiter *)(void *)rdl_turn_first(&object->line);
    if (waiter) {
        waiter->got++;
        object->handed++;
        call = rdl_turn_call(&object->line, PASSED);
    }
    rdl_lock_release(&object->lock);
    rdl_turn_tell(call);
    return waiter != NULL;
}

/* Until there is somebody to be served, or nobody will be. */
static void serve(void *arg)
{
    struct object *object = arg;

    while (!serve_one(object) && !rdl_atomic_load_acquire(&servers))
        model_yield();
    (void)rdl_atomic_fetch_add_acq_rel(&servers, 1u);
}

/* Waits for either of two objects, each of which is being served. */
static void chooses(struct rdl_fiber *self)
{
    struct rdl_choice choice;
    struct rdl_turn *taken;

    do {
        struct rdl_ticket ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);

        rdl_atomic_init(&choice.taken, NULL);
        for (unsigned i = 0; i < LINES; i++) {
            rdl_lock_acquire(&objects[i].lock);
            rdl_turn_join_choice(&objects[i].line, &waiters[i].turn, ticket, &choice);
            rdl_lock_release(&objects[i].lock);
        }
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "either", 0);
        for (unsigned i = 0; i < LINES; i++) {
            rdl_lock_acquire(&objects[i].lock);
            rdl_line_leave(&objects[i].line, &waiters[i].turn.place);
            rdl_lock_release(&objects[i].lock);
        }
        taken = rdl_atomic_load_relaxed(&choice.taken);
    } while (!taken);
    model_check(taken == &waiters[0].turn || taken == &waiters[1].turn);
    for (unsigned i = 0; i < LINES; i++) {
        model_check(waiters[i].got == (taken == &waiters[i].turn));
        model_check(objects[i].handed == waiters[i].got);
    }
    model_check(taken->result == PASSED);
    model_poison(waiters, sizeof(waiters));
    ended = true;
    rdl_loop_stop(&loop);
}

static void end_choice(void)
{
    model_unpoison(waiters, sizeof(waiters));
    end();
}

static void begin_choice(void)
{
    static const char *const names[LINES] = {"server 0", "server 1"};

    begin();
    start(chooses);
    for (unsigned i = 0; i < LINES; i++)
        model_spawn(names[i], serve, &objects[i]);
}

static void was_served(const struct waiter *waiter, int rc, int late)
{
    model_check(rc == 0 || rc == late);
    model_check(waiter->got == (rc == 0) && objects[0].handed == waiter->got);
    if (rc == 0)
        model_check(waiter->turn.result == PASSED);
}

/* A fiber waits for one. */
static void waits(struct rdl_fiber *self)
{
    struct waiter *waiter = &waiters[0];

    rdl_lock_acquire(&objects[0].lock);
    rdl_turn_join(&objects[0].line, &waiter->turn, self);
    rdl_lock_release(&objects[0].lock);
    was_served(waiter,
               rdl_turn_wait(&objects[0].lock, &objects[0].line, &waiter->turn, self, INT64_MAX,
                             "one", NULL),
               0);
    model_poison(waiters, sizeof(waiters));
    ended = true;
    rdl_loop_stop(&loop);
}

static void begin_fiber(void)
{
    begin();
    start(waits);
    model_spawn("server", serve, &objects[0]);
}

/* A plain thread waits for one, for ever or not at all. */
static void waits_in_thread(int64_t deadline_ns, int late)
{
    struct waiter *waiter = &waiters[0];
    int rc;

    rdl_lock_acquire(&objects[0].lock);
    rdl_turn_join(&objects[0].line, &waiter->turn, NULL);
    rdl_lock_release(&objects[0].lock);
    rc = rdl_turn_wait(&objects[0].lock, &objects[0].line, &waiter->turn, NULL, deadline_ns, "one",
                       NULL);
    was_served(waiter, rc, late);
    model_poison(waiters, sizeof(waiters));
    ended = true;
    if (rc < 0) /* nobody will be there */
        (void)rdl_atomic_fetch_add_acq_rel(&servers, 1u);
}

static void thread(void *arg)
{
    (void)arg;
    waits_in_thread(INT64_MAX, 0);
}

static void impatient_thread(void *arg)
{
    (void)arg;
    waits_in_thread(0, -ETIMEDOUT);
}

static void begin_thread(void)
{
    begin();
    model_spawn("thread", thread, NULL);
    model_spawn("server", serve, &objects[0]);
}

static void begin_impatient(void)
{
    begin();
    model_spawn("thread", impatient_thread, NULL);
    model_spawn("server", serve, &objects[0]);
}

const char *const model_unwatched_names[] = {"counter", "waiting_", NULL};
const char model_scenario_name[] = "turn";
const struct model_case model_cases[] = {
    {"choice", begin_choice, end_choice},
    {"fiber", begin_fiber, end_choice},
    {"thread", begin_thread, end_choice},
    {"impatient", begin_impatient, end_choice},
    {0},
};
