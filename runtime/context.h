/*
 * runtime/context.h - whose context variables are in force, and how they are handed on.
 *
 * Each task has a struct rdl_vars, each loop one for the callback that it calls, and each plain thread that sets a
 * variable. It belongs to who runs; only the map in it and the context are shared with others.
 */
#ifndef RDL_RUNTIME_CONTEXT_H
#define RDL_RUNTIME_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle/context.h>

#include "runtime/map.h"

/* Zeroed: nothing is set. */
struct rdl_vars {
    struct rdl_map *map; /* unless ctx */
    raddle_ctx *ctx;     /* the values are its, and shared */
    uint64_t id;         /* of this context, for tokens; 0: nobody has asked yet */
    uint32_t depth;      /* how many calls with other variables are under way */
};

/* Nothing is set, and no context entered. */
static inline bool rdl_vars_empty(const struct rdl_vars *vars)
{
    return !vars->map && !vars->ctx;
}

/* What one who is started now begins with: the caller's reference. */
struct rdl_map *rdl_vars_capture(void);

/* Gives back what is in it. */
void rdl_vars_fini(struct rdl_vars *vars);

/* Calls fn(arg) with captured set, to which the caller's reference is taken over. In a callback of a loop, a plain
 * thread, or a task. */
void rdl_vars_call(struct rdl_map *captured, void (*fn)(void *arg), void *arg);

#endif
