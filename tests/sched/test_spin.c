/*
 * tests/sched/test_spin.c - the credit of a thread that spins before it sleeps.
 */
#define _GNU_SOURCE
#include "sched/spin.h"

#include <criterion/criterion.h>
#include <sched.h>

#include "sched/sys.h"

static const int64_t spin_ns = 10000;

static struct rdl_spin two_cpus(void)
{
    return (struct rdl_spin){.ns = spin_ns, .credit = RDL_SPIN_CREDIT};
}

Test(spin, a_few_in_vain_are_the_last)
{
    struct rdl_spin spin = two_cpus();

    for (int i = 0; i < RDL_SPIN_CREDIT; i++) {
        cr_assert(rdl_spin_pays(&spin));
        rdl_spin_ended(&spin, true);
    }
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_ended(&spin, true);
    cr_assert_not(rdl_spin_pays(&spin));
}

Test(spin, one_in_time_fills_the_credit)
{
    struct rdl_spin spin = two_cpus();

    for (int i = 1; i < RDL_SPIN_CREDIT; i++)
        rdl_spin_ended(&spin, true);
    rdl_spin_ended(&spin, false);
    rdl_spin_ended(&spin, true);
    cr_assert(rdl_spin_pays(&spin));
}

Test(spin, a_short_sleep_is_worth_a_try_and_a_long_one_is_not)
{
    struct rdl_spin spin = {.ns = spin_ns};

    rdl_spin_slept(&spin, 1000000);
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_slept(&spin, spin_ns);
    cr_assert(rdl_spin_pays(&spin));
    rdl_spin_ended(&spin, true);
    cr_assert_not(rdl_spin_pays(&spin));
    for (int i = 0; i < 100; i++)
        rdl_spin_slept(&spin, 0);
    cr_assert_eq(spin.credit, RDL_SPIN_CREDIT);
}

Test(spin, never_when_it_is_not_asked_for_nor_on_the_only_cpu)
{
    struct rdl_spin spin;
    cpu_set_t one;

    rdl_spin_init(&spin, 0);
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_init(&spin, spin_ns);
    cr_assert_eq(rdl_spin_pays(&spin), rdl_sys_cpus() > 1);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    rdl_spin_init(&spin, spin_ns);
    cr_assert_not(rdl_spin_pays(&spin));
    rdl_spin_slept(&spin, 0);
    cr_assert_not(rdl_spin_pays(&spin));
}
