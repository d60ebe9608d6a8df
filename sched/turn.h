/*
 * sched/turn.h - tasks and plain threads that stand in one line, each told what came of it.
 *
 * Whoever waits has a struct rdl_turn in its frame, in a line under the lock of what it waits for:
 *
 *     who waits, with the lock                who serves, with the lock
 *     rdl_turn_join(&line, &turn, self)       call = rdl_turn_call(&line, result)
 *     releases it                             releases it
 *     rdl_turn_wait(&lock, &line, &turn...)   rdl_turn_tell(call)
 *
 * What else the server does for the one that waits, it does under the lock and before rdl_turn_call(): from
 * then on that one's frame may go away, and so may what it waited for, unless the server keeps it.
 *
 * A task that waits for several things at once has a turn in each of their lines, all with one choice: who
 * serves one has to make the choice first, so one is served and no other. The rest are stale: whoever meets
 * one in line takes it out. The choice needs no ordering of its own: it is made before the first turn joins, made use of
 * under the lock of a line, and looked at by the task when it has taken each of these locks to leave the lines.
 *
 * A task waits suspended, and its wait may end because of a cancellation; then whether it was served is
 * decided under the lock: who is out of the line was. A plain thread sleeps, at most until a deadline.
 */
#ifndef RDL_SCHED_TURN_H
#define RDL_SCHED_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/fiber.h"
#include "sched/line.h"
#include "sched/lock.h"

struct rdl_turn;

/* Of several turns of one task: the one that is served, once one is. */
struct rdl_choice {
    rdl_atomic(struct rdl_turn *) taken;
};

struct rdl_turn {
    struct rdl_place place;    /* first; a ticket without a wait is a plain thread's */
    int result;                /* what the server passed; under the lock until the waiter is told */
    rdl_atomic(uint32_t) told; /* of a plain thread */
    struct rdl_choice *choice; /* NULL: it is the only one */
};

/* What has to be done after the lock was released. */
struct rdl_turn_call {
    struct rdl_ticket ticket;
    rdl_atomic(uint32_t) * told;
};

/* Under the lock: this one is to be served. False: it is stale, another one of its choice was. */
static inline bool rdl_turn_claim(struct rdl_turn *turn)
{
    struct rdl_turn *none = NULL;

    return !turn->choice || rdl_atomic_cas_relaxed(&turn->choice->taken, &none, turn);
}

/* Under the lock: the first, which is then to be served by rdl_turn_call(), or NULL. */
static inline struct rdl_turn *rdl_turn_first(struct rdl_line *line)
{
    while (line->first) {
        struct rdl_turn *turn = (struct rdl_turn *)(void *)line->first;
        if (rdl_turn_claim(turn))
            return turn;
        (void)rdl_line_call(line);
    }
    return NULL;
}

/* self: the running fiber, or NULL in a plain thread. */
static inline void rdl_turn_join(struct rdl_line *line, struct rdl_turn *turn,
                                 struct rdl_fiber *self)
{
    rdl_atomic_init(&turn->told, 0u);
    turn->choice = NULL;
    turn->place.ticket =
        self ? rdl_fiber_arm(self, RDL_PARK_CANCELLABLE) : (struct rdl_ticket){.wait = NULL};
    rdl_line_join(line, &turn->place);
}

/* With a ticket of the fiber's wait, and a choice. */
static inline void rdl_turn_join_choice(struct rdl_line *line, struct rdl_turn *turn,
                                        struct rdl_ticket ticket, struct rdl_choice *choice)
{
    rdl_atomic_init(&turn->told, 0u);
    turn->choice = choice;
    turn->place.ticket = ticket;
    rdl_line_join(line, &turn->place);
}

/* The given one, which is in line and was claimed, is out of it with result. */
static inline struct rdl_turn_call rdl_turn_call_out(struct rdl_line *line, struct rdl_turn *turn,
                                                     int result)
{
    struct rdl_turn_call call = {turn->place.ticket, &turn->told};

    turn->result = result;
    if (line->first == &turn->place)
        (void)rdl_line_call(line);
    else
        rdl_line_leave(line, &turn->place);
    return call;
}

/* The first, which rdl_turn_first() has just returned. */
static inline struct rdl_turn_call rdl_turn_call(struct rdl_line *line, int result)
{
    return rdl_turn_call_out(line, (struct rdl_turn *)(void *)line->first, result);
}

void rdl_turn_tell_thread(rdl_atomic(uint32_t) * told);

/* Nobody's call does nothing. */
static inline void rdl_turn_tell(struct rdl_turn_call call)
{
    if (call.ticket.wait)
        (void)rdl_fiber_fire(call.ticket, 0);
    else if (call.told)
        rdl_turn_tell_thread(call.told);
}

/*
 * Without the lock, which is lock: waits until turn, which has joined line, was served.
 *
 * Returns 0 with turn->result set, or, with the waiter out of the line and never to be served, -ECANCELED
 * (a task's scope) or -ETIMEDOUT (a plain thread, at deadline_ns; INT64_MAX: never). what and object are for
 * dumps.
 */
int rdl_turn_wait(struct rdl_lock *lock, struct rdl_line *line, struct rdl_turn *turn,
                  struct rdl_fiber *self, int64_t deadline_ns, const char *what,
                  const void *object);

/* Tells all of line, in order, with one result. Takes the lock, which the caller doesn't hold; who holds
 * a reference to the object. Nobody may join the line any more. */
void rdl_turn_tell_all(struct rdl_lock *lock, struct rdl_line *line, int result);

#endif
