/*
 * tests/sched/test_timer.c - the timer wheel: its order, its edges, and a comparison with a plain
 * list.
 */
#include "sched/timer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(timer, .timeout = 120);

enum {
    TICK = 1 << 15, /* of level 0, in ns */
    MANY = 4096,
};

struct log {
    struct rdl_timers *timers;
    struct rdl_timer *base;
    unsigned count;
    unsigned fired[MANY];
    struct rdl_timer *victim; /* disarmed by the first that fires */
    int64_t again_ns;         /* -1, or armed again with this by each that fires */
};

static void record(struct rdl_timer *timer, void *arg)
{
    struct log *log = arg;

    cr_assert_not(rdl_timer_armed(timer));
    log->fired[log->count++] = (unsigned)(timer - log->base);
    if (log->victim)
        rdl_timer_disarm(log->timers, log->victim);
    log->victim = NULL;
    if (log->again_ns >= 0)
        rdl_timer_arm(log->timers, timer, log->again_ns);
}

/* On the heap: MANY nodes and a wheel are too much for some stacks. */
struct fixture {
    struct rdl_timers timers;
    struct rdl_timer node[MANY];
    struct log log;
};

static struct fixture *make_fixture(int64_t now_ns)
{
    struct fixture *f = calloc(1, sizeof(*f));

    cr_assert_not_null(f);
    rdl_timers_init(&f->timers, now_ns);
    for (unsigned i = 0; i < MANY; i++)
        rdl_timer_init(&f->node[i]);
    f->log.timers = &f->timers;
    f->log.base = f->node;
    f->log.again_ns = -1;
    return f;
}

static unsigned expire(struct fixture *f, int64_t now_ns, unsigned max)
{
    f->log.count = 0;
    return rdl_timers_expire(&f->timers, now_ns, max, record, &f->log);
}

Test(timer, an_empty_wheel_has_no_next_deadline)
{
    struct fixture *f = make_fixture(12345);

    cr_expect_eq(rdl_timers_next(&f->timers), INT64_MAX);
    cr_expect_eq(rdl_timers_count(&f->timers), 0);
    cr_expect_eq(expire(f, INT64_MAX, UINT32_MAX), 0);
    free(f);
}

Test(timer, a_timer_fires_at_its_nanosecond_and_not_one_before)
{
    for (unsigned shift = 0; shift < 62; shift++) {
        struct fixture *f = make_fixture(777);
        int64_t deadline = 778 + (INT64_C(1) << shift);

        rdl_timer_arm(&f->timers, &f->node[0], deadline);
        cr_expect(rdl_timer_armed(&f->node[0]));
        cr_expect_eq(rdl_timers_next(&f->timers), deadline);
        cr_expect_eq(expire(f, deadline - 1, 10), 0);
        cr_expect_eq(rdl_timers_next(&f->timers), deadline);
        cr_expect_eq(expire(f, deadline, 10), 1);
        cr_expect_not(rdl_timer_armed(&f->node[0]));
        cr_expect_eq(rdl_timers_next(&f->timers), INT64_MAX);
        free(f);
    }
}

Test(timer, a_deadline_in_the_past_fires_at_the_next_expire)
{
    struct fixture *f = make_fixture(INT64_C(5) << 40);

    rdl_timer_arm(&f->timers, &f->node[0], 7);
    rdl_timer_arm(&f->timers, &f->node[1], -9);
    cr_expect_eq(rdl_timers_next(&f->timers), 0);
    cr_expect_eq(expire(f, INT64_C(5) << 40, 10), 2);
    cr_expect_eq(f->log.fired[0], 1u);
    cr_expect_eq(f->log.fired[1], 0u);
    free(f);
}

Test(timer, equal_deadlines_fire_in_the_order_they_were_armed)
{
    struct fixture *f = make_fixture(0);

    for (unsigned i = 0; i < MANY; i++)
        rdl_timer_arm(&f->timers, &f->node[i], INT64_C(3000000000));
    /* Arming again goes to the back. */
    rdl_timer_arm(&f->timers, &f->node[0], INT64_C(3000000000));
    cr_expect_eq(rdl_timers_count(&f->timers), (size_t)MANY);
    cr_expect_eq(expire(f, INT64_C(3000000000), UINT32_MAX), (unsigned)MANY);
    for (unsigned i = 0; i < MANY; i++)
        cr_assert_eq(f->log.fired[i], (i + 1) % MANY);
    free(f);
}

Test(timer, deadlines_within_one_tick_fire_in_order)
{
    struct fixture *f = make_fixture(0);

    for (unsigned i = 0; i < MANY; i++)
        rdl_timer_arm(&f->timers, &f->node[i], TICK + (i * 2654435761u) % 1000);
    cr_expect_eq(expire(f, TICK + 499, UINT32_MAX) + f->log.count, 2 * f->log.count);
    for (unsigned half = 0; half < 2; half++) {
        for (unsigned i = 1; i < f->log.count; i++) {
            struct rdl_timer *a = &f->node[f->log.fired[i - 1]];
            struct rdl_timer *b = &f->node[f->log.fired[i]];

            cr_assert(a->deadline_ns < b->deadline_ns ||
                      (a->deadline_ns == b->deadline_ns && a < b));
        }
        (void)expire(f, TICK + 1000, UINT32_MAX);
    }
    cr_expect_eq(rdl_timers_count(&f->timers), 0);
    free(f);
}

Test(timer, slots_on_both_sides_of_a_cascade_fire_in_order)
{
    /* A tick, a nanosecond and nothing around the beginning of a slot of every level. */
    static const int64_t around[] = {-TICK - 1, -TICK, -1, 0, 1, TICK - 1, TICK, TICK + 1};
    enum { N = sizeof(around) / sizeof(around[0]) };

    for (unsigned level = 1; level < RDL_TIMER_LEVELS; level++) {
        for (int64_t start = 0; start < 3; start++) {
            int64_t begin = (start + 1) << (15 + 6 * level);
            struct fixture *f = make_fixture(start << (15 + 6 * level));

            for (unsigned i = 0; i < N; i++)
                rdl_timer_arm(&f->timers, &f->node[(i * 3) % N], begin + around[(i * 3) % N]);
            for (unsigned i = 0; i < N; i++) {
                cr_assert_eq(rdl_timers_next(&f->timers), begin + around[i]);
                cr_assert_eq(expire(f, begin + around[i] - 1, 10), 0);
                cr_assert_eq(expire(f, begin + around[i], 10), 1);
                cr_assert_eq(f->log.fired[0], i);
            }
            free(f);
        }
    }
}

Test(timer, the_last_legal_deadline_is_kept_for_292_years)
{
    struct fixture *f = make_fixture(0);

    rdl_timer_arm(&f->timers, &f->node[0], INT64_MAX - 1);
    rdl_timer_arm(&f->timers, &f->node[1], INT64_MAX - 2);
    for (unsigned shift = 0; shift < 63; shift++)
        cr_assert_eq(expire(f, INT64_C(1) << shift, 10), 0);
    cr_expect_eq(expire(f, INT64_MAX - 3, 10), 0);
    cr_expect_eq(rdl_timers_next(&f->timers), INT64_MAX - 2);
    cr_expect_eq(expire(f, INT64_MAX - 2, 10), 1);
    cr_expect_eq(f->log.fired[0], 1u);
    cr_expect_eq(expire(f, INT64_MAX, 10), 1);
    free(f);
}

Test(timer, one_that_is_about_to_fire_can_be_disarmed)
{
    struct fixture *f = make_fixture(0);

    for (unsigned i = 0; i < 4; i++)
        rdl_timer_arm(&f->timers, &f->node[i], 100);
    f->log.victim = &f->node[2];
    cr_expect_eq(expire(f, 100, 10), 3);
    cr_expect_eq(f->log.fired[0], 0u);
    cr_expect_eq(f->log.fired[1], 1u);
    cr_expect_eq(f->log.fired[2], 3u);
    cr_expect_eq(rdl_timers_count(&f->timers), 0);
    rdl_timer_disarm(&f->timers, &f->node[2]);
    free(f);
}

Test(timer, what_fire_arms_for_the_past_waits_for_the_next_call)
{
    struct fixture *f = make_fixture(0);

    rdl_timer_arm(&f->timers, &f->node[0], 1000);
    rdl_timer_arm(&f->timers, &f->node[1], 2000);
    f->log.again_ns = 1;
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(expire(f, INT64_C(1) << 33, 10), 2);
        cr_assert_eq(f->log.fired[0], 0u);
        cr_assert_eq(f->log.fired[1], 1u);
        cr_assert_eq(rdl_timers_next(&f->timers), 1);
    }
    free(f);
}

Test(timer, max_leaves_the_rest_due_and_in_order)
{
    struct fixture *f = make_fixture(0);
    unsigned expected = 0;

    for (unsigned i = 0; i < MANY; i++)
        rdl_timer_arm(&f->timers, &f->node[i], 10 * TICK + i / 2);
    while (expected < MANY) {
        cr_assert_leq(rdl_timers_next(&f->timers), INT64_C(1) << 32);
        cr_assert_eq(expire(f, INT64_C(1) << 32, 64), 64);
        for (unsigned i = 0; i < 64; i++)
            cr_assert_eq(f->log.fired[i], expected++);
    }
    cr_expect_eq(expire(f, INT64_C(1) << 32, 64), 0);
    cr_expect_eq(expire(f, INT64_C(1) << 32, 0), 0);
    free(f);
}

Test(timer, one_armed_for_the_past_overtakes_those_that_max_left)
{
    struct fixture *f = make_fixture(0);

    for (unsigned i = 0; i < 3; i++)
        rdl_timer_arm(&f->timers, &f->node[i], 100 + i);
    cr_assert_eq(expire(f, 200, 1), 1);
    rdl_timer_arm(&f->timers, &f->node[3], 50);
    rdl_timer_arm(&f->timers, &f->node[4], 102);
    cr_expect_eq(rdl_timers_next(&f->timers), 50);
    cr_assert_eq(expire(f, 200, 10), 4);
    cr_expect_eq(f->log.fired[0], 3u);
    cr_expect_eq(f->log.fired[1], 1u);
    cr_expect_eq(f->log.fired[2], 2u);
    cr_expect_eq(f->log.fired[3], 4u);
    free(f);
}

Test(timer, a_clock_that_goes_back_fires_nothing_early)
{
    struct fixture *f = make_fixture(INT64_C(1) << 40);
    int64_t deadline = (INT64_C(1) << 40) + 5 * TICK;

    for (unsigned i = 0; i < 2; i++)
        rdl_timer_arm(&f->timers, &f->node[i], deadline);
    cr_expect_eq(expire(f, deadline, 1), 1);
    cr_expect_eq(expire(f, deadline - 1, 10), 0);
    cr_expect_eq(expire(f, 0, 10), 0);
    cr_expect_eq(expire(f, -1, 10), 0);
    cr_expect_eq(expire(f, deadline, 10), 1);
    free(f);
}

Test(timer, a_crowded_coarse_slot_gives_a_bound_that_leads_to_the_deadline)
{
    struct fixture *f = make_fixture(0);
    int64_t base = INT64_C(60) * 1000000000;
    unsigned wakes = 0;

    for (unsigned i = 0; i < MANY; i++)
        rdl_timer_arm(&f->timers, &f->node[i], base + i);
    /* The earliest is disarmed: now the wheel doesn't know the next. */
    rdl_timer_disarm(&f->timers, &f->node[0]);
    for (int64_t now = 0; now < base + 1; wakes++) {
        int64_t next = rdl_timers_next(&f->timers);

        cr_assert_leq(next, base + 1);
        cr_assert_gt(next, now);
        now = next;
        cr_assert_eq(expire(f, now, 10), now == base + 1 ? 1u : 0u);
    }
    cr_expect_leq(wakes, (unsigned)RDL_TIMER_LEVELS);
    free(f);
}

Test(timer, a_bound_that_came_to_nothing_is_forgotten)
{
    struct fixture *f = make_fixture(0);
    int64_t base = INT64_C(60) * 1000000000;
    int64_t bound;

    for (unsigned i = 0; i < MANY; i++)
        rdl_timer_arm(&f->timers, &f->node[i], base + i);
    rdl_timer_disarm(&f->timers, &f->node[0]);
    bound = rdl_timers_next(&f->timers);
    cr_assert_lt(bound, base);
    rdl_timer_arm(&f->timers, &f->node[0], base * 1000);
    for (unsigned i = 1; i < MANY; i++)
        rdl_timer_disarm(&f->timers, &f->node[i]);
    cr_expect_eq(rdl_timers_next(&f->timers), bound);
    cr_expect_eq(expire(f, bound, 10), 0);
    cr_expect_eq(rdl_timers_next(&f->timers), base * 1000);
    free(f);
}

/*
 * The oracle: every timer in an array, the next to fire found by looking at all.
 */
enum { POOL = 48 };

struct oracle {
    struct rdl_timers timers;
    struct rdl_timer node[POOL];
    int64_t deadline[POOL]; /* -1: not armed */
    uint64_t order[POOL];
    uint64_t sequence;
    uint64_t began; /* sequence when the expire in progress began */
    uint64_t seed;
    int64_t now;
    unsigned pool; /* how many of the nodes are used */
    size_t count;
    unsigned long fired;
    bool expiring;
};

static uint64_t draw(struct oracle *o)
{
    o->seed ^= o->seed << 13;
    o->seed ^= o->seed >> 7;
    o->seed ^= o->seed << 17;
    return o->seed * UINT64_C(2685821657736338717);
}

static int64_t draw_distance(struct oracle *o)
{
    /* Any magnitude up to 2^56 ns (2 years), or exactly at it. */
    uint64_t bits = draw(o) % 57;
    uint64_t distance = draw(o) >> (63 - bits);

    return (int64_t)(draw(o) % 4 ? distance : UINT64_C(1) << bits);
}

static void oracle_change(struct oracle *o)
{
    unsigned i = (unsigned)(draw(o) % o->pool);
    int64_t deadline;

    if (draw(o) % 3 == 0) {
        rdl_timer_disarm(&o->timers, &o->node[i]);
        o->count -= o->deadline[i] >= 0;
        o->deadline[i] = -1;
        return;
    }
    switch (draw(o) % 8) {
    case 0:
        deadline = o->now - draw_distance(o);
        break;
    case 1:
        deadline = o->now;
        break;
    case 2: /* equal to another's */
        deadline = o->deadline[draw(o) % o->pool];
        break;
    case 3: /* the beginning of a slot */
        deadline = (o->now + draw_distance(o)) & ~((INT64_C(1) << (15 + 6 * (draw(o) % 7))) - 1);
        break;
    case 4:
        deadline = draw(o) % 64 ? o->now + (int64_t)(draw(o) % (3 * TICK)) : INT64_MAX - 1;
        break;
    default:
        deadline = o->now + draw_distance(o);
    }
    if (deadline < 0)
        deadline = 0;
    rdl_timer_arm(&o->timers, &o->node[i], deadline);
    o->count += o->deadline[i] < 0;
    o->deadline[i] = deadline;
    o->order[i] = o->sequence++;
}

/* The next to fire, or POOL; while expiring only those that were armed before it began. */
static unsigned oracle_first(const struct oracle *o)
{
    unsigned first = POOL;

    for (unsigned i = 0; i < o->pool; i++) {
        if (o->deadline[i] < 0 || (o->expiring && o->order[i] >= o->began))
            continue;
        if (first == POOL || o->deadline[i] < o->deadline[first] ||
            (o->deadline[i] == o->deadline[first] && o->order[i] < o->order[first]))
            first = i;
    }
    return first;
}

static void oracle_fire(struct rdl_timer *timer, void *arg)
{
    struct oracle *o = arg;
    unsigned first = oracle_first(o);

    cr_assert_lt(first, (unsigned)POOL);
    cr_assert_eq(timer, &o->node[first]);
    cr_assert_leq(o->deadline[first], o->now);
    cr_assert_eq(timer->deadline_ns, o->deadline[first]);
    o->deadline[first] = -1;
    o->count--;
    o->fired++;
    while (draw(o) % 2)
        oracle_change(o);
}

static void oracle_step(struct oracle *o, bool exact)
{
    unsigned max = draw(o) % 4 ? UINT32_MAX : (unsigned)(draw(o) % 8);
    unsigned first;
    unsigned fired;
    int64_t next;

    for (unsigned n = (unsigned)(draw(o) % 4); n; n--)
        oracle_change(o);
    if (draw(o) % 2) {
        first = oracle_first(o);
        next = rdl_timers_next(&o->timers);
        if (first == POOL)
            cr_assert_eq(next, INT64_MAX);
        else if (exact)
            cr_assert_eq(next, o->deadline[first]);
        else
            cr_assert_leq(next, o->deadline[first]);
        /* Jump to it, to just before it, or by chance. */
        if (next > o->now && next < INT64_C(1) << 61 && draw(o) % 4)
            o->now = next - (int64_t)(draw(o) % 2);
    }
    if (draw(o) % 4 == 0 && o->now < INT64_C(1) << 61)
        o->now += draw_distance(o);
    o->began = o->sequence;
    o->expiring = true;
    fired = rdl_timers_expire(&o->timers, o->now, max, oracle_fire, o);
    cr_assert_leq(fired, max);
    first = oracle_first(o);
    if (fired < max)
        cr_assert(first == POOL || o->deadline[first] > o->now);
    o->expiring = false;
    cr_assert_eq(rdl_timers_count(&o->timers), o->count);
    for (unsigned i = 0; i < o->pool; i++)
        cr_assert_eq(rdl_timer_armed(&o->node[i]), o->deadline[i] >= 0);
}

static unsigned long run_oracle(unsigned pool, unsigned rounds, unsigned steps)
{
    unsigned long fired = 0;
    struct oracle *o = malloc(sizeof(*o));

    cr_assert_not_null(o);
    for (unsigned round = 0; round < rounds; round++) {
        memset(o, 0, sizeof(*o));
        o->seed = UINT64_C(0x9e3779b97f4a7c15) * (round + 1);
        o->pool = pool;
        o->now = draw_distance(o);
        rdl_timers_init(&o->timers, o->now);
        for (unsigned i = 0; i < POOL; i++) {
            rdl_timer_init(&o->node[i]);
            o->deadline[i] = -1;
        }
        /* With at most 32 timers no slot is crowded, and next is exact. */
        for (unsigned step = 0; step < steps; step++)
            oracle_step(o, pool <= 32);
        fired += o->fired;
    }
    free(o);
    return fired;
}

Test(timer, a_few_timers_behave_like_a_sorted_list_over_a_million_steps)
{
    cr_expect_gt(run_oracle(6, 10000, 100), 100000ul);
}

Test(timer, many_timers_behave_like_a_sorted_list_over_a_million_steps)
{
    cr_expect_gt(run_oracle(32, 2000, 500), 100000ul);
}

Test(timer, a_crowd_of_timers_behaves_like_a_sorted_list_over_a_million_steps)
{
    cr_expect_gt(run_oracle(POOL, 1000, 1000), 100000ul);
}
