/*
 * sched/idle.c - the protocol of sleeping and waking in a team.
 *
 * Two things must never happen: work is queued while every loop sleeps, and nobody was woken for it
 * (a lost wake); or every task that is queued wakes a thread that finds nothing (a thundering herd:
 * a wake costs thousands of times what a task switch does).
 *
 *     who makes work                        who runs out of it
 *     1. queue it                           1. stop searching (searching--); the last one: fence, and
 *                                              call one if there is work
 *     2. fence                              2. state = ASLEEP, sleeping++; fence
 *     3. searching > 0: a searcher will     3. recheck all queues, the inbox, the stop flag
 *        look; sleeping == 0: all run       4. wait in the driver
 *     4. otherwise call one: CAS ASLEEP
 *        to CALLED, wake its driver
 *
 * Ordering. Step 2 on both sides is a sequentially consistent fence between "I publish" and "I look
 * at what you publish", so that at least one side sees the other (Dekker's argument): either the
 * maker sees the sleeper, or the sleeper's recheck sees the work. [F1] in rdl_idle_call() and
 * rdl_idle_claim() pairs with [F2] in rdl_idle_sleep(). A maker that trusts a searcher (step 3) is
 * right because that searcher's decrement comes before its [F2], hence its recheck comes after the
 * maker's [F1].
 *
 * At most half of the loops, rounded up, search: more would only fight over the same queues.
 *
 * Who finds work as the last searcher calls the next loop, since makers elided their wakes because
 * of it. So does a last searcher that has found nothing, if there is work now: something may have come for
 * itself, so that it goes on without a recheck, and the maker, too, may run something that takes long.
 * Whoever trusted a count has fenced [F1] before the fence of who takes that count to 0, and so is seen
 * after it: [F3] in rdl_idle_end_search(), or that in rdl_idle_call(), which looks for sleepers and calls
 * one whatever there is.
 *
 * A searcher that spins (sched/rest.c) may lose its CPU: until it has it again makers trust it in vain.
 *
 * A called loop is counted as a searcher by its caller, so that a burst of makers calls one loop
 * and not all of them. It ends that search like any other, whatever it does first.
 *
 * A wake for one loop's inbox (rdl_idle_claim) takes the sleeper out of ASLEEP too: whoever
 * succeeds in the compare-exchange is the only one that pays for the system call. The loop itself
 * leaves ASLEEP by an exchange, which tells it whether a call raced with its own waking.
 *
 * Tried: a wake token that is reset with a plain store. It overwrites a wake that raced with it.
 */
#include "sched/idle.h"

void rdl_idle_init(struct rdl_idle *idle, struct rdl_sleeper **sleepers, uint32_t count)
{
    rdl_atomic_init(&idle->searching, 0);
    rdl_atomic_init(&idle->sleeping, 0);
    rdl_atomic_init(&idle->next, 0);
    idle->count = count;
    idle->sleepers = sleepers;
}

bool rdl_idle_begin_search(struct rdl_idle *idle)
{
    /* A hint: two loops may slip through at once, which costs a little fighting and no
     * correctness. */
    if (2 * rdl_atomic_load_relaxed(&idle->searching) >= idle->count)
        return false;
    rdl_atomic_fetch_add_seq_cst(&idle->searching, 1);
    return true;
}

bool rdl_idle_end_search(struct rdl_idle *idle)
{
    if (rdl_atomic_fetch_sub_seq_cst(&idle->searching, 1) != 1)
        return false;
    rdl_atomic_fence_seq_cst(); /* [F3] */
    return true;
}

void rdl_idle_sleep(struct rdl_idle *idle, struct rdl_sleeper *sleeper)
{
    if (idle)
        rdl_atomic_fetch_add_seq_cst(&idle->sleeping, 1);
    rdl_atomic_store_relaxed(&sleeper->state, RDL_ASLEEP);
    rdl_atomic_fence_seq_cst(); /* [F2] */
}

enum rdl_sleep rdl_idle_awake(struct rdl_idle *idle, struct rdl_sleeper *sleeper)
{
    /* acquire: what was published before the claim or the call is seen. */
    uint32_t was = rdl_atomic_exchange_acq_rel(&sleeper->state, RDL_AWAKE);

    if (idle)
        rdl_atomic_fetch_sub_seq_cst(&idle->sleeping, 1);
    return (enum rdl_sleep)was;
}

static bool leave_sleep(struct rdl_sleeper *sleeper, uint32_t to)
{
    uint32_t asleep = RDL_ASLEEP;

    return rdl_atomic_load_relaxed(&sleeper->state) == RDL_ASLEEP &&
           rdl_atomic_cas_acq_rel(&sleeper->state, &asleep, to);
}

bool rdl_idle_claim(struct rdl_sleeper *sleeper)
{
    rdl_atomic_fence_seq_cst(); /* [F1] */
    return leave_sleep(sleeper, RDL_AWAKE);
}

static bool anyone_asleep(const struct rdl_idle *idle)
{
    for (uint32_t i = 0; i < idle->count; i++)
        if (rdl_atomic_load_relaxed(&idle->sleepers[i]->state) == RDL_ASLEEP)
            return true;
    return false;
}

int rdl_idle_call(struct rdl_idle *idle)
{
    rdl_atomic_fence_seq_cst(); /* [F1] */
    if (rdl_atomic_load_relaxed(&idle->searching) || !rdl_atomic_load_relaxed(&idle->sleeping))
        return -1;
    do {
        uint32_t none = 0;
        uint32_t first;

        /* Only one of several makers calls; the others see its searcher. */
        if (!rdl_atomic_cas_seq_cst(&idle->searching, &none, 1u))
            return -1;
        first = rdl_atomic_fetch_add_relaxed(&idle->next, 1);
        for (uint32_t i = 0; i < idle->count; i++) {
            uint32_t which = (first + i) % idle->count;
            if (leave_sleep(idle->sleepers[which], RDL_CALLED))
                return (int)which;
        }
        /*
         * Everybody had woken for other reasons. But a maker that saw us counted relied on us, and
         * a loop may have gone to sleep after we passed it and before that maker's work: look
         * again, now that we are not counted. Who goes to sleep after this look comes after our
         * fence, and so after the maker's: its recheck sees the work.
         */
        rdl_atomic_fetch_sub_seq_cst(&idle->searching, 1);
        rdl_atomic_fence_seq_cst();
    } while (anyone_asleep(idle));
    return -1;
}
