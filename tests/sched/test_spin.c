/*
 * tests/sched/test_spin.c - the credit of a thread that spins before it sleeps.
 */
#define _GNU_SOURCE
#include "sched/spin.h"

#include <criterion/criterion.h>
#include <sched.h>

#include "sched/sys.h"

enum { SPIN_NS = 30000, SOON_NS = 1000, LATE_NS = 25000, LONG_NS = 1000000 };

/* As on a machine with two CPUs. */
static struct rdl_spin spin_with(unsigned credit)
{
    return (struct rdl_spin){.ns = SPIN_NS, .credit = credit, .wanted = 1};
}

/* Spends all that there is, then says how many short sleeps it takes until a spin is allowed again. */
static unsigned sleeps_for_credit(struct rdl_spin *spin)
{
    unsigned count = 0;

    while (rdl_spin_pays(spin))
        rdl_spin_ended(spin, false, SPIN_NS);
    for (; !rdl_spin_pays(spin) && count < 1000; count++)
        rdl_spin_slept(spin, SOON_NS);
    return count;
}

Test(spin, a_few_in_vain_are_the_last)
{
    struct rdl_spin spin = spin_with(RDL_SPIN_CREDIT);

    for (int i = 0; i < RDL_SPIN_CREDIT; i++) {
        cr_assert(rdl_spin_pays(&spin));
        rdl_spin_ended(&spin, false, SPIN_NS);
    }
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_ended(&spin, false, SPIN_NS);
    cr_assert_not(rdl_spin_pays(&spin));
}

Test(spin, one_in_time_makes_up_for_one_in_vain)
{
    struct rdl_spin spin = spin_with(1);

    for (int i = 0; i < 2 * RDL_SPIN_CREDIT; i++)
        rdl_spin_ended(&spin, true, SOON_NS);
    cr_assert_eq(spin.credit, RDL_SPIN_CREDIT);
    for (int i = 0; i < 100; i++) {
        rdl_spin_ended(&spin, false, SPIN_NS);
        cr_assert(rdl_spin_pays(&spin));
        rdl_spin_ended(&spin, true, SOON_NS);
    }
}

/* To sleep would have cost less, or it was preempted, and the other one ran on its CPU. */
Test(spin, what_comes_late_is_in_vain)
{
    struct rdl_spin spin = spin_with(2);

    rdl_spin_ended(&spin, true, LATE_NS);
    cr_assert(rdl_spin_pays(&spin));
    rdl_spin_ended(&spin, true, LONG_NS);
    cr_assert_not(rdl_spin_pays(&spin));
}

Test(spin, short_sleeps_are_worth_a_try_and_long_ones_are_not)
{
    struct rdl_spin spin = spin_with(0);

    rdl_spin_slept(&spin, LONG_NS);
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_slept(&spin, SOON_NS);
    cr_assert(rdl_spin_pays(&spin));
    rdl_spin_ended(&spin, false, SPIN_NS); /* now it takes two, in a row */
    rdl_spin_slept(&spin, SOON_NS);
    rdl_spin_slept(&spin, LONG_NS);
    rdl_spin_slept(&spin, SOON_NS);
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_slept(&spin, SOON_NS);
    cr_assert(rdl_spin_pays(&spin));
}

Test(spin, what_comes_just_too_late_makes_them_rare)
{
    struct rdl_spin spin = spin_with(RDL_SPIN_CREDIT);
    unsigned last = 1, sleeps;

    for (int i = 0; i < 6; i++) {
        sleeps = sleeps_for_credit(&spin);
        cr_assert_eq(sleeps, 2 * last);
        last = sleeps;
    }
    cr_assert_eq(sleeps_for_credit(&spin), last);
    cr_assert_eq(last, 64);
    for (int i = 0; i < 6; i++)
        rdl_spin_ended(&spin, true, SOON_NS);
    cr_assert_eq(sleeps_for_credit(&spin), 2);
}

Test(spin, never_when_it_is_not_asked_for_nor_on_the_only_cpu)
{
    struct rdl_spin spin;
    cpu_set_t one;

    rdl_spin_init(&spin, 0);
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_init(&spin, SPIN_NS);
    cr_assert_eq(rdl_spin_pays(&spin), rdl_sys_cpus(0) > 1);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    rdl_spin_init(&spin, SPIN_NS);
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_slept(&spin, SOON_NS);
    cr_assert_not(rdl_spin_pays(&spin));
}
