/*
 * sched/timer.c - the hierarchical wheel.
 *
 * Nearly every timer is a timeout that is disarmed before it is due, so arming and disarming must
 * cost next to nothing; yet a deadline is exact to the nanosecond and order matters among those
 * that expire. So the wheel sorts late: timers lie in slots in no order, coarser slots the further
 * away they are, and only what is about to fire is sorted.
 *
 * Time is cut into ticks of 2^15 ns (33 us). Level 0 has a slot per tick, each level above is 64
 * times coarser: 33 us, 2.1 ms, 134 ms, 8.6 s, 9.2 min, ... 8 levels are the 48 bits of a tick, so
 * there is no overflow list. A timer goes to the level of the highest group of 6 bits in which its
 * tick differs from the wheel's position, into the slot that this group names. Hence
 *
 *     - within a level, slots are ordered: the occupied ones are all ahead of the position;
 *     - any timer on a level is due before any timer on the levels above it;
 *     - the slots that contain the position are empty, on every level but 0.
 *
 * so that the lowest set bit of the lowest occupied level is the first slot, two instructions away.
 * When the position enters a slot above level 0, its timers are placed again, further down.
 *
 * A timer is in the control block of a task, on a page of its own: with many, taking a slot apart is a cache miss and
 * a walk through the page tables for each. So a slot has several lists, which are followed side by side, and the
 * misses overlap. Which one a timer is in follows from its sequence.
 *
 * On level 0 the slot of the position also holds what was armed for the past. rdl_timers_expire()
 * takes those that are due out of their slot, sorts them by deadline and sequence, and queues them
 * in due, one tick at a time: what doesn't fit into max stays there, and is never more than a
 * tick's worth.
 *
 * A node's link is the address of the pointer to it: the head of a list of a slot, of due, of late, or the
 * next of another node. That is all that disarming needs: if link lies in slots, it also names the
 * slot whose bit may have to be cleared.
 *
 * The earliest deadline. next_ns is a lower bound for all deadlines, or UNKNOWN when that has to be
 * looked up again. Arming lowers it; disarming the timer that it came from makes it UNKNOWN. Then
 * rdl_timers_next() looks through the first slot, but if that is not on level 0 only at SCAN_MAX
 * timers: a server whose thousands of connections each renew a timeout of a minute would otherwise
 * read them all before each poll, as they share a slot. It settles for the slot's beginning.
 *
 * Tried: looking through the whole slot. With 10,000 timeouts of a minute, the first of which is
 * renewed before each poll, that is 20 us per poll instead of 9 ns.
 */
#include "sched/timer.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

enum {
    TICK_BITS = 15,
    LEVEL_BITS = 6,
    SCAN_MAX =
        32 /
        RDL_TIMER_CHAINS, /* timers of a coarse slot's list that are looked at for the earliest */
    RUNS_MAX = 64,        /* sorted runs kept by sort(): as many as a count has bits */
};

#define UNKNOWN ((int64_t)-1)

static_assert(RDL_TIMER_SLOTS == 1 << LEVEL_BITS, "a level is one group of bits");
static_assert(TICK_BITS + LEVEL_BITS * RDL_TIMER_LEVELS == 63, "the levels cover every deadline");
static_assert(sizeof(struct rdl_timer) <= 40, "lives in the control block of every task");
static_assert(sizeof(struct rdl_timers) <= 33 * 1024, "lives in a loop");
static_assert(sizeof(((struct rdl_timers *)0)->slots[0][0]) == 64 &&
                  offsetof(struct rdl_timers, slots) % 64 == 0,
              "a slot is a cache line of a wheel that begins with one");

static uint64_t tick_of(int64_t ns)
{
    return ns < 0 ? 0 : (uint64_t)ns >> TICK_BITS;
}

static void insert(struct rdl_timer **head, struct rdl_timer *timer)
{
    struct rdl_timer *next = *head;

    timer->next = next;
    timer->link = head;
    if (next)
        next->link = &timer->next;
    *head = timer;
}

static void unlink_node(struct rdl_timer *timer)
{
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->link = NULL;
}

static inline bool is_empty(struct rdl_timer *const slot[RDL_TIMER_CHAINS])
{
    uintptr_t any = 0;

    for (unsigned chain = 0; chain < RDL_TIMER_CHAINS; chain++)
        any |= (uintptr_t)slot[chain];
    return !any;
}

static void clear_occupied(struct rdl_timers *timers, unsigned level, unsigned slot)
{
    timers->occupied[level] &= ~(UINT64_C(1) << slot);
    if (!timers->occupied[level])
        timers->levels &= ~(UINT64_C(1) << level);
}

/* Puts a timer into the slot where it belongs as seen from the position. */
static void place(struct rdl_timers *timers, struct rdl_timer *timer)
{
    uint64_t tick = tick_of(timer->deadline_ns);
    uint64_t differs;
    unsigned level;
    unsigned slot;

    if (tick < timers->position)
        tick = timers->position;
    differs = tick ^ timers->position;
    level = (63u - (unsigned)__builtin_clzll(differs | 1)) / LEVEL_BITS;
    slot = (unsigned)(tick >> (level * LEVEL_BITS)) % RDL_TIMER_SLOTS;
    insert(&timers->slots[level][slot][timer->sequence % RDL_TIMER_CHAINS], timer);
    timers->occupied[level] |= UINT64_C(1) << slot;
    timers->levels |= UINT64_C(1) << level;
}

/* Finds the first occupied slot, and the tick at which it begins. */
static bool first_slot(const struct rdl_timers *timers, unsigned *level, unsigned *slot,
                       uint64_t *begin)
{
    unsigned shift;

    if (!timers->levels)
        return false;
    *level = (unsigned)__builtin_ctzll(timers->levels);
    *slot = (unsigned)__builtin_ctzll(timers->occupied[*level]);
    shift = *level * LEVEL_BITS;
    *begin = (((timers->position >> shift) & ~(uint64_t)(RDL_TIMER_SLOTS - 1)) | *slot) << shift;
    return true;
}

static bool before(const struct rdl_timer *a, const struct rdl_timer *b)
{
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->sequence < b->sequence;
}

/* Merges two sorted lists that are linked by next alone. */
static struct rdl_timer *merge(struct rdl_timer *a, struct rdl_timer *b)
{
    struct rdl_timer *first;
    struct rdl_timer **end = &first;

    while (a && b) {
        struct rdl_timer **lesser = before(a, b) ? &a : &b;

        *end = *lesser;
        end = &(*lesser)->next;
        *lesser = *end;
    }
    *end = a ? a : b;
    return first;
}

/* Cuts the longest sorted run off the front of *list, turned round if it is in falling order. */
static struct rdl_timer *take_run(struct rdl_timer **list)
{
    struct rdl_timer *run = *list;
    struct rdl_timer *last = run;
    struct rdl_timer *next = run->next;

    if (next && before(next, run)) {
        while (next && before(next, run)) {
            struct rdl_timer *after = next->next;

            next->next = run;
            run = next;
            next = after;
        }
    } else {
        while (next && before(last, next)) {
            last = next;
            next = next->next;
        }
    }
    last->next = NULL;
    *list = next;
    return run;
}

/* Sorts a list that is linked by next alone: in linear time if it is in order already, either way
 * round, as timers with equal deadlines are. */
static struct rdl_timer *sort(struct rdl_timer *list)
{
    struct rdl_timer *runs[RUNS_MAX]; /* runs[i] is made of 2^i runs, NULL if there is none */
    struct rdl_timer *sorted = NULL;
    unsigned used = 0;

    while (list) {
        struct rdl_timer *run = take_run(&list);
        unsigned i = 0;

        for (; i < used && runs[i]; i++) {
            run = merge(runs[i], run);
            runs[i] = NULL;
        }
        if (i == used)
            used++;
        runs[i] = run;
    }
    for (unsigned i = 0; i < used; i++)
        sorted = merge(runs[i], sorted);
    return sorted;
}

/* Queues a sorted list for firing, among those that an earlier call had to leave. */
static void queue_due(struct rdl_timers *timers, struct rdl_timer *sorted)
{
    struct rdl_timer **head = &timers->due;

    while (sorted) {
        struct rdl_timer *next = sorted->next;

        while (*head && before(*head, sorted))
            head = &(*head)->next;
        insert(head, sorted);
        head = &sorted->next;
        sorted = next;
    }
}

/* Moves what is due by now out of a slot on level 0. Returns false if nothing was. */
static bool collect(struct rdl_timers *timers, unsigned slot, int64_t now_ns)
{
    struct rdl_timer *list = NULL;
    struct rdl_timer *next;

    for (unsigned chain = 0; chain < RDL_TIMER_CHAINS; chain++) {
        for (struct rdl_timer *timer = timers->slots[0][slot][chain]; timer; timer = next) {
            next = timer->next;
            if (timer->deadline_ns > now_ns)
                continue;
            unlink_node(timer);
            timer->next = list;
            list = timer;
        }
    }
    if (is_empty(timers->slots[0][slot]))
        clear_occupied(timers, 0, slot);
    if (!list)
        return false;
    queue_due(timers, sort(list));
    return true;
}

/* Takes a slot above level 0 apart: the position has come to its beginning. */
static void cascade(struct rdl_timers *timers, unsigned level, unsigned slot)
{
    struct rdl_timer *rest[RDL_TIMER_CHAINS];
    bool more = true;

    memcpy(rest, timers->slots[level][slot], sizeof rest);
    memset(timers->slots[level][slot], 0, sizeof rest);
    clear_occupied(timers, level, slot);
    while (more) {
        more = false;
        for (unsigned chain = 0; chain < RDL_TIMER_CHAINS; chain++) {
            struct rdl_timer *timer = rest[chain];

            if (!timer)
                continue;
            more = true;
            rest[chain] = timer->next;
            __builtin_prefetch(timer->next, 1);
            place(timers, timer);
        }
    }
}

/* Moves the position on to the next occupied slot that begins by now. Returns false, with the
 * position at now, when nothing is left that is due. */
static bool advance(struct rdl_timers *timers, int64_t now_ns)
{
    uint64_t now = tick_of(now_ns);
    uint64_t begin;
    unsigned level;
    unsigned slot;

    while (first_slot(timers, &level, &slot, &begin) && begin <= now) {
        timers->position = begin;
        if (level == 0)
            return collect(timers, slot, now_ns);
        cascade(timers, level, slot);
    }
    if (timers->position < now)
        timers->position = now;
    return false;
}

void rdl_timers_init(struct rdl_timers *timers, int64_t now_ns)
{
    *timers = (struct rdl_timers){
        .position = tick_of(now_ns), .next_ns = INT64_MAX, .expiring_ns = UNKNOWN};
}

void rdl_timer_arm(struct rdl_timers *timers, struct rdl_timer *timer, int64_t deadline_ns)
{
    assert(deadline_ns != INT64_MAX);
    rdl_timer_disarm(timers, timer);
    if (deadline_ns < 0)
        deadline_ns = 0;
    timer->deadline_ns = deadline_ns;
    timer->sequence = timers->sequence++;
    timers->count++;
    if (deadline_ns < timers->next_ns)
        timers->next_ns = deadline_ns;
    if (deadline_ns <= timers->expiring_ns)
        insert(&timers->late, timer);
    else
        place(timers, timer);
}

void rdl_timer_disarm(struct rdl_timers *timers, struct rdl_timer *timer)
{
    uintptr_t offset;

    if (!rdl_timer_armed(timer))
        return;
    offset = (uintptr_t)timer->link - (uintptr_t)timers->slots;
    unlink_node(timer);
    if (!timer->next && offset < sizeof(timers->slots)) {
        unsigned index = (unsigned)(offset / sizeof(timers->slots[0][0]));
        unsigned level = index / RDL_TIMER_SLOTS, slot = index % RDL_TIMER_SLOTS;

        if (is_empty(timers->slots[level][slot]))
            clear_occupied(timers, level, slot);
    }
    if (--timers->count == 0)
        timers->next_ns = INT64_MAX;
    else if (timer->deadline_ns == timers->next_ns)
        timers->next_ns = UNKNOWN;
}

/* The earliest deadline in list, or bound if that is earlier. Gives up after max timers, and then
 * returns otherwise. */
static int64_t earliest(const struct rdl_timer *list, int64_t bound, unsigned max,
                        int64_t otherwise)
{
    for (unsigned n = 0; list; list = list->next, n++) {
        if (n == max)
            return otherwise;
        if (list->deadline_ns < bound)
            bound = list->deadline_ns;
    }
    return bound;
}

int64_t rdl_timers_next(struct rdl_timers *timers)
{
    int64_t next = INT64_MAX;
    uint64_t begin;
    unsigned level;
    unsigned slot;

    if (timers->next_ns != UNKNOWN)
        return timers->next_ns;
    if (first_slot(timers, &level, &slot, &begin))
        for (unsigned chain = 0; chain < RDL_TIMER_CHAINS; chain++)
            next = earliest(timers->slots[level][slot][chain], next, level ? SCAN_MAX : UINT32_MAX,
                            (int64_t)(begin << TICK_BITS));
    next = earliest(timers->late, next, UINT32_MAX, 0);
    /* due is sorted. */
    if (timers->due && timers->due->deadline_ns < next)
        next = timers->due->deadline_ns;
    timers->next_ns = next;
    return next;
}

unsigned rdl_timers_expire(struct rdl_timers *timers, int64_t now_ns, unsigned max,
                           rdl_timer_fire_fn *fire, void *arg)
{
    unsigned current = (unsigned)timers->position % RDL_TIMER_SLOTS;
    unsigned fired = 0;

    assert(timers->expiring_ns == UNKNOWN);
    /* UNKNOWN is never greater. */
    if (timers->next_ns > now_ns && timers->position == tick_of(now_ns))
        return 0;
    if (max == 0 || now_ns < 0)
        return 0;
    timers->expiring_ns = now_ns;
    /* What the last call left in due may not be the earliest any more. */
    if (timers->due && timers->occupied[0] & (UINT64_C(1) << current))
        (void)collect(timers, current, now_ns);
    while (fired < max) {
        struct rdl_timer *timer = timers->due;

        if (!timer) {
            if (!advance(timers, now_ns))
                break;
            continue;
        }
        if (timer->deadline_ns > now_ns) /* The clock went back. */
            break;
        rdl_timer_disarm(timers, timer);
        fired++;
        fire(timer, arg);
    }
    timers->expiring_ns = UNKNOWN;
    while (timers->late) {
        struct rdl_timer *timer = timers->late;

        unlink_node(timer);
        place(timers, timer);
    }
    /* It may have been the beginning of a slot, since taken apart or emptied. */
    if (timers->next_ns <= now_ns)
        timers->next_ns = UNKNOWN;
    return fired;
}
