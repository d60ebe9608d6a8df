/*
 * sched/timer.h - the timers of one loop: a hierarchical wheel of intrusive nodes.
 *
 * Everything here is called by the thread that owns the wheel. Arming and disarming take constant
 * time whatever the number of timers. A timer never fires early; those that are due fire in the
 * order of their deadlines, and among equal deadlines in the order in which they were armed.
 *
 * Deadlines are nanoseconds of one clock that doesn't go back, chosen by the caller. A negative one
 * counts as 0, and INT64_MAX means "never": a timer must not be armed with it.
 */
#ifndef RDL_SCHED_TIMER_H
#define RDL_SCHED_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RDL_TIMER_LEVELS = 8,
    RDL_TIMER_SLOTS = 64, /* per level: one word of occupancy bits */
    RDL_TIMER_CHAINS = 8, /* lists per slot, which fill a cache line */
};

struct rdl_loop;

/* Lives in the caller's memory, where it must stay while it is armed. */
struct rdl_timer {
    struct rdl_timer *next;
    struct rdl_timer **link; /* what points to this node; NULL while it is not armed */
    int64_t deadline_ns;     /* stays readable after the timer has fired or was disarmed */
    uint64_t sequence;
    /* Of a loop's timers: whom the loop tells. NULL: the fiber in which the timer lies. */
    void (*fired)(struct rdl_timer *timer, struct rdl_loop *loop);
};

struct rdl_timers {
    uint64_t position; /* the tick that the wheel has come to */
    uint64_t sequence; /* of the next timer armed */
    size_t count;
    int64_t next_ns;                     /* no timer is due before this; see timer.c */
    int64_t expiring_ns;                 /* the now of the rdl_timers_expire() we are in, else -1 */
    struct rdl_timer *due;               /* sorted: taken out of its slot, about to fire */
    struct rdl_timer *late;              /* armed by a fire function, and already due */
    uint64_t levels;                     /* bit per level that has an occupied slot */
    uint64_t occupied[RDL_TIMER_LEVELS]; /* bit per slot that has a timer */
    struct rdl_timer *slots[RDL_TIMER_LEVELS][RDL_TIMER_SLOTS][RDL_TIMER_CHAINS];
};

/* Called with each timer that is due, after it was disarmed: the timer is fire's to arm again or
 * free. */
typedef void rdl_timer_fire_fn(struct rdl_timer *timer, void *arg);

void rdl_timers_init(struct rdl_timers *timers, int64_t now_ns);

static inline void rdl_timer_init(struct rdl_timer *timer)
{
    *timer = (struct rdl_timer){.link = NULL};
}

static inline bool rdl_timer_armed(const struct rdl_timer *timer)
{
    return timer->link != NULL;
}

static inline size_t rdl_timers_count(const struct rdl_timers *timers)
{
    return timers->count;
}

/* A deadline that has passed fires at the next rdl_timers_expire(). A timer that is armed already
 * is disarmed first, and takes its new place behind its equals. */
void rdl_timer_arm(struct rdl_timers *timers, struct rdl_timer *timer, int64_t deadline_ns);

/* Does nothing to a timer that is not armed. */
void rdl_timer_disarm(struct rdl_timers *timers, struct rdl_timer *timer);

/*
 * When to call rdl_timers_expire() next: INT64_MAX if no timer is armed, else the earliest
 * deadline, exact, with one exception. If the first occupied slot is coarse and crowded, it is a
 * point before that deadline, at which the wheel takes the slot apart without firing. So a poll
 * that sleeps until then may wake for nothing, rarely, and never late.
 */
int64_t rdl_timers_next(struct rdl_timers *timers);

/*
 * Fires the timers whose deadline is at or before now_ns, at most max of them, and returns how
 * many. After max, the rest stays due and rdl_timers_next() says so.
 *
 * fire may arm and disarm any timer, also those about to fire in this call. What it arms that is
 * due already waits for the next call. It must not call rdl_timers_expire().
 */
unsigned rdl_timers_expire(struct rdl_timers *timers, int64_t now_ns, unsigned max,
                           rdl_timer_fire_fn *fire, void *arg);

#endif
