/*
 * io/sim_world.c - a simulated world's time and chance, and what is going to happen in it.
 *
 * Time. It stands still while nobody looks. Each reading of the clock takes a while, most of them some hundred
 * nanoseconds, a few as long as it takes when a thread loses its CPU: so a task that computes until a deadline
 * gets there, time slices end, and what was planned for later comes in between. When nothing can run, time
 * jumps to the next thing that will happen.
 *
 * It doesn't jump while somebody holds it (raddle_sim_hold()): then, as when nothing will ever happen and there
 * are threads that might change that, the world waits in real time, and its clock goes along.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <raddle/sim.h>
#include <string.h>

#include "io/sim.h"
#include "sched/loop.h"
#include "sched/sys.h"

enum {
    LOOK_NS = 50,        /* what a reading of the clock takes, and */
    LOOK_MORE_NS = 1024, /* up to so much more; a power of 2 */
    PAUSE_EVERY = 128,   /* readings, of which one takes much longer; a power of 2 */
    PAUSE_NS = 200 * 1000,
    LOOK_AGAIN_NS = 10 * 1000 * 1000, /* in real time */
};

static rdl_atomic(unsigned) holders;

/* splitmix64 */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static uint64_t next_random(struct rdl_sim_world *world)
{
    world->random += 0x9E3779B97F4A7C15u;
    return scramble(world->random);
}

uint64_t rdl_sim_below(struct rdl_sim_world *world, uint64_t bound)
{
    return next_random(world) % bound;
}

bool rdl_sim_chance(struct rdl_sim_world *world, unsigned percent)
{
    return percent && next_random(world) % 100 < percent;
}

int64_t rdl_sim_length(struct rdl_sim_world *world, int64_t low_ns, int64_t high_ns)
{
    unsigned bits = 0;

    if (high_ns <= low_ns)
        return low_ns;
    while (high_ns >> bits > low_ns && bits < 20)
        bits++;
    /* As many bits less as chance will have it, and then evenly below that. */
    high_ns >>= next_random(world) % bits;
    return high_ns <= low_ns
               ? low_ns
               : low_ns + (int64_t)rdl_sim_below(world, (uint64_t)(high_ns - low_ns + 1));
}

void rdl_sim_note(struct rdl_sim_world *world, uint64_t what)
{
    world->trace = scramble(world->trace ^ what) + (uint64_t)world->now_ns;
}

/* The clock of threads that run a simulated loop. */
static bool look(int64_t *now_ns)
{
    struct rdl_sim_world *world = rdl_sim_here();
    uint64_t chance;

    if (!world)
        return false;
    chance = next_random(world);
    world->now_ns += LOOK_NS + (int64_t)(chance % LOOK_MORE_NS);
    if (chance / LOOK_MORE_NS % PAUSE_EVERY == 0)
        world->now_ns += (int64_t)(chance >> 32) % PAUSE_NS;
    *now_ns = world->now_ns;
    return true;
}

int rdl_sim_world_create(const struct rdl_sim_options *options, struct rdl_sim_world **out)
{
    struct rdl_sim_world *world = rdl_sys_calloc(1, sizeof(*world));

    if (!world)
        return -ENOMEM;
    world->options = *options;
    world->random = scramble(options->seed + 1);
    world->now_ns = RDL_SIM_BEGIN;
    world->port = 32768;
    rdl_atomic_init(&world->bell, 0u);
    rdl_sys_set_clock(look);
    world->users = 1;
    *out = world;
    return 0;
}

void rdl_sim_world_ref(struct rdl_sim_world *world)
{
    world->users++;
}

void rdl_sim_world_unref(struct rdl_sim_world *world)
{
    if (--world->users == 0)
        rdl_sys_free(world);
}

void rdl_sim_at(struct rdl_sim_world *world, struct rdl_chore *chore, int64_t at_ns)
{
    struct rdl_chore *before = world->last;

    if (chore->pending)
        return;
    chore->pending = true;
    chore->at_ns = at_ns;
    chore->rank = (uint32_t)next_random(world);
    /* Most come later than what is there already. */
    while (before &&
           (before->at_ns > at_ns || (before->at_ns == at_ns && before->rank > chore->rank)))
        before = before->prev;
    chore->prev = before;
    chore->next = before ? before->next : world->first;
    if (chore->next)
        chore->next->prev = chore;
    else
        world->last = chore;
    if (before)
        before->next = chore;
    else
        world->first = chore;
}

void rdl_sim_forget(struct rdl_sim_world *world, struct rdl_chore *chore)
{
    if (!chore->pending)
        return;
    if (chore->prev)
        chore->prev->next = chore->next;
    else
        world->first = chore->next;
    if (chore->next)
        chore->next->prev = chore->prev;
    else
        world->last = chore->prev;
    chore->pending = false;
}

unsigned rdl_sim_work(struct rdl_sim_world *world)
{
    struct rdl_chore *chore;
    unsigned count = 0;

    while ((chore = world->first) && chore->at_ns <= world->now_ns) {
        rdl_sim_forget(world, chore);
        rdl_sim_note(world, chore->rank);
        chore->call(chore);
        count++;
    }
    return count;
}

void rdl_sim_ring(struct rdl_sim_world *world)
{
    rdl_atomic_fetch_add_seq_cst(&world->bell, 1u);
    if (rdl_sim_here() != world)
        rdl_sys_futex_wake(&world->bell);
}

void rdl_sim_wait_really(struct rdl_sim_world *world, uint32_t seen, int64_t until_ns)
{
    int64_t begin = rdl_sys_real_now(), most = until_ns - world->now_ns, passed;

    /* Who holds the time doesn't know who waits, and can't say when it is over. */
    rdl_sys_futex_wait_for(&world->bell, seen, most < LOOK_AGAIN_NS ? most : LOOK_AGAIN_NS);
    passed = rdl_sys_real_now() - begin;
    world->now_ns += passed < most ? passed : most;
}

int raddle_sim_seed(uint64_t *out)
{
    struct rdl_sim_world *world = rdl_sim_here();

    if (!out)
        return -EINVAL;
    if (!rdl_loop_current())
        return -EPERM;
    if (!world)
        return -ENOTSUP;
    *out = world->options.seed;
    return 0;
}

int raddle_sim_trace(uint64_t *out)
{
    struct rdl_sim_world *world = rdl_sim_here();

    if (!out)
        return -EINVAL;
    if (!rdl_loop_current())
        return -EPERM;
    if (!world)
        return -ENOTSUP;
    *out = scramble(world->trace ^ world->random);
    return 0;
}

void raddle_sim_hold(void)
{
    rdl_atomic_fetch_add_seq_cst(&holders, 1u);
}

void raddle_sim_release(void)
{
    rdl_atomic_fetch_sub_seq_cst(&holders, 1u);
}

bool rdl_sim_is_held(void)
{
    return rdl_atomic_load_seq_cst(&holders) != 0;
}
