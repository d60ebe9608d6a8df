/*
 * peers/peer.h - what the peers in C and C++ share.
 *
 *     PEER list               the works it has, one a line
 *     PEER WORK [DIVISOR]     does one, by the divisor less of it, and prints "WORK.wall VALUE ns" and
 *                             "WORK.cpu VALUE ns", per unit of work
 *     PEER echo [BYTES]       serves, after "listening on tcp:127.0.0.1:PORT"; with a buffer of so many bytes
 *                             for each connection (16 KiB), where each has one of its own
 *
 * A work is done twice, and the first time is not printed, but for one that is about cold memory.
 */
#ifndef RADDLE_PEERS_PEER_H
#define RADDLE_PEERS_PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct peer_work {
    const char *name;
    void (*run)(const char *name, long divisor);
    int kind; /* of enum peer_kind */
};

enum peer_kind { PEER_WARM, PEER_COLD, PEER_SERVER };

struct peer_watch {
    int64_t wall, cpu;
};

static int peer_silent;

static inline int64_t peer_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline struct peer_watch peer_start(void)
{
    struct peer_watch watch;

    watch.cpu = peer_clock(CLOCK_PROCESS_CPUTIME_ID);
    watch.wall = peer_clock(CLOCK_MONOTONIC);
    return watch;
}

static inline void peer_value(const char *name, const char *what, double value, const char *unit)
{
    if (!peer_silent)
        printf("%s.%s %.3f %s\n", name, what, value, unit);
    fflush(stdout);
}

static inline void peer_stop(const char *name, struct peer_watch watch, double operations)
{
    int64_t wall = peer_clock(CLOCK_MONOTONIC) - watch.wall;
    int64_t cpu = peer_clock(CLOCK_PROCESS_CPUTIME_ID) - watch.cpu;

    peer_value(name, "wall", (double)wall / operations, "ns");
    peer_value(name, "cpu", (double)cpu / operations, "ns");
}

/* The work was not done: no figure. */
static inline void peer_check(int done, const char *name)
{
    if (done)
        return;
    fprintf(stderr, "%s: the work was not done\n", name);
    exit(1);
}

/* The same numbers in each run and each peer. */
static inline uint64_t peer_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}
#define PEER_SEED UINT64_C(88172645463325252)

/* Binds the calling thread to the place-th of the CPUs that are allowed at the first call. */
static inline void peer_bind(int place)
{
    static cpu_set_t allowed;
    static int known;
    cpu_set_t chosen;

    if (!known)
        known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    CPU_ZERO(&chosen);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && place-- == 0)
            CPU_SET(cpu, &chosen);
    sched_setaffinity(0, sizeof chosen, &chosen);
}

static inline double peer_resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long size, resident = 0;

    if (file && fscanf(file, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static inline int peer_main(int argc, char **argv, const struct peer_work *works)
{
    const char *name = argc > 1 ? argv[1] : "list";
    long divisor = argc > 2 ? atol(argv[2]) : 1;

    for (const struct peer_work *work = works; work->name; work++) {
        if (strcmp(name, "list") == 0)
            puts(work->name);
        if (strcmp(name, work->name) != 0)
            continue;
        peer_silent = 1;
        if (work->kind == PEER_WARM)
            work->run(name, divisor);
        peer_silent = 0;
        work->run(name, divisor > 0 ? divisor : 1);
        return 0;
    }
    return strcmp(name, "list") == 0 ? 0 : 2;
}

#endif
