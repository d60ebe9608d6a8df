/*
 * tests/model/scenario_executor.c - tasks that wait for jobs in a pool, and in line for room in its queue, while
 * strangers cancel them and threads come and go: each job runs once or not at all, its task knows which, and
 * nobody in line is forgotten.
 *
 * The shipping executor and pool, on loops of one fiber or two, alone or a team. A thread of the pool is a virtual
 * thread that waits to be created; its time passes as the scenario pleases.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <raddle/error.h>
#include <raddle/executor.h>
#include <raddle/scope.h>
#include <raddle/task.h>
#include <raddle/time.h>

#include "runtime/context.h"
#include "sched/cancel.h"
#include "sched/loop.h"
#include "sched/sys.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LOOPS = 2, TASKS = 3, THREADS = 4 };

enum thread_state { AWAITED, CREATED, ENDED };

static struct rdl_loop loops[LOOPS];
static struct rdl_loop *loop_list[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static struct rdl_team team;
static raddle_executor *executor;

/* Its fibers are no tasks, and have no variables. */
struct rdl_map *rdl_vars_capture(void)
{
    return NULL;
}

void rdl_vars_call(struct rdl_map *captured, void (*fn)(void *arg), void *arg)
{
    (void)captured;
    fn(arg);
}

void rdl_map_unref(struct rdl_map *map)
{
    (void)map;
}

struct client {
    struct rdl_fiber *fiber;
    struct rdl_scope root, outer;
    unsigned argument; /* plain: the job must see it */
    unsigned result;   /* plain: and the task what the job has done */
    unsigned runs;
};

static struct client clients[TASKS];
static rdl_atomic(uint32_t) fibers_left[LOOPS]; /* that have not ended; of a team all at [0] */
static rdl_atomic(uint32_t) entered;            /* the scopes of client 0 are there */
static rdl_atomic(uint32_t) cancellers;         /* that have client 0 in their hands */
static rdl_atomic(uint32_t) loops_done;
static unsigned job_count;
static bool together, may_tire, may_fail;
static unsigned tirings; /* one for each thread but the first, at most */

/* The pool's threads. */

static struct {
    rdl_atomic(uint32_t) state; /* enum thread_state */
    void *(*fn)(void *);
    void *arg;
} threads[THREADS];
static struct rdl_lock thread_lock;
static unsigned thread_count; /* under thread_lock */
static _Thread_local unsigned my_number;

int rdl_sys_thread_create(pthread_t *out, size_t stack_bytes, void *(*fn)(void *), void *arg)
{
    unsigned i = THREADS;

    (void)stack_bytes;
    rdl_lock_acquire(&thread_lock);
    if (thread_count < THREADS && !(may_fail && model_choose(2)))
        i = thread_count++;
    rdl_lock_release(&thread_lock);
    if (i == THREADS)
        return -EAGAIN;
    threads[i].fn = fn;
    threads[i].arg = arg;
    *out = i + 1;
    (void)rdl_atomic_exchange_acq_rel(&threads[i].state, (uint32_t)CREATED);
    return 0;
}

static void run_thread(void *arg)
{
    unsigned i = *(const unsigned *)arg;

    model_sleep_while(&threads[i].state, AWAITED);
    if (rdl_atomic_fetch_add_acq_rel(&threads[i].state, 0u) == ENDED)
        return; /* nobody wanted it */
    my_number = i + 1;
    (void)threads[i].fn(threads[i].arg);
    (void)rdl_atomic_exchange_acq_rel(&threads[i].state, (uint32_t)ENDED);
}

pthread_t pthread_self(void)
{
    return my_number;
}

int pthread_join(pthread_t thread, void **result)
{
    (void)result;
    model_sleep_while(&threads[thread - 1].state, CREATED);
    model_check(rdl_atomic_fetch_add_acq_rel(&threads[thread - 1].state, 0u) == ENDED);
    return 0;
}

int rdl_sys_thread_id(void)
{
    return 1;
}

/* The futex of a worker. */
long syscall(long number, ...)
{
    const struct timespec *timeout;
    const uint32_t *word;
    uint32_t value;
    va_list args;
    int op;

    model_check(number == SYS_futex);
    va_start(args, number);
    word = va_arg(args, const uint32_t *);
    op = va_arg(args, int);
    value = va_arg(args, uint32_t);
    timeout = va_arg(args, const struct timespec *);
    va_end(args);
    if (op == FUTEX_WAKE_PRIVATE)
        model_futex_wake(word);
    else if (may_tire && model_choose(2) && model_count(&tirings) < THREADS)
        host_pass(timeout->tv_sec * INT64_C(1000000000) + timeout->tv_nsec);
    else
        model_futex_wait(word, value);
    return 0;
}

static int job(void *arg)
{
    struct client *client = arg;

    model_check(client->argument == 1);
    model_check(model_count(&client->runs) <= job_count);
    client->result++;
    return 40 + (int)client->result;
}

/* The frame of the call is the task's again: who still touches it is found out. */
static __attribute__((noinline)) void scribble(void)
{
    volatile char frame[512];

    for (size_t i = 0; i < sizeof frame; i += 8)
        frame[i] = 1;
}

/* The last that leaves stops its loop, or its team. */
static void leave_loop(struct rdl_loop *loop)
{
    if (rdl_atomic_fetch_sub_acq_rel(&fibers_left[together ? 0 : loop->index], 1u) != 1)
        return;
    for (unsigned i = 0; i < LOOPS; i++)
        if (together || &loops[i] == loop)
            rdl_loop_stop(&loops[i]);
}

static void client_main(struct rdl_fiber *self)
{
    struct client *client = &clients[0];
    unsigned done = 0;
    uint32_t n;

    while (client->fiber != self)
        client++;
    rdl_scope_enter(self, &client->root, NULL, RADDLE_NEVER, 0);
    rdl_scope_enter(self, &client->outer, &client->root, RADDLE_NEVER, 0);
    if (client == &clients[0])
        (void)rdl_atomic_exchange_acq_rel(&entered, 1u);
    client->argument = 1;
    for (unsigned i = 0; i < job_count; i++) {
        int result = 0;
        int rc = raddle_run_in_executor(executor, job, client, &result);

        scribble();
        if (rc == 0) {
            model_check(result == 40 + (int)++done);
        } else {
            model_check(rc == -ECANCELED || (rc == -EAGAIN && may_fail));
            model_check(result == 0 && (rc != -ECANCELED || client == &clients[0]));
        }
        model_check(client->result == done && client->runs == done);
    }
    if (client == &clients[0])
        while ((n = rdl_atomic_fetch_add_acq_rel(&cancellers, 0u)) != 0)
            model_sleep_while(&cancellers, n);
    rdl_scope_leave(self, &client->outer);
    leave_loop(rdl_loop_current());
}

static void run_loop(void *arg)
{
    model_check(rdl_loop_run(arg) == 0);
    (void)rdl_atomic_fetch_add_acq_rel(&loops_done, 1u);
}

/* Ends the executor when nobody has work for it any more, and the threads that it never wanted. */
static void run_last_loop(void *arg)
{
    uint32_t n;

    run_loop(arg);
    while ((n = rdl_atomic_fetch_add_acq_rel(&loops_done, 0u)) != LOOPS)
        model_sleep_while(&loops_done, n);
    raddle_executor_destroy(executor);
    rdl_lock_acquire(&thread_lock);
    while (thread_count < THREADS)
        (void)rdl_atomic_exchange_acq_rel(&threads[thread_count++].state, (uint32_t)ENDED);
    rdl_lock_release(&thread_lock);
}

static void cancel(void *arg)
{
    (void)arg;
    model_sleep_while(&entered, 0);
    (void)rdl_atomic_fetch_add_acq_rel(&entered, 0u);
    rdl_scope_mark(&clients[0].outer, RDL_SCOPE_CANCELLED, "a stranger");
    rdl_fiber_poke(clients[0].fiber, clients[0].outer.depth);
    (void)rdl_atomic_fetch_sub_acq_rel(&cancellers, 1u);
}

/* One thread and room for one: of three tasks the third has to stand in line. */
static void begin_on(bool a_team, unsigned tasks, unsigned jobs, unsigned max_threads)
{
    static const char *const names[THREADS] = {"thread 1", "thread 2", "thread 3", "thread 4"};
    static const unsigned numbers[THREADS] = {0, 1, 2, 3};
    struct raddle_executor_options options = {
        .max_threads = max_threads, .queue_limit = 1, .when_full = RADDLE_FULL_WAIT};

    host_begin();
    together = a_team;
    may_tire = may_fail = false;
    tirings = 0;
    job_count = jobs;
    rdl_atomic_init(&entered, 0u);
    rdl_atomic_init(&cancellers, 0u);
    rdl_atomic_init(&loops_done, 0u);
    rdl_atomic_init(&thread_lock.held, 0u);
    thread_count = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        rdl_atomic_init(&threads[i].state, (uint32_t)AWAITED);
        model_spawn(names[i], run_thread, (void *)(uintptr_t)&numbers[i]);
    }
    model_check(raddle_executor_create(&options, &executor) == 0);
    rdl_team_init(&team, loop_list, sleepers, LOOPS);
    for (unsigned i = 0; i < LOOPS; i++) {
        rdl_atomic_init(&fibers_left[i], 0u);
        loop_list[i] = &loops[i];
        sleepers[i] = &loops[i].sleeper;
        rdl_loop_init(&loops[i], host_driver(i), together ? &team : NULL, i);
    }
    for (unsigned i = 0; i < tasks; i++) {
        struct rdl_loop *home = &loops[i % LOOPS];

        clients[i] = (struct client){.fiber = NULL};
        model_check(rdl_fiber_create(NULL, sizeof(struct rdl_fiber), sizeof(struct rdl_fiber), 0,
                                     client_main, &clients[i].fiber) == 0);
        clients[i].fiber->mobility = together ? RADDLE_MIGRATABLE : RADDLE_PINNED;
        clients[i].fiber->home = home;
        rdl_atomic_fetch_add_relaxed(&fibers_left[together ? 0 : i % LOOPS], 1u);
        model_check(rdl_loop_post(home, &clients[i].fiber->run));
    }
    model_spawn("loop 0", run_loop, &loops[0]);
    model_spawn("loop 1", run_last_loop, &loops[1]);
}

static void end(void)
{
    host_end();
}

static void begin(unsigned tasks, unsigned jobs, unsigned max_threads)
{
    begin_on(false, tasks, jobs, max_threads);
}

static void begin_line(void)
{
    begin(3, 1, 1);
}

static void begin_again(void)
{
    begin(2, 2, 1);
}

static void begin_threads(void)
{
    begin(3, 1, 2);
}

static void begin_cancel(void)
{
    begin(3, 1, 1);
    (void)rdl_atomic_fetch_add_acq_rel(&cancellers, 1u);
    model_spawn("canceller", cancel, NULL);
}

static void begin_tired(void)
{
    begin(2, 2, 1);
    may_tire = true;
}

static void begin_failing(void)
{
    begin(3, 1, 2);
    may_fail = true;
}

static void begin_team(void)
{
    begin_on(true, 2, 2, 2);
}

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "executor";
const struct model_case model_cases[] = {
    {"line", begin_line, end},       {"again", begin_again, end},
    {"threads", begin_threads, end}, {"cancel", begin_cancel, end},
    {"tired", begin_tired, end},     {"failing", begin_failing, end},
    {"team", begin_team, end},       {0},
};
