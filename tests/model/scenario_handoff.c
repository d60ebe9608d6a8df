/*
 * tests/model/scenario_handoff.c - jobs handed to the threads of a pool, which come, sleep, get tired and go:
 * every job ends exactly once, and none is left while somebody could run it.
 *
 * Plays the part of sched/pool.c. The mutex there, under which threads are created, is a lock here.
 */
#include "sched/handoff.h"

#include <errno.h>

#include <raddle/error.h>

#include "tests/model/model.h"

enum { WORKERS = 2, JOBS = 3 };

struct item {
    struct rdl_job job; /* first */
    unsigned payload;   /* plain: the worker must see it */
    unsigned ends;
    bool submitted; /* its submitter's */
};

static struct rdl_handoff handoff;
static struct rdl_lock threads;
static struct rdl_handoff_worker workers[WORKERS];
static rdl_atomic(uint32_t) created[WORKERS]; /* 1: is a thread; 2: there won't be one */
static bool used[WORKERS];                    /* under threads */
static rdl_atomic(uint32_t) submitters;       /* that have not finished */
static struct item items[JOBS];
static bool may_tire, may_fail;

/* As pool.c's. */
static int grow(bool first, struct rdl_handoff_duty *duty)
{
    int rc = 0;

    rdl_lock_acquire(&threads);
    if (rdl_handoff_begin_grow(&handoff, first)) {
        unsigned i = 0;

        while (i < WORKERS && used[i])
            i++;
        if (i < WORKERS && !(may_fail && model_choose(2))) {
            used[i] = true;
            rdl_handoff_grown(&handoff, first, &workers[i]);
            (void)rdl_atomic_exchange_acq_rel(&created[i], 1u);
        } else {
            rc = -EAGAIN;
            rdl_handoff_not_grown(&handoff, first, duty);
        }
    }
    rdl_lock_release(&threads);
    return rc;
}

static void perform(struct rdl_handoff_duty *duty)
{
    if (duty->grow)
        (void)grow(false, duty);
    if (duty->wake)
        model_futex_wake(duty->wake);
}

static int submit(struct item *item)
{
    struct rdl_handoff_duty duty;
    int rc;

    while ((rc = rdl_handoff_submit(&handoff, &item->job, &duty)) == -ESRCH) {
        rc = grow(true, &duty);
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        perform(&duty);
    return rc;
}

static void run(struct rdl_job *job)
{
    struct item *item = (struct item *)job;

    model_check(item->payload == (unsigned)(item - items) + 1);
    item->payload = 0;
    model_check(model_count(&item->ends) == 1);
}

/* False: the worker is tired. */
static bool wait_for_signal(struct rdl_handoff_worker *worker)
{
    if (!rdl_handoff_sleep(worker))
        return true;
    if (may_tire && model_choose(2))
        return rdl_handoff_signalled(worker);
    while (!rdl_handoff_signalled(worker))
        model_futex_wait(&worker->signal, RDL_HANDOFF_ASLEEP);
    return true;
}

static void work(void *arg)
{
    struct rdl_handoff_worker *worker = arg;
    size_t i = (size_t)(worker - workers);
    struct rdl_handoff_duty duty;
    struct rdl_job *job;

    model_sleep_while(&created[i], 0);
    if (rdl_atomic_exchange_acq_rel(&created[i], 0u) == 2)
        return;
    rdl_lock_acquire(&threads);
    rdl_lock_release(&threads);
    for (;;) {
        switch (rdl_handoff_take(&handoff, worker, &job, &duty)) {
        case RDL_HANDOFF_RUN:
            perform(&duty);
            run(job);
            break;
        case RDL_HANDOFF_WAIT:
            if (wait_for_signal(worker))
                break;
            rdl_lock_acquire(&threads);
            if (rdl_handoff_leave(&handoff, worker)) {
                rdl_lock_release(&threads);
                return;
            }
            rdl_lock_release(&threads);
            break;
        case RDL_HANDOFF_LEAVE:
            return;
        }
    }
}

/* Submits some, and takes one of them back if it still can. */
static void submit_some(struct item *first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        first[i].payload = (unsigned)(&first[i] - items) + 1;
        first[i].submitted = submit(&first[i]) == 0;
    }
    if (first->submitted && rdl_handoff_cancel(&handoff, &first->job)) {
        first->payload = 0;
        model_check(model_count(&first->ends) == 1);
    }
}

/* The last one closes, and tells those who never became threads. */
static void leave(void)
{
    struct rdl_handoff_duty duty;

    if (rdl_atomic_fetch_sub_acq_rel(&submitters, 1u) != 1)
        return;
    while (rdl_handoff_close(&handoff, &duty))
        perform(&duty);
    rdl_lock_acquire(&threads);
    for (unsigned i = 0; i < WORKERS; i++)
        if (!used[i]) {
            used[i] = true;
            (void)rdl_atomic_exchange_acq_rel(&created[i], 2u);
        }
    rdl_lock_release(&threads);
}

static void submit_two(void *arg)
{
    (void)arg;
    submit_some(&items[0], 2);
    leave();
}

static void submit_one(void *arg)
{
    (void)arg;
    submit_some(&items[2], 1);
    leave();
}

static void begin(void)
{
    static const char *const names[WORKERS] = {"worker 0", "worker 1"};

    rdl_handoff_init(&handoff, WORKERS, JOBS);
    rdl_atomic_init(&handoff.lock.held, 0u);
    rdl_atomic_init(&threads.held, 0u);
    rdl_atomic_init(&submitters, 2u);
    may_tire = may_fail = false;
    for (unsigned i = 0; i < JOBS; i++)
        items[i] = (struct item){0};
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct rdl_handoff_worker){.next = NULL};
        rdl_atomic_init(&workers[i].signal, 0u);
        rdl_atomic_init(&created[i], 0u);
        used[i] = false;
        model_spawn(names[i], work, &workers[i]);
    }
    model_spawn("submitter 0", submit_two, NULL);
    model_spawn("submitter 1", submit_one, NULL);
}

static void end(void)
{
    struct rdl_handoff_stats stats;

    for (unsigned i = 0; i < JOBS; i++)
        model_check(items[i].ends == items[i].submitted);
    rdl_handoff_get_stats(&handoff, &stats);
    model_check(stats.threads == 0 && stats.idle == 0 && stats.queued == 0 && stats.running == 0);
}

static void begin_tired(void)
{
    begin();
    may_tire = true;
}

static void begin_failing(void)
{
    begin();
    may_tire = may_fail = true;
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "handoff";
const struct model_case model_cases[] = {
    {"submit", begin, end},
    {"tired", begin_tired, end},
    {"failing", begin_failing, end},
    {0},
};
