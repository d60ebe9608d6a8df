/*
 * io/driver.c - reading what a driver counts.
 */
#include "io/driver.h"

static uint64_t get(const rdl_atomic(uint64_t) * counter)
{
    return rdl_atomic_load_relaxed(counter);
}

void rdl_driver_stats(const struct rdl_driver *driver, struct rdl_driver_stats *out)
{
    const struct rdl_driver_counters *c =
        &((const struct rdl_io_driver *)(const void *)driver)->counters;

    *out = (struct rdl_driver_stats){
        .submits = get(&c->submits),
        .at_once = get(&c->at_once),
        .completions = get(&c->completions),
        .syscalls = get(&c->syscalls),
        .overflows = get(&c->overflows),
        .stale = get(&c->stale),
        .wakes = get(&c->wakes),
    };
}
