/*
 * sched/spin.h - whether a thread that waits for another one spins for a while before it sleeps.
 *
 * To sleep and be woken takes two system calls and, when the CPU was halted, its wake: of the thread's own CPU time
 * nearly as much as it takes of the clock. Who spins for about as long wastes at most as much again, and often nothing.
 * It is for two threads that hand something to and fro: a loop and a thread of an executor, two loops whose tasks
 * answer each other, a loop and a thread of the program's own. Both have to: where one sleeps, its wake is what the
 * other one spins through.
 *
 * A credit says how it has gone. One is added when something came in less time than a wake takes, and one taken off when
 * it didn't. When there is none, sleeps that the other one soon ended, in a row, give one back; each time that the last
 * is gone it takes twice as many of them. So where things come just too late, and where both threads share a CPU,
 * spins become rare.
 *
 * Measured on two CPUs that halt: an empty job, there and back, 43 us and 31 of CPU if both sleep, 0.6 and 1.2 of CPU
 * if both spin; a message to another loop 21 us, or 0.26.
 */
#ifndef RDL_SCHED_SPIN_H
#define RDL_SCHED_SPIN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RDL_SPIN_NS = 30 * 1000, /* the other one may have to be woken first, which takes 20 */
    RDL_SPIN_CREDIT = 4,     /* at most, and in the beginning */
};

struct rdl_spin {
    int64_t ns; /* 0: never */
    unsigned credit;
    unsigned short_sleeps; /* in a row of those that the other one ended */
    unsigned wanted;       /* of those, for a credit */
};

/* For at most ns at a time, and never where the calling thread (which need not be the one that is going to spin) and
 * the process's first may run on one CPU only: then the other one is likely to need it. */
void rdl_spin_init(struct rdl_spin *spin, int64_t ns);

static inline bool rdl_spin_pays(const struct rdl_spin *spin)
{
    return spin->ns && spin->credit;
}

/* After a look in vain. */
static inline bool rdl_spin_goes_on(const struct rdl_spin *spin, int64_t spun_ns)
{
#ifdef RDL_MODEL
    return (void)spin, (void)spun_ns, false; /* one look: time doesn't pass there */
#else
    return spun_ns < spin->ns;
#endif
}

/* After a spin of spun_ns. came: by the other thread. */
void rdl_spin_ended(struct rdl_spin *spin, bool came, int64_t spun_ns);

/* After a sleep at whose end something had come from the other thread. */
void rdl_spin_slept(struct rdl_spin *spin, int64_t slept_ns);

#endif
