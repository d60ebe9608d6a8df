/*
 * sched/wait.c - the wait protocol.
 *
 * The danger. An I/O completion, a timer and a cancel may all try to end the same wait while its
 * task is still on the way to sleep. One of them must win, and the task must be queued exactly
 * once: twice, and it runs on two threads; never, and it sleeps for ever.
 *
 * Phase, generation and result share one 64-bit word, so that one compare-exchange decides who won
 * and what the sleeper will read.
 *
 *     bits     63..32    31..2         1..0
 *              result    generation    phase
 *
 *     phase    set by         the task is        the task belongs to
 *     IDLE     the sleeper    running            the loop that runs it
 *     ARMED    the sleeper    on its stack       the loop that runs it
 *     PARKED   its lander     off its stack      the wait
 *     FIRED    the winner     about to run       the winner if it was PARKED, else its lander
 *
 * (The lander is whoever runs next on the sleeper's thread, the first that is not on its stack.)
 *
 *     IDLE or FIRED --arm--> ARMED --park--> PARKED --fire, poke--> FIRED
 *                              |--fire, poke--> FIRED
 *                              `--disarm--> IDLE
 *
 * Result is 0 until FIRED. ARMED and PARKED therefore each have one exact word per generation,
 * which is what a waker's compare-exchange expects; arm can be a plain store, because IDLE and
 * FIRED are words that no waker expects.
 *
 * Ordering. park [A] releases the saved stack to whoever fires it [B], since the winner may hand
 * the task to another thread. fire [B] releases what the winner prepared, a filled buffer say, to a
 * failing park [A'] or disarm [A'']; on the other path the run queue carries it. A loser learns
 * nothing.
 *
 * Poke. A cancel doesn't know which wait its victim will be in. It makes the cause visible (the
 * scope is cancelled), pokes, and ends the wait that it finds. If it finds none, the task must see
 * the cause by itself before it sleeps. Both sides first write and then read:
 *
 *     the task                                        the canceller
 *     1. poked: exchange to 0 (acquire)       [C]     1. scope: cancelled
 *     2. read the scopes, shield_depth                2. poked: exchange to 1, seq_cst         [D]
 *     3. arm                                          3. read word, seq_cst                    [E]
 *     4. lander: word to PARKED, seq_cst      [E']    4. if ARMED or PARKED: read shield_depth,
 *     5. lander: read poked, seq_cst          [D']       compare-exchange word to FIRED
 *
 * Take the last [D]. If [C] comes after it, [C] acquires it, and step 2 sees the cause. Otherwise
 * poked stays 1 until the next [C]. If then [E] comes before [E'], [D] comes before [D'] as well,
 * which reads 1. Otherwise [E] reads PARKED, which the canceller then fires, or what came after it:
 * somebody else has fired, and the task goes back to step 1 before it sleeps again. A canceller that reads ARMED and loses to
 * park reads again.
 *
 * Both exchanges must be read-modify-writes. A plain store of 0 in [C] could land on a 1 without
 * having acquired it. A plain store of 1 in [D] could hide another canceller's 1, and break the
 * chain by which [C] acquires both causes. The model checker finds each (tests/model/mutants.sh).
 *
 * A poke that is held off by a shield leaves poked set. So does one that found the task running.
 * park then ends the wait for nothing, or for something that the task has already seen: it may,
 * since the task reads its scopes again whenever a wait ends with -ECANCELED. It does so once,
 * because [C] clears it.
 *
 * shield_depth is written between two waits and read in step 4 between [E] and the
 * compare-exchange. arm releases it to [E]. A later value can't be read by a canceller that wins: a
 * winner ends the generation, and the task writes shield_depth again only after that.
 *
 * Lifetime. The wait lives in its slab's array, which outlives every task: a waker may hold it for
 * as long as it likes. The generation, new with each arm, makes a waker that comes late lose (after
 * 2^30 waits of one stack between its read and its compare-exchange, it could be wrong). What a
 * waker must not touch after losing, or after finding ARMED, is the sleeper's stack. From the
 * moment of [E'] park is such a waker itself: the poked that it reads may already be that of a
 * later wait. Its compare-exchange then fails, or the poke was meant for this one.
 *
 * Tried: the result in a field beside the phase. Two wakers can both store it before either has
 * won.
 */
#include "sched/wait.h"

#include <assert.h>
#include <errno.h>

#include "sched/planted.h"

enum phase { IDLE, ARMED, PARKED, FIRED };

#define PHASE_MASK      UINT64_C(3)
#define GENERATION_ONE  UINT64_C(4)
#define GENERATION_MASK UINT64_C(0xfffffffc)

static_assert(sizeof(struct rdl_wait) == 16, "four of them in the cache line of a stack's record");

static enum phase phase_of(uint64_t word)
{
    return (enum phase)(word & PHASE_MASK);
}

/* The word of the same generation in another phase. */
static uint64_t in_phase(uint64_t word, enum phase phase)
{
    return (word & GENERATION_MASK) | phase;
}

static uint64_t fired(uint64_t word, int32_t result)
{
    return (uint64_t)(uint32_t)result << 32 | in_phase(word, FIRED);
}

static bool can_fire(uint64_t word)
{
    return phase_of(word) == ARMED || phase_of(word) == PARKED;
}

/* What the winner owes, which took the wait out of the phase of seen. */
static enum rdl_fire won(uint64_t seen)
{
    return phase_of(seen) == PARKED ? RDL_FIRE_QUEUE : RDL_FIRE_WON;
}

struct rdl_ticket rdl_wait_arm(struct rdl_wait *wait)
{
    uint64_t last = rdl_atomic_load_relaxed(&wait->word);
    uint64_t armed = in_phase(last + GENERATION_ONE, ARMED);

    assert(!can_fire(last));
    rdl_atomic_store_release(&wait->word, armed);
    return (struct rdl_ticket){.wait = wait, .armed = armed};
}

struct rdl_ticket rdl_wait_ticket(struct rdl_wait *wait)
{
    uint64_t word = rdl_atomic_load_relaxed(&wait->word);

    return (struct rdl_ticket){.wait = wait, .armed = in_phase(word, ARMED)};
}

bool rdl_wait_disarm(struct rdl_wait *wait)
{
    uint64_t armed = in_phase(rdl_atomic_load_relaxed(&wait->word), ARMED);

    return rdl_atomic_cas_acq_rel(&wait->word, &armed, in_phase(armed, IDLE)); /* [A''] */
}

bool rdl_wait_park(struct rdl_wait *wait)
{
    uint64_t armed = in_phase(rdl_atomic_load_relaxed(&wait->word), ARMED);
    uint64_t parked = in_phase(armed, PARKED);

    if (!rdl_atomic_cas_seq_cst(&wait->word, &armed, parked)) { /* [A] [E'], [A'] when it fails */
        assert(phase_of(armed) == FIRED);
        return false;
    }
    if (!rdl_atomic_load_seq_cst(&wait->poked)) /* [D'] */
        return true;
    return !rdl_atomic_cas_acq_rel(&wait->word, &parked, fired(parked, -ECANCELED));
}

enum rdl_fire rdl_wait_fire(struct rdl_ticket ticket, int32_t result)
{
    uint64_t seen = rdl_atomic_load_relaxed(&ticket.wait->word);

    if (RDL_PLANTED(POKE) && rdl_atomic_load_relaxed(&ticket.wait->poked))
        return RDL_FIRE_LOST;
    do {
        if (!can_fire(seen) || in_phase(seen, ARMED) != ticket.armed)
            return RDL_FIRE_LOST;
    } while (!rdl_atomic_cas_acq_rel(&ticket.wait->word, &seen, fired(seen, result))); /* [B] */
    return won(seen);
}

enum rdl_fire rdl_wait_poke(struct rdl_wait *wait, uint32_t depth, int32_t result)
{
    uint64_t seen;

    (void)rdl_atomic_exchange_seq_cst(&wait->poked, 1u); /* [D] */
    seen = rdl_atomic_load_seq_cst(&wait->word);         /* [E] */
    do {
        if (!can_fire(seen) || rdl_atomic_load_relaxed(&wait->shield_depth) > depth)
            return RDL_FIRE_LOST;
    } while (!rdl_atomic_cas_acq_rel(&wait->word, &seen, fired(seen, result))); /* [B] */
    return won(seen);
}

int32_t rdl_wait_result(const struct rdl_wait *wait)
{
    /* The caller runs because of the winner, so it has seen it. */
    uint64_t word = rdl_atomic_load_relaxed(&wait->word);

    assert(phase_of(word) == FIRED);
    return (int32_t)(uint32_t)(word >> 32);
}

bool rdl_wait_is_parked(const struct rdl_wait *wait, uint64_t *word)
{
    /* acquire pairs with the park: what is on the stack is seen. */
    *word = rdl_atomic_load_acquire(&wait->word);
    return phase_of(*word) == PARKED;
}

bool rdl_wait_still_is(struct rdl_wait *wait, uint64_t word)
{
    /* release pairs with the acquire of whoever ends the wait: what was read of the stack was read before. */
    return rdl_atomic_cas_release(&wait->word, &word, word);
}
