/*
 * runtime/call.h - calls a callback of a loop; in debug mode it is seen doing so.
 */
#ifndef RDL_RUNTIME_CALL_H
#define RDL_RUNTIME_CALL_H

#include <stdint.h>

#include <raddle/loop.h>

#include "runtime/context.h"
#include "runtime/debug.h"

struct rdl_loop;

uint32_t rdl_call_next_hop(const struct rdl_loop *there);
void rdl_call_watched(struct rdl_map *vars, raddle_callback_fn *fn, void *arg, uint32_t hops);

/* How many callbacks led to the one that is asked for now, there, each asking for the next: 0 outside of a callback of
 * that loop, and when nobody wants to know. */
static inline uint32_t rdl_call_hops(const struct raddle_loop *there)
{
    return rdl_debug_watches_calls()
               ? rdl_call_next_hop((const struct rdl_loop *)(const void *)there)
               : 0;
}

/* rdl_vars_call() on the loop's thread, for a callback that was asked for with so many hops; 0 when it is I/O or the time
 * that calls it. */
static inline void rdl_call(struct rdl_map *vars, raddle_callback_fn *fn, void *arg, uint32_t hops)
{
    if (rdl_debug_watches_calls())
        rdl_call_watched(vars, fn, arg, hops);
    else
        rdl_vars_call(vars, fn, arg);
}

#endif
