/*
 * tests/sched/test_wait.c - the wait protocol, one interleaving per test, all on one thread;
 * tests/race/race_wait.c races the same calls, and tests/model/scenario_wait.c has them in every
 * order.
 */
#include "sched/wait.h"

#include <errno.h>
#include <criterion/criterion.h>

TestSuite(wait, .timeout = 10);

static struct rdl_wait w;

Test(wait, fire_before_park_sends_the_task_straight_back)
{
    struct rdl_ticket ticket = rdl_wait_arm(&w);

    cr_assert_eq(rdl_wait_fire(ticket, -ETIMEDOUT), RDL_FIRE_WON);
    cr_assert_not(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_result(&w), -ETIMEDOUT);
}

Test(wait, fire_after_park_makes_the_task_the_wakers)
{
    struct rdl_ticket ticket = rdl_wait_arm(&w);

    cr_assert(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_fire(ticket, 7), RDL_FIRE_QUEUE);
    cr_assert_eq(rdl_wait_result(&w), 7);
}

Test(wait, the_second_to_fire_loses)
{
    struct rdl_ticket ticket = rdl_wait_arm(&w);

    cr_assert_eq(rdl_wait_fire(ticket, 1), RDL_FIRE_WON);
    cr_assert_eq(rdl_wait_fire(ticket, 2), RDL_FIRE_LOST);
    cr_assert_not(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_fire(ticket, 3), RDL_FIRE_LOST);
    cr_assert_eq(rdl_wait_result(&w), 1);
}

Test(wait, every_result_of_32_bits_arrives)
{
    static const int32_t results[] = {0, 1, -1, INT32_MAX, INT32_MIN, -ECANCELED};

    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct rdl_ticket ticket = rdl_wait_arm(&w);

        cr_assert_eq(rdl_wait_fire(ticket, results[i]), RDL_FIRE_WON);
        cr_assert_not(rdl_wait_park(&w));
        cr_assert_eq(rdl_wait_result(&w), results[i]);
    }
}

Test(wait, a_stale_ticket_loses_in_every_phase)
{
    struct rdl_ticket stale = rdl_wait_arm(&w), ticket;

    cr_assert(rdl_wait_disarm(&w));
    cr_assert_eq(rdl_wait_fire(stale, 1), RDL_FIRE_LOST, "idle");
    ticket = rdl_wait_arm(&w);
    cr_assert_eq(rdl_wait_fire(stale, 1), RDL_FIRE_LOST, "armed");
    cr_assert(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_fire(stale, 1), RDL_FIRE_LOST, "parked");
    cr_assert_eq(rdl_wait_fire(ticket, 2), RDL_FIRE_QUEUE);
    cr_assert_eq(rdl_wait_fire(stale, 1), RDL_FIRE_LOST, "fired");
    cr_assert_eq(rdl_wait_result(&w), 2);
}

Test(wait, a_ticket_can_be_had_while_the_wait_lasts)
{
    struct rdl_ticket armed = rdl_wait_arm(&w);

    cr_assert_eq(rdl_wait_ticket(&w).armed, armed.armed);
    cr_assert(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_ticket(&w).armed, armed.armed);
    cr_assert_eq(rdl_wait_fire(rdl_wait_ticket(&w), 1), RDL_FIRE_QUEUE);
    cr_assert_eq(rdl_wait_ticket(&w).armed, armed.armed);
}

Test(wait, disarm_says_whether_somebody_fired)
{
    struct rdl_ticket ticket;

    (void)rdl_wait_arm(&w);
    cr_assert(rdl_wait_disarm(&w));
    ticket = rdl_wait_arm(&w);
    cr_assert_eq(rdl_wait_fire(ticket, 5), RDL_FIRE_WON);
    cr_assert_not(rdl_wait_disarm(&w));
    cr_assert_eq(rdl_wait_result(&w), 5);
}

Test(wait, a_poke_ends_an_armed_and_a_parked_wait)
{
    (void)rdl_wait_arm(&w);
    cr_assert_eq(rdl_wait_poke(&w, 0, -ECANCELED), RDL_FIRE_WON);
    cr_assert_not(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_result(&w), -ECANCELED);
    cr_assert_eq(rdl_atomic_exchange_acquire(&w.poked, 0u), 1);

    (void)rdl_wait_arm(&w);
    cr_assert(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_poke(&w, 0, -ECANCELED), RDL_FIRE_QUEUE);
    cr_assert_eq(rdl_wait_result(&w), -ECANCELED);
}

Test(wait, a_poke_of_a_running_task_is_noticed_when_it_parks)
{
    cr_assert_eq(rdl_wait_poke(&w, 0, -ECANCELED), RDL_FIRE_LOST);
    (void)rdl_wait_arm(&w);
    cr_assert_not(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_result(&w), -ECANCELED);
}

Test(wait, a_task_that_has_looked_is_not_disturbed_again)
{
    cr_assert_eq(rdl_wait_poke(&w, 0, -ECANCELED), RDL_FIRE_LOST);
    (void)rdl_atomic_exchange_acquire(&w.poked, 0u);
    (void)rdl_wait_arm(&w);
    cr_assert(rdl_wait_park(&w));
}

Test(wait, a_shield_holds_off_pokes_from_outside_only)
{
    rdl_atomic_store_relaxed(&w.shield_depth, 2u);
    (void)rdl_wait_arm(&w);
    cr_assert(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_poke(&w, 1, -ECANCELED), RDL_FIRE_LOST);
    cr_assert_eq(rdl_atomic_load_relaxed(&w.poked), 1, "for the task to see later");
    cr_assert_eq(rdl_wait_poke(&w, 2, -ECANCELED), RDL_FIRE_QUEUE);
}

Test(wait, generations_come_round)
{
    struct rdl_ticket stale, ticket;

    rdl_atomic_store_relaxed(&w.word, UINT64_C(0xfffffff8)); /* idle, the last but one */
    stale = rdl_wait_arm(&w);
    cr_assert(rdl_wait_disarm(&w));
    ticket = rdl_wait_arm(&w);
    cr_assert_eq(rdl_wait_fire(stale, 1), RDL_FIRE_LOST);
    cr_assert_eq(rdl_wait_fire(ticket, 2), RDL_FIRE_WON);
    cr_assert_not(rdl_wait_park(&w));
    cr_assert_eq(rdl_wait_result(&w), 2);
}
