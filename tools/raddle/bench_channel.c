/*
 * raddle/bench_channel.c - how long it takes to hand a number from one task to another.
 *
 *     channel.pingpong       two tasks on one loop, two channels of one place: each waits for the other's
 *     channel.pingpong.2     the same on two loops: every message wakes a thread
 *     channel.pingpong.free  two loops, and migratable tasks, which the scheduler may bring together
 *     channel.stream         one sends, one receives, 64 places, one loop
 *     channel.stream.2       the same on two loops
 *
 * Values are wall time per message.
 */
#include "tools/raddle/bench.h"

enum { PLACES = 64 };

struct talk {
    struct rdl_bench *bench;
    const char *name;
    bool answers; /* ping-pong */
    bool apart;   /* on two loops */
    uint64_t count;
    raddle_chan *there, *back;
    uint64_t sum; /* of what the other one got */
};

/* The one that is spawned: takes count numbers, and sends each back if that is wanted. */
static int other_task(void *arg)
{
    struct talk *talk = arg;
    uint64_t number, sum = 0;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < talk->count; i++) {
        rc = raddle_get(talk->there, &number);
        sum += number;
        if (rc == 0 && talk->answers)
            rc = raddle_put(talk->back, &number);
    }
    talk->sum = sum;
    return rc;
}

static int say(struct talk *talk, uint64_t number)
{
    uint64_t answer = 0;
    int rc = raddle_put(talk->there, &number);

    if (rc < 0 || !talk->answers)
        return rc;
    rc = raddle_get(talk->back, &answer);
    if (rc == 0 && answer != number)
        rc = rdl_bench_wrong(talk->name, answer, number);
    return rc;
}

static int talk_once(void *arg, struct rdl_series *series)
{
    struct talk *talk = arg;
    uint64_t wanted = talk->count * (talk->count + 1) / 2;
    size_t places = talk->answers ? 1 : PLACES;
    struct rdl_bench_apart apart;
    struct rdl_stopwatch watch;
    struct raddle_group group;
    int rc = raddle_chan_create(sizeof(uint64_t), places, NULL, &talk->there);

    if (rc == 0)
        rc = raddle_chan_create(sizeof(uint64_t), places, NULL, &talk->back);
    if (rc < 0)
        return rc;
    rc = raddle_group_open(&group, NULL);
    if (rc == 0 && talk->apart)
        rc = rdl_bench_spawn_apart(&group, &apart, other_task, talk);
    else if (rc == 0)
        rc = raddle_spawn(&group, NULL, other_task, talk, NULL);
    rdl_stopwatch_start(&watch);
    for (uint64_t i = 1; rc == 0 && i <= talk->count; i++)
        rc = say(talk, i);
    rc = raddle_group_close(&group, rc);
    rdl_stopwatch_add(&watch, talk->answers ? 2 * talk->count : talk->count, series);
    raddle_chan_unref(talk->there);
    raddle_chan_unref(talk->back);
    if (rc == 0 && talk->sum != wanted)
        rc = rdl_bench_wrong(talk->name, talk->sum, wanted);
    return rc;
}

static int talk_main(void *arg)
{
    struct talk *talk = arg;

    return rdl_bench_repeat(talk->bench, talk->name, "ns", talk_once, talk);
}

static int talk_on(struct rdl_bench *bench, const char *name, unsigned loops, bool answers,
                   bool apart)
{
    uint64_t count = answers && apart ? 100 * 1000 : 2000 * 1000;
    struct talk talk = {.bench = bench,
                        .name = name,
                        .answers = answers,
                        .apart = apart,
                        .count = bench->quick ? count / 10 : count};
    struct rdl_bench free_to_move = *bench;

    if (loops > 1 && !apart)
        free_to_move.run.mobility = RADDLE_MIGRATABLE;
    return rdl_bench_run(&free_to_move, loops, talk_main, &talk);
}

int rdl_bench_channel(struct rdl_bench *bench)
{
    int status = 0;

    if (bench->run.loops <= 1) {
        status |= talk_on(bench, "channel.pingpong", 1, true, false);
        status |= talk_on(bench, "channel.stream", 1, false, false);
    }
    if (bench->run.loops != 1) {
        status |= talk_on(bench, "channel.pingpong.2", 2, true, true);
        status |= talk_on(bench, "channel.pingpong.free", 2, true, false);
        status |= talk_on(bench, "channel.stream.2", 2, false, true);
    }
    return status;
}
