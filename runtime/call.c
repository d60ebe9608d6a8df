/*
 * runtime/call.c - debug mode: which callback a loop is in, for the monitor, and how long the chain is that led to it.
 *
 * A chain is a callback that asks for another to be called soon, which asks for a third, and so on. Its loop goes on
 * polling in between, but never sleeps. Callbacks that call each other to and fro between loops are no chain: each loop
 * rests while the other is at it. The hop number is handed on with each, so the callback with the number that was
 * asked for is met once in a chain, and is the one that reports it.
 */
#include "runtime/call.h"

#include "runtime/describe.h"
#include "runtime/loop.h"
#include "runtime/report.h"

uint32_t rdl_call_next_hop(const struct rdl_loop *there)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct raddle_loop *here;

    if (!loop || loop != there || rdl_fiber_self())
        return 0;
    here = rdl_raddle_loop(loop);
    if (!rdl_atomic_load_relaxed(&here->calling) || here->hops == UINT32_MAX)
        return here->hops;
    return here->hops + 1;
}

void rdl_call_watched(struct rdl_map *vars, raddle_callback_fn *fn, void *arg, uint32_t hops)
{
    struct raddle_loop *loop = rdl_raddle_loop(rdl_loop_current());
    char name[RDL_WHO_BYTES];

    if (hops && hops == loop->debug.chain)
        rdl_report("callback %s is number %u of a chain of callbacks on loop %u, each of which "
                   "asks for the next to "
                   "be called soon: the loop can't rest",
                   rdl_describe_code((void *)(uintptr_t)fn, name), hops, loop->base.index);
    loop->hops = hops;
    rdl_atomic_store_relaxed(&loop->calls, rdl_atomic_load_relaxed(&loop->calls) + 1);
    rdl_atomic_store_relaxed(&loop->calling, fn);
    rdl_vars_call(vars, fn, arg);
    rdl_atomic_store_relaxed(&loop->calling, NULL);
    loop->hops = 0;
}
