/*
 * tests/io/test_sim_options.c - the names of simulated worlds.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "io/sim_options.h"

TestSuite(sim_options, .timeout = 10);

static bool same(const struct rdl_sim_options *a, const struct rdl_sim_options *b)
{
    return a->seed == b->seed && a->seeded == b->seeded && a->latency_ns == b->latency_ns &&
           a->shorts == b->shorts && a->losses == b->losses && a->resets == b->resets;
}

Test(sim_options, a_name_is_told_from_that_of_another_driver)
{
    cr_assert(rdl_sim_is_name("sim"));
    cr_assert(rdl_sim_is_name("sim:seed=1"));
    cr_assert(rdl_sim_is_name("sim:nonsense"));
    cr_assert_not(rdl_sim_is_name("simple"));
    cr_assert_not(rdl_sim_is_name("si"));
    cr_assert_not(rdl_sim_is_name(""));
    cr_assert_not(rdl_sim_is_name("epoll"));
}

Test(sim_options, what_is_not_said_is_as_usual)
{
    struct rdl_sim_options o;

    memset(&o, 0xff, sizeof(o));
    cr_assert_eq(rdl_sim_parse("sim", &o), 0);
    cr_assert_not(o.seeded);
    cr_assert_eq(o.latency_ns, 1000000);
    cr_assert_eq(o.shorts, 25);
    cr_assert(o.losses == 0 && o.resets == 0);
}

Test(sim_options, each_of_them_is_read)
{
    struct rdl_sim_options o;

    cr_assert_eq(rdl_sim_parse("sim:seed=7,latency=3us,short=1,loss=2,reset=100", &o), 0);
    cr_assert(o.seeded && o.seed == 7 && o.latency_ns == 3000 && o.shorts == 1 && o.losses == 2 &&
              o.resets == 100);
    cr_assert_eq(rdl_sim_parse("sim:latency=1000s", &o), 0);
    cr_assert_eq(o.latency_ns, 1000000000000);
    cr_assert_eq(rdl_sim_parse("sim:latency=9ns,seed=0", &o), 0);
    cr_assert(o.latency_ns == 9 && o.seeded && o.seed == 0);
}

Test(sim_options, a_bad_name_changes_nothing)
{
    static const char *const bad[] = {
        "sim:",
        "sim:seed",
        "sim:seed=",
        "sim:seed=x",
        "sim:seed=1,",
        "sim:,seed=1",
        "sim:seed=1;loss=1",
        "sim:loss=101",
        "sim:short=1%",
        "sim:latency=3",
        "sim:latency=s",
        "sim:latency=1h",
        "sim:speed=1",
        "sim:seed=-1",
        "sim:latency=1001s",
        "epoll",
        "sim:seed=18446744073709551616",
        "sim:seed=1 ",
    };
    struct rdl_sim_options o = {.seed = 5}, before = o;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(rdl_sim_parse(bad[i], &o), -EINVAL, "%s", bad[i]);
        cr_assert(same(&o, &before), "%s", bad[i]);
    }
}

Test(sim_options, what_is_written_is_read_as_the_same)
{
    static const char *const names[] = {
        "sim:seed=1",
        "sim:seed=18446744073709551615,latency=1000s,short=100,loss=100,reset=100",
        "sim:seed=3,latency=17us,short=0",
        "sim:seed=4,latency=0ms,loss=1",
        "sim:seed=5,latency=1001ns,reset=2",
    };
    char text[RDL_SIM_NAME];

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct rdl_sim_options o, again;

        cr_assert_eq(rdl_sim_parse(names[i], &o), 0);
        rdl_sim_format(&o, text, sizeof(text));
        cr_assert_eq(rdl_sim_parse(text, &again), 0, "%s", text);
        cr_assert(again.seed == o.seed && again.latency_ns == o.latency_ns &&
                      again.shorts == o.shorts && again.losses == o.losses &&
                      again.resets == o.resets,
                  "%s", text);
    }
}
