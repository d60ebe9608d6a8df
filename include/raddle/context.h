/*
 * raddle/context.h - context variables: values that a task hands on to all that it starts.
 *
 *     static struct raddle_var request = RADDLE_VAR_INIT("request", "none", NULL);
 *
 *     rc = raddle_var_set(&request, "42", NULL);
 *     if (rc == 0)
 *         rc = raddle_spawn(&g, NULL, work, arg, NULL);
 *     ...
 *     puts(raddle_var_get(&request));                    // in work(), and in what it starts
 *
 * A context is what all variables are set to. Whoever runs has one, and who is started begins with a copy of its
 * starter's, whatever number of variables that is at no more than the cost of counting a reference. From then on
 * neither sees what the other sets.
 *
 *     a task                      has what its spawner had at that moment, or options->context
 *     the main task of a run      has what the thread had that called raddle_run() or runs the loop
 *     those of a runner's runs    share one, which begins as what the thread had (raddle/runner.h)
 *     a connection's handler      has what the task had that called raddle_serve()
 *     a callback of a loop        has what was there when it was registered; what it sets is gone when it returns
 *     a job of an executor        has what the task had that waits for it. In asyncio to_thread() does that and
 *                                 run_in_executor() doesn't: here nothing has to be wrapped
 *     a generator                 has none of its own: at each step that of the task that asks for the next item
 *     a plain thread              has its own, empty at first
 *
 * Unlike thread-local storage a variable keeps its value when the task wakes on another thread. What a read costs is
 * a few nanoseconds, and a set a small allocation.
 *
 * Values are pointers, which belong to the caller: children end before what lies in the frame that waits for them,
 * but a callback may run later. A variable with a drop function owns its values: each is dropped once, when no
 * context and no token has it any more.
 */
#ifndef RADDLE_CONTEXT_H
#define RADDLE_CONTEXT_H

#include <stdint.h>

#include <raddle/task.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Told of a value that no context has any more. In whichever thread that happens, where it must not suspend. */
typedef void raddle_var_drop_fn(void *value);

/** A context variable: usually static. Must not move once it was used; the private part is the library's. */
struct raddle_var {
    const char *name;
    const void *otherwise;    /**< What raddle_var_get() returns where it isn't set. */
    raddle_var_drop_fn *drop; /**< NULL: values are the caller's. */
    uintptr_t raddle_private[2];
};

/** What a struct raddle_var begins as. */
#define RADDLE_VAR_INIT(name, otherwise, drop)                                                     \
    {                                                                                              \
        (name), (otherwise), (drop),                                                               \
        {                                                                                          \
            0, 0                                                                                   \
        }                                                                                          \
    }

/** What a variable was before it was set, in the caller's memory. Zero is none. */
struct raddle_var_token {
    uintptr_t raddle_private[4];
};

/** A context that is held on to: counted, thread-safe. */
typedef struct raddle_ctx raddle_ctx;

/**
 * The value of var in the caller's context, or var->otherwise.
 *
 * Context   Any thread, task or callback.
 * Lifetime  The value's owner sees to it. A task that runs in a raddle_ctx shares it with others: one that sets var
 *           there may drop the value.
 * Since     0.1
 */
RADDLE_API void *raddle_var_get(const struct raddle_var *var);

/**
 * As raddle_var_get(), for who has to know whether it is set: var->otherwise doesn't count.
 *
 * Returns   0 with *out written; -ENOENT: it isn't set here; -EINVAL: an argument is NULL
 * Context   Any thread, task or callback.
 * Since     0.1
 */
RADDLE_API int raddle_var_lookup(const struct raddle_var *var, void **out);

/**
 * Sets var in the caller's context.
 *
 * token     NULL, or receives what raddle_var_reset() needs; then it is to be given to that, or to
 *           raddle_var_token_fini()
 * Returns   0, or, with nothing set, the value still the caller's and *token untouched,
 *           -ENOMEM  no memory
 *           -EINVAL  var is NULL
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_var_set(struct raddle_var *var, const void *value,
                                               struct raddle_var_token *token);

/**
 * Makes var what it was before the raddle_var_set() that wrote *token, also when it was set again since. The token
 * is used up.
 *
 * Returns   0, or, with nothing changed,
 *           -EINVAL  token is zero or used up, of another variable, or of another context than the caller's; an
 *                    argument is NULL
 *           -ENOMEM  no memory; the token can be used again
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_var_reset(struct raddle_var *var, struct raddle_var_token *token);

/**
 * Gives a token up: what it remembers is forgotten. One that is used up, zero or NULL does nothing.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_var_token_fini(struct raddle_var_token *token);

/**
 * Makes an empty context.
 *
 * Returns   0 with *out written; -ENOMEM; -EINVAL: out is NULL
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_ctx_unref().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_ctx_create(raddle_ctx **out);

/**
 * Copies the caller's context, at the same cost however much is set in it.
 *
 * Returns   as raddle_ctx_create()
 * Context   Any thread, task or callback.
 * Lifetime  *out is one reference, given back by raddle_ctx_unref().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_ctx_copy(raddle_ctx **out);

/**
 * Takes another reference. Returns ctx, which must not be NULL.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_ctx *raddle_ctx_ref(raddle_ctx *ctx);

/**
 * Gives a reference back; NULL does nothing. Tasks that run in ctx have one each.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_ctx_unref(raddle_ctx *ctx);

/**
 * Calls fn(arg) in ctx instead of the caller's context: what fn sets is still set in ctx afterwards, and not in the
 * caller's. fn may suspend if the caller may.
 *
 * Returns   what fn returned, or, with fn not called,
 *           -EBUSY   ctx is being run in already, or the caller runs in it
 *           -ENOMEM  no memory (in a plain thread)
 *           -EINVAL  ctx or fn is NULL
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point of its own.
 * Since     0.1
 */
RADDLE_API int raddle_ctx_run(raddle_ctx *ctx, raddle_task_fn *fn, void *arg);

/**
 * The value of var in ctx, or var->otherwise.
 *
 * Context   Any thread.
 * Lifetime  As raddle_var_get()'s, in a context that is shared.
 * Since     0.1
 */
RADDLE_API void *raddle_ctx_get(raddle_ctx *ctx, const struct raddle_var *var);

#ifdef __cplusplus
}
#endif

#endif
