/*
 * io/sim.h - what the parts of the simulation share: the world, its time, its chance, its loops.
 *
 * A world is what the loops of one run see instead of the machine: a clock that jumps, a network, and threads
 * that take turns on a single one. Everything in it happens in an order drawn from one seed, so that a run
 * happens again when its seed is given again. It belongs to the thread that runs its loops; what another
 * thread may touch says so.
 */
#ifndef RDL_IO_SIM_H
#define RDL_IO_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/driver.h"
#include "io/op.h"
#include "io/sim_options.h"
#include "sched/coroutine.h"

struct rdl_sim_quiesce;
struct rdl_stack;

/* Where the clock of every world begins: a replay must not depend on when it is. */
#define RDL_SIM_BEGIN ((int64_t)1 << 40)

/* A point in time that isn't one. */
#define RDL_SIM_NEVER INT64_MAX

enum rdl_sim_life {
    RDL_SIM_RUNS,  /* or is not part of the game: alone, not started, between two runs */
    RDL_SIM_FRESH, /* its thread has been made and has not run */
    RDL_SIM_POLLS, /* waits in its driver */
    RDL_SIM_JOINS, /* waits for the end of another one's thread */
    RDL_SIM_ENDED,
};

/* One loop's driver, and the thread that it believes to have. */
struct rdl_sim {
    struct rdl_io_driver head;
    struct rdl_sim_world *world;
    struct rdl_sim *next;    /* in the world */
    struct rdl_op_list news; /* operations that may go on now */
    rdl_atomic(bool) woken;  /* any thread */
    enum rdl_sim_life life;
    int64_t until_ns;             /* POLLS: when the wait is over */
    const struct rdl_sim *joined; /* JOINS: whose end it waits for */
    struct rdl_coroutine co;
    struct rdl_stack *stack; /* NULL: the real thread's */
    void (*fn)(void *arg);
    void *arg;
};

struct rdl_sim_world {
    struct rdl_sim_options options;
    uint64_t random;
    uint64_t trace; /* of what has happened so far: equal for equal histories */
    int64_t now_ns;
    struct rdl_chore *first, *last; /* by time, those of one moment in an order of chance */
    struct rdl_sim *loops;
    unsigned users; /* drivers and sockets */
    struct rdl_sim_socket *sockets;
    unsigned port;                   /* of the last client */
    bool cut;                        /* the network is */
    struct rdl_sim_quiesce *quiesce; /* who waits until all others wait, the first one first */
    rdl_atomic(uint32_t) bell;       /* any thread: counts what a real wait must not sleep over */
};

static inline struct rdl_sim *rdl_sim_of(struct rdl_driver *driver)
{
    return (struct rdl_sim *)(void *)driver;
}

/* sim_world.c */

int rdl_sim_world_create(const struct rdl_sim_options *options, struct rdl_sim_world **out);
void rdl_sim_world_ref(struct rdl_sim_world *world);
void rdl_sim_world_unref(struct rdl_sim_world *world);

/* A number below bound, which is not 0. */
uint64_t rdl_sim_below(struct rdl_sim_world *world, uint64_t bound);
/* Whether something happens that does so in percent of all cases. */
bool rdl_sim_chance(struct rdl_sim_world *world, unsigned percent);
/* A length of time from low to high, short ones as likely as long ones. */
int64_t rdl_sim_length(struct rdl_sim_world *world, int64_t low_ns, int64_t high_ns);

/* Something has happened that a replay must repeat. */
void rdl_sim_note(struct rdl_sim_world *world, uint64_t what);

/* The chore is called at that time; forgetting one that isn't pending does nothing. */
void rdl_sim_at(struct rdl_sim_world *world, struct rdl_chore *chore, int64_t at_ns);
void rdl_sim_forget(struct rdl_sim_world *world, struct rdl_chore *chore);
/* Calls what is due. Returns how many chores that was. */
unsigned rdl_sim_work(struct rdl_sim_world *world);

/* Lets real time pass until the bell rings (seen is how it was before the caller looked for something to do)
 * or virtual time, which goes along with it, reaches until_ns. */
void rdl_sim_wait_really(struct rdl_sim_world *world, uint32_t seen, int64_t until_ns);
/* Whether somebody holds the time. */
bool rdl_sim_is_held(void);
/* Any thread. */
void rdl_sim_ring(struct rdl_sim_world *world);

/* sim.c */

/* A driver in a world of its own. */
int rdl_sim_create(const struct rdl_sim_options *options, struct rdl_driver **out);

bool rdl_sim_is(const struct rdl_driver *driver);

/* The world of the loop that runs on the calling thread, or NULL. */
struct rdl_sim_world *rdl_sim_here(void);

/* The name under which this driver's world can be had again. */
void rdl_sim_name(const struct rdl_driver *driver, char *out, size_t size);

/* Both simulated, and neither started: driver leaves its world for that of other. */
void rdl_sim_join_world(struct rdl_driver *driver, struct rdl_driver *other);

/*
 * Lets fn(arg) run as in a thread of its own, whose loop is the driver's: it takes turns with the calling thread,
 * the loop of which is that of driver first. They change when one of them polls, or ends. 0 or -ENOMEM. Each is
 * waited for with rdl_sim_thread_join().
 */
int rdl_sim_thread_create(struct rdl_driver *first, struct rdl_driver *driver,
                          void (*fn)(void *arg), void *arg);
void rdl_sim_thread_join(struct rdl_driver *first, struct rdl_driver *driver);

/* Who tells the world, literally, that a world has come to a standstill: nothing can happen in it any more, and
 * somebody waits. name is that of the world. Does not return. */
void rdl_sim_on_standstill(void (*fn)(const char *name));

/* sim_quiesce.c */

/* No loop can go on, and what is due has been done: wakes those who wait for that, unless there are jobs that have
 * yet to end. Returns how many it were. */
unsigned rdl_sim_quiesced(struct rdl_sim_world *world);

/* sim_net.c */

/* One attempt at an operation on the descriptor: a result, or RDL_OP_WAIT. */
ssize_t rdl_sim_attempt(struct rdl_sim_world *world, struct rdl_op *op);

/* sim_socket.c */

/* op, which has to wait, in the line of its descriptor; and out of it, or of its driver's news. */
void rdl_sim_queue(struct rdl_op *op);
void rdl_sim_unqueue(struct rdl_sim *sim, struct rdl_op *op);

#endif
