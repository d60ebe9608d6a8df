/*
 * tests/sched/test_team.c - what a loop takes from the injector, by how full its queue of woken fibers is.
 */
#include "sched/loop.h"

#include <criterion/criterion.h>

enum { LOOPS = 2, CROWD = 200, BATCH = 32, ALL = RDL_DEQUE_SLOTS + CROWD + 1 };

static struct rdl_loop loops[LOOPS];
static struct rdl_loop *loop_list[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static struct rdl_team team;
static struct rdl_runnable runnables[ALL];

/* So many are ready on the first loop, and CROWD wait in the injector: they are the last of all. */
static struct rdl_loop *loop_with(unsigned ready)
{
    rdl_team_init(&team, loop_list, sleepers, LOOPS);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_list[i] = &loops[i];
        sleepers[i] = &loops[i].sleeper;
        loops[i].team = &team;
        rdl_deque_init(&loops[i].ready);
        rdl_deque_init(&loops[i].fresh);
    }
    for (unsigned i = 0; i < ready; i++)
        rdl_team_push_ready(&loops[0], &runnables[i]);
    cr_assert_eq(rdl_deque_count(&loops[0].ready), ready);
    for (unsigned i = 0; i < CROWD; i++)
        rdl_inject_push(&team.woken, &runnables[ready + i]);
    return &loops[0];
}

static void takes(struct rdl_loop *loop, unsigned wanted)
{
    unsigned ready = rdl_deque_count(&loop->ready), waiting = rdl_inject_count(&team.woken);

    cr_assert_eq(rdl_team_take_in_turn(loop), &runnables[ready]);
    cr_expect_eq(rdl_deque_count(&loop->ready), ready + wanted - 1);
    cr_expect_eq(rdl_inject_count(&team.woken), waiting - wanted);
}

Test(team, a_loop_with_room_takes_a_batch)
{
    takes(loop_with(0), BATCH);
    takes(loop_with(BATCH), BATCH);
    takes(loop_with(RDL_DEQUE_SLOTS - BATCH), BATCH);
}

Test(team, a_loop_with_less_room_takes_what_fits)
{
    takes(loop_with(RDL_DEQUE_SLOTS - 10), 10);
    takes(loop_with(RDL_DEQUE_SLOTS - 1), 1);
    takes(loop_with(RDL_DEQUE_SLOTS), 1);
}

Test(team, a_loop_does_not_take_all_of_what_others_could_run)
{
    struct rdl_loop *loop = loop_with(0);
    unsigned taken;

    while (rdl_inject_count(&team.woken) > 20)
        (void)rdl_inject_take(&team.woken, 1, &taken);
    (void)rdl_team_take_in_turn(loop);
    cr_expect_eq(rdl_inject_count(&team.woken), 20 - (20 / LOOPS + 1));
}

Test(team, looks_are_closer_while_a_crowd_waits_behind_a_full_queue)
{
    struct rdl_loop *loop = loop_with(RDL_DEQUE_SLOTS);
    unsigned taken;

    (void)rdl_team_take_in_turn(loop);
    cr_expect_gt(loop->since_injected, RDL_EVERY_INJECTED / 2);
    cr_expect_lt(loop->since_injected, RDL_EVERY_INJECTED);
    while (rdl_inject_count(&team.woken) > BATCH)
        (void)rdl_inject_take(&team.woken, 1, &taken);
    (void)rdl_team_take_in_turn(loop);
    cr_expect_eq(loop->since_injected, 0);
    loop = loop_with(RDL_DEQUE_SLOTS / 2);
    (void)rdl_team_take_in_turn(loop);
    cr_expect_eq(loop->since_injected, 0);
}

Test(team, who_finds_no_room_is_the_last_in_the_injector)
{
    struct rdl_loop *loop = loop_with(RDL_DEQUE_SLOTS);
    struct rdl_runnable *late = &runnables[ALL - 1], *r;
    unsigned taken;

    rdl_team_push_ready(loop, late);
    cr_expect_eq(rdl_deque_count(&loop->ready), RDL_DEQUE_SLOTS);
    cr_assert_eq(rdl_inject_count(&team.woken), CROWD + 1);
    r = rdl_inject_take(&team.woken, CROWD + 1, &taken);
    while (r->next)
        r = r->next;
    cr_expect_eq(r, late);
}
