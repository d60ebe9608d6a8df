/*
 * raddle/bench_sync.c - what meets nobody: locks that are free, permits that are there, channels with room.
 *
 *     sync.mutex          lock and unlock
 *     sync.sem            take a permit and give it back
 *     sync.event          wait for an event that is set
 *     sync.channel        put a number and get it back
 *     sync.scope          enter a scope with a deadline from now, and leave it: a look at the clock, mostly
 *     sync.var            read a context variable that the task has set
 */
#include "tools/raddle/bench.h"

struct resting {
    uint64_t rounds;
    uint64_t done; /* what each round adds to */
    struct raddle_mutex mutex;
    struct raddle_sem sem;
    struct raddle_event event;
    raddle_chan *chan;
};

static int use_mutex(struct resting *resting)
{
    int rc = raddle_lock(&resting->mutex);

    resting->done++;
    return rc ? rc : raddle_unlock(&resting->mutex);
}

static int use_sem(struct resting *resting)
{
    int rc = raddle_sem_acquire(&resting->sem, 1);

    resting->done++;
    return rc ? rc : raddle_sem_release(&resting->sem, 1);
}

static int use_event(struct resting *resting)
{
    resting->done++;
    return raddle_event_wait(&resting->event);
}

static int use_channel(struct resting *resting)
{
    uint64_t got = 0, one = 1;
    int rc = raddle_put(resting->chan, &one);

    if (rc == 0)
        rc = raddle_get(resting->chan, &got);
    resting->done += got;
    return rc;
}

static int use_scope(struct resting *resting)
{
    struct raddle_scope scope;

    raddle_scope_enter(&scope, raddle_in(RADDLE_S(5)), 0);
    resting->done++;
    return raddle_scope_leave(&scope, 0);
}

static const uint64_t unset = 0, set = 1;
static struct raddle_var variable = RADDLE_VAR_INIT("bench", &unset, NULL);

static int use_var(struct resting *resting)
{
    resting->done += *(const uint64_t *)raddle_var_get(&variable);
    return 0;
}

/* The loop is expanded around each, so that a call through a pointer is not measured with it. */
#define REPEAT(name)                                                                               \
    static int repeat_##name(void *arg, struct rdl_series *series)                                 \
    {                                                                                              \
        struct resting *resting = arg;                                                             \
        struct rdl_stopwatch watch;                                                                \
        int rc = 0;                                                                                \
                                                                                                   \
        resting->done = 0;                                                                         \
        rdl_stopwatch_start(&watch);                                                               \
        for (uint64_t i = 0; rc == 0 && i < resting->rounds; i++)                                  \
            rc = use_##name(resting);                                                              \
        rdl_stopwatch_add(&watch, resting->rounds, series);                                        \
        if (rc == 0 && resting->done != resting->rounds)                                           \
            rc = rdl_bench_wrong("sync." #name, resting->done, resting->rounds);                   \
        return rc;                                                                                 \
    }

REPEAT(mutex)
REPEAT(sem)
REPEAT(event)
REPEAT(channel)
REPEAT(scope)
REPEAT(var)

static const struct {
    const char *name;
    rdl_sample_fn *repeat;
} rests[] = {
    {"sync.mutex", repeat_mutex},     {"sync.sem", repeat_sem},     {"sync.event", repeat_event},
    {"sync.channel", repeat_channel}, {"sync.scope", repeat_scope}, {"sync.var", repeat_var},
};

static int sync_main(void *arg)
{
    struct rdl_bench *bench = arg;
    struct resting resting = {.rounds = bench->quick ? 200 * 1000 : 5000 * 1000,
                              .mutex = RADDLE_MUTEX_INIT,
                              .sem = RADDLE_SEM_INIT(1, 1),
                              .event = RADDLE_EVENT_INIT};
    int rc = raddle_chan_create(sizeof(uint64_t), 1, NULL, &resting.chan);

    if (rc == 0)
        rc = raddle_var_set(&variable, &set, NULL);
    raddle_event_set(&resting.event);
    for (size_t i = 0; rc == 0 && i < sizeof rests / sizeof rests[0]; i++)
        rc = rdl_bench_repeat(bench, rests[i].name, "ns", rests[i].repeat, &resting);
    if (resting.chan)
        raddle_chan_unref(resting.chan);
    return rc;
}

int rdl_bench_sync(struct rdl_bench *bench)
{
    return rdl_bench_run(bench, 1, sync_main, bench);
}
