/*
 * tests/race/race_wait.c - completion, timer and cancel race to end the waits of a task that goes
 * to sleep again and again, and each wait ends once.
 *
 * One thread plays the task and its lander, three play the wakers. The wakers meet the task in a
 * lock that guards an operation, as they would in a driver; the canceller just pokes, again when
 * the task has seen the last cause. Some waits only the canceller can end: if it is overlooked
 * once, the program hangs.
 */
#include "sched/wait.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "sched/lock.h"
#include "tests/support/counted.h"

enum { ROUNDS = 200000, CANCELLED_ONLY = 4 };

static struct rdl_wait wait;

static struct rdl_lock lock;
static struct rdl_ticket ticket; /* under lock: of the wait that is armed, or a stale one */

static rdl_atomic(unsigned) cause;    /* how often the task was cancelled */
static rdl_atomic(unsigned) noticed;  /* how often it has seen that */
static rdl_atomic(unsigned) queued;   /* how often it was put on a run queue */
static rdl_atomic(unsigned) finished; /* the task has ended */

/* Plain, for ThreadSanitizer: the sleeper's stack, and what each waker counts. */
static unsigned stack;
static unsigned wins[2];

static void owe(enum rdl_fire fire)
{
    if (fire != RDL_FIRE_QUEUE)
        return;
    stack++;
    rdl_atomic_fetch_add_acq_rel(&queued, 1u);
}

static void *wake(void *arg)
{
    unsigned i = *(unsigned *)arg;

    while (!rdl_atomic_load_acquire(&finished)) {
        struct rdl_ticket seen;
        enum rdl_fire fire;

        rdl_lock_acquire(&lock);
        seen = ticket;
        rdl_lock_release(&lock);
        if (!seen.wait)
            continue;
        fire = rdl_wait_fire(seen, (int32_t)i + 1);
        if (fire != RDL_FIRE_LOST)
            wins[i]++;
        owe(fire);
        if (fire == RDL_FIRE_LOST)
            sched_yield();
    }
    return NULL;
}

static void *cancel(void *arg)
{
    for (unsigned i = 1; !rdl_atomic_load_acquire(&finished); i++) {
        rdl_atomic_store_relaxed(&cause, i);
        owe(rdl_wait_poke(&wait, 0, -ECANCELED));
        while (rdl_atomic_load_acquire(&noticed) != i && !rdl_atomic_load_acquire(&finished))
            sched_yield();
    }
    return arg;
}

int main(void)
{
    pthread_t threads[3];
    unsigned numbers[2] = {0, 1};
    unsigned times = 0, by_poke = 0, by_fire = 0;

    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, wake, &numbers[i]))
            return 1;
    if (pthread_create(&threads[2], NULL, cancel, NULL))
        return 1;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct rdl_ticket mine;

        (void)rdl_atomic_exchange_acquire(&wait.poked, 0u);
        rdl_atomic_store_release(&noticed, rdl_atomic_load_relaxed(&cause));

        mine = rdl_wait_arm(&wait);
        if (round % CANCELLED_ONLY) {
            rdl_lock_acquire(&lock);
            ticket = mine;
            rdl_lock_release(&lock);
        }
        stack = 0;
        if (rdl_wait_park(&wait)) {
            while (rdl_atomic_load_acquire(&queued) == times)
                sched_yield();
            times++;
            if (rdl_atomic_load_acquire(&queued) != times || stack != 1) {
                printf("round %u: queued twice\n", round);
                return 1;
            }
        }
        if (rdl_wait_result(&wait) == -ECANCELED)
            by_poke++;
        else
            by_fire++;
    }
    rdl_atomic_store_release(&finished, 1u);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    if (wins[0] + wins[1] != by_fire) {
        printf("%u waits ended by a waker, %u wakers won\n", by_fire, wins[0] + wins[1]);
        return 1;
    }
    printf("%u waits ended by wakers, %u by the canceller, %u slept\n", by_fire, by_poke, times);
    test_counted(by_fire + by_poke, "races");
    return 0;
}
