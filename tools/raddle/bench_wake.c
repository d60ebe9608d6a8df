/*
 * raddle/bench_wake.c - how long it takes to wake somebody who waits for an event, and to fall asleep.
 *
 *     wake.same         two tasks on one loop
 *     wake.thread       a plain thread and a task, each on a CPU of its own
 *     wake.loops        two tasks on two loops, each on a CPU of its own
 *     wake.asleep       the same two, one of which waits for so long before it calls the other that both loops
 *                       sleep: from the call until the other one runs. Their CPUs are halted by then, so that it
 *                       takes longer than where two take turns and sleep for a moment each time
 *
 * But for the last, two take turns, so that whoever is woken has nothing else to do: its loop spins (sched/spin.h), and
 * where that is in vain it sleeps. Per wake: the CPU time is that of both sides.
 */
#include "tools/raddle/bench.h"

#include <errno.h>
#include <pthread.h>

#include "tools/raddle/cli.h"

enum where { SAME, THREAD, LOOPS, ASLEEP };

/* Longer than any loop spins, or a guest's CPU polls before it halts. */
#define NAP RADDLE_US(200)

struct waking {
    struct rdl_bench *bench;
    const char *name;
    enum where where;
    uint64_t rounds;
    struct raddle_event there, back;
    uint64_t heard;             /* by the other one */
    raddle_time called, waited; /* of those that sleep: when, and for how long in all */
    rdl_atomic(bool) over;      /* a thread can't be cancelled: it looks at this */
};

/* Its turn comes with one event, and ends with the other. */
static int take_turn(struct raddle_event *mine, struct raddle_event *other)
{
    int rc = raddle_event_wait(mine);

    raddle_event_clear(mine);
    raddle_event_set(other);
    return rc;
}

static int other_side(void *arg)
{
    struct waking *waking = arg;
    int rc = 0;

    if (waking->where != SAME)
        rdl_bench_bind(1, false);
    for (uint64_t i = 0; rc == 0 && i < waking->rounds; i++) {
        rc = take_turn(&waking->there, &waking->back);
        if (rc == 0 && rdl_atomic_load_acquire(&waking->over))
            rc = -ECANCELED;
        waking->heard += rc == 0;
    }
    return rc;
}

static int is_called(void *arg)
{
    struct waking *waking = arg;
    int rc = 0;

    rdl_bench_bind(1, false);
    for (uint64_t i = 0; rc == 0 && i < waking->rounds; i++) {
        rc = raddle_event_wait(&waking->there);
        waking->waited += raddle_now() - waking->called;
        raddle_event_clear(&waking->there);
        raddle_event_set(&waking->back);
        waking->heard += rc == 0;
    }
    return rc;
}

static int calls(struct waking *waking)
{
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < waking->rounds; i++) {
        rc = raddle_sleep(NAP);
        waking->called = raddle_now();
        raddle_event_set(&waking->there);
        if (rc == 0)
            rc = raddle_event_wait(&waking->back);
        raddle_event_clear(&waking->back);
    }
    return rc;
}

static int wake_asleep(void *arg, struct rdl_series *series)
{
    static const struct raddle_event unset = RADDLE_EVENT_INIT;
    struct waking *waking = arg;
    struct rdl_bench_apart apart;
    struct raddle_group group;
    int rc;

    waking->there = waking->back = unset;
    waking->heard = 0;
    waking->waited = 0;
    rc = raddle_group_open(&group, NULL);
    if (rc == 0)
        rc = rdl_bench_spawn_apart(&group, &apart, is_called, waking);
    if (rc == 0)
        rc = calls(waking);
    rc = raddle_group_close(&group, rc);
    if (rc == 0 && waking->heard != waking->rounds)
        rc = rdl_bench_wrong(waking->name, waking->heard, waking->rounds);
    if (rc == 0)
        rdl_series_add(series, (double)waking->waited / (double)waking->rounds, -1);
    return rc;
}

static void *other_thread(void *arg)
{
    (void)other_side(arg);
    return NULL;
}

static int this_side(struct waking *waking)
{
    int rc = 0;

    raddle_event_set(&waking->there);
    for (uint64_t i = 1; rc == 0 && i < waking->rounds; i++)
        rc = take_turn(&waking->back, &waking->there);
    if (rc == 0)
        rc = raddle_event_wait(&waking->back);
    return rc;
}

static int wake_once(void *arg, struct rdl_series *series)
{
    static const struct raddle_event unset = RADDLE_EVENT_INIT;
    struct waking *waking = arg;
    struct rdl_bench_apart apart;
    struct rdl_stopwatch watch;
    struct raddle_group group;
    pthread_t thread;
    bool started = false;
    int rc;

    waking->there = waking->back = unset;
    waking->heard = 0;
    rdl_atomic_store_relaxed(&waking->over, false);
    rc = raddle_group_open(&group, NULL);
    if (rc == 0 && waking->where == SAME)
        rc = raddle_spawn(&group, NULL, other_side, waking, NULL);
    else if (rc == 0 && waking->where == LOOPS)
        rc = rdl_bench_spawn_apart(&group, &apart, other_side, waking);
    else if (rc == 0) {
        rc = -pthread_create(&thread, NULL, other_thread, waking);
        started = rc == 0;
    }
    rdl_stopwatch_start(&watch);
    if (rc == 0)
        rc = this_side(waking);
    rc = raddle_group_close(&group, rc);
    if (rc < 0) {
        rdl_atomic_store_release(&waking->over, true);
        raddle_event_set(&waking->there);
    }
    /* It has set the last event, and is about to end. */
    if (started)
        (void)pthread_join(thread, NULL);
    rdl_stopwatch_add(&watch, 2 * waking->rounds, series);
    if (rc == 0 && waking->heard != waking->rounds)
        rc = rdl_bench_wrong(waking->name, waking->heard, waking->rounds);
    return rc;
}

static int wake_main(void *arg)
{
    struct waking *waking = arg;

    if (waking->where != SAME)
        rdl_bench_bind(0, false);
    return rdl_bench_repeat(waking->bench, waking->name, "ns",
                            waking->where == ASLEEP ? wake_asleep : wake_once, waking);
}

static int wake_on(struct rdl_bench *bench, const char *name, enum where where)
{
    uint64_t rounds = where == SAME ? 1000 * 1000 : where == ASLEEP ? 2000 : 20 * 1000;
    struct waking waking = {.bench = bench,
                            .name = name,
                            .where = where,
                            .rounds = bench->quick ? rounds / 10 : rounds};
    int status = rdl_bench_run(bench, where >= LOOPS ? 2 : 1, wake_main, &waking);

    /* The threads of the next run are made by this one, and begin where it is bound to. */
    rdl_bench_bind(0, true);
    return status;
}

int rdl_bench_wake(struct rdl_bench *bench)
{
    int status = 0;

    if (bench->run.loops <= 1) {
        status |= wake_on(bench, "wake.same", SAME);
        status |= wake_on(bench, "wake.thread", THREAD);
    }
    if (bench->run.loops != 1) {
        status |= wake_on(bench, "wake.loops", LOOPS);
        status |= wake_on(bench, "wake.asleep", ASLEEP);
    }
    return status;
}
