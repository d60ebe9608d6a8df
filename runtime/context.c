/*
 * runtime/context.c - context variables: get, set, reset; contexts that are held on to.
 *
 * A variable gets a number when it is first set, by which it is found in the map. So a variable that goes away leaves
 * nothing that another at the same address could find.
 *
 * A raddle_ctx may be shared by tasks that run at the same time, and its map is changed and read under its lock. Under
 * it nothing is allocated and nothing dropped: who sets takes a reference to the map, makes a changed copy, and puts
 * that in its place if it is still the same map. It can't be another one at the same address, because of the
 * reference.
 *
 * A plain thread's record hangs on a key. Where the thread has none and only calls something (a job of an executor),
 * it lies in the caller's frame.
 */
#define _GNU_SOURCE
#include "runtime/context.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "runtime/loop.h"
#include "runtime/task.h"
#include "sched/lock.h"
#include "sched/sys.h"

/* What struct raddle_var holds. */
struct var {
    const char *name;
    const void *otherwise;
    raddle_var_drop_fn *drop;
    rdl_atomic(uint32_t) number; /* plus one; 0: it was never set anywhere */
};

static_assert(sizeof(struct var) <= sizeof(struct raddle_var) &&
                  offsetof(struct var, drop) == offsetof(struct raddle_var, drop) &&
                  offsetof(struct var, number) == offsetof(struct raddle_var, raddle_private),
              "fits what users compile in");

/* What struct raddle_var_token holds. */
struct token {
    struct rdl_binding *before; /* NULL: it wasn't set */
    uint64_t context;
    uint32_t number; /* plus one; 0: it is used up */
};

static_assert(sizeof(struct token) <= sizeof(struct raddle_var_token),
              "fits what users compile in");

struct raddle_ctx {
    rdl_atomic(uint32_t) references;
    struct rdl_lock lock;
    struct rdl_map *map; /* under lock */
    bool entered;        /* a raddle_ctx_run() is under way. Under lock */
    uint64_t id;
};

static const struct var *of(const struct raddle_var *var)
{
    return (const struct var *)(const void *)var;
}

static uint64_t new_id(void)
{
    static rdl_atomic(uint64_t) last;

    return rdl_atomic_fetch_add_relaxed(&last, 1u) + 1;
}

/* Whose variables. */

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void thread_ended(void *vars)
{
    rdl_vars_fini(vars);
    rdl_sys_free(vars);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, thread_ended) == 0;
}

static __attribute__((noinline)) struct rdl_vars *vars_of_thread(void)
{
#ifdef RDL_MODEL
    return NULL; /* its threads are not the system's, and set nothing */
#endif
    (void)pthread_once(&key_once, make_key);
    return has_key ? pthread_getspecific(key) : NULL;
}

/* False: no memory. */
static bool give_thread(struct rdl_vars *vars)
{
    return has_key && pthread_setspecific(key, vars) == 0;
}

/* NULL: a plain thread that has none yet. */
static inline struct rdl_vars *current(void)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_fiber *fiber;

    if (__builtin_expect(!loop, 0))
        return vars_of_thread();
    fiber = rdl_atomic_load_relaxed(&loop->current);
    return fiber ? &((struct rdl_task *)(void *)fiber)->vars : &rdl_raddle_loop(loop)->vars;
}

static struct rdl_vars *current_or_new(void)
{
    struct rdl_vars *vars = current();

    if (vars)
        return vars;
    vars = rdl_sys_calloc(1, sizeof(*vars));
    if (vars && !give_thread(vars)) {
        rdl_sys_free(vars);
        return NULL;
    }
    return vars;
}

static uint64_t id_of(struct rdl_vars *vars)
{
    if (vars->ctx)
        return vars->ctx->id;
    if (!vars->id)
        vars->id = new_id();
    return vars->id;
}

static struct rdl_map *map_of(raddle_ctx *ctx)
{
    struct rdl_map *map;

    rdl_lock_acquire(&ctx->lock);
    map = rdl_map_ref(ctx->map);
    rdl_lock_release(&ctx->lock);
    return map;
}

struct rdl_map *rdl_vars_capture(void)
{
    struct rdl_vars *vars = current();

    if (!vars)
        return NULL;
    return vars->ctx ? map_of(vars->ctx) : rdl_map_ref(vars->map);
}

void rdl_vars_fini(struct rdl_vars *vars)
{
    struct rdl_vars old = *vars;

    /* A drop function may look at variables. */
    *vars = (struct rdl_vars){.depth = old.depth};
    rdl_map_unref(old.map);
    raddle_ctx_unref(old.ctx);
}

/* A plain thread has no variables again. */
static void take_back(void *vars)
{
    (void)give_thread(NULL);
    rdl_vars_fini(vars);
}

/*
 * Runs fn(arg) with other variables, whose references it takes over. A record stays where it is while fn runs: a
 * task's moves with the task, and a callback or a plain thread doesn't move. False, with fn not called: no memory.
 */
static bool call_with(struct rdl_vars vars, void (*fn)(void *), void *arg)
{
    struct rdl_vars *at = current(), saved;

    if (!at) {
        if (!give_thread(&vars))
            return false;
        /* fn may end the thread, whose key must not point into this frame then. */
        pthread_cleanup_push(take_back, &vars);
        fn(arg);
        pthread_cleanup_pop(1);
        return true;
    }
    saved = *at;
    vars.depth = saved.depth + 1;
    *at = vars;
    fn(arg);
    vars = *at;
    *at = saved;
    rdl_vars_fini(&vars);
    return true;
}

void rdl_vars_call(struct rdl_map *captured, void (*fn)(void *arg), void *arg)
{
    struct rdl_vars *at;

    /* Most have nothing set, and come where nothing is set. */
    if (!captured && (!(at = current()) || rdl_vars_empty(at))) {
        fn(arg);
        if ((at = current()))
            rdl_vars_fini(at);
        return;
    }
    if (call_with((struct rdl_vars){.map = captured}, fn, arg))
        return;
    /* Of a thread that can't even keep a pointer. It sees what no variable is set to. */
    rdl_map_unref(captured);
    fn(arg);
}

/* Variables. */

static uint32_t number_of(struct raddle_var *var)
{
    struct var *v = (struct var *)(void *)var;
    static rdl_atomic(uint32_t) last;
    uint32_t number = rdl_atomic_load_relaxed(&v->number), none = 0;

    if (number)
        return number;
    number = rdl_atomic_fetch_add_relaxed(&last, 1u) + 1;
    rdl_check(number, "more context variables than there are numbers");
    /* Two that set it at once: the first is right, and a number is wasted. */
    return rdl_atomic_cas_relaxed(&v->number, &none, number) ? number : none;
}

/* In a context that others share. */
static __attribute__((noinline)) bool find_in(raddle_ctx *ctx, uint32_t number, void **out)
{
    struct rdl_binding *binding;

    rdl_lock_acquire(&ctx->lock);
    binding = rdl_map_find(ctx->map, number - 1);
    if (binding)
        *out = binding->value;
    rdl_lock_release(&ctx->lock);
    return binding != NULL;
}

static inline bool find(const struct raddle_var *var, void **out)
{
    uint32_t number = rdl_atomic_load_relaxed(&of(var)->number);
    struct rdl_binding *binding;
    struct rdl_vars *vars;

    if (!number || !(vars = current()))
        return false;
    if (__builtin_expect(vars->ctx != NULL, 0))
        return find_in(vars->ctx, number, out);
    binding = rdl_map_find(vars->map, number - 1);
    if (binding)
        *out = binding->value;
    return binding != NULL;
}

void *raddle_var_get(const struct raddle_var *var)
{
    void *value = (void *)(uintptr_t)var->otherwise;

    (void)find(var, &value);
    return value;
}

int raddle_var_lookup(const struct raddle_var *var, void **out)
{
    if (!var || !out)
        return -EINVAL;
    return find(var, out) ? 0 : -ENOENT;
}

/* As rdl_map_put(), in what may be shared. */
static int put_in(raddle_ctx *ctx, uint32_t number, struct rdl_binding *binding,
                  struct rdl_binding **old)
{
    struct rdl_map *before, *after;
    bool same = false;
    int rc = 0;

    while (rc == 0 && !same) {
        before = map_of(ctx);
        after = rdl_map_ref(before);
        rc = rdl_map_put(&after, number, binding, old);
        rdl_lock_acquire(&ctx->lock);
        same = rc == 0 && ctx->map == before;
        if (same)
            ctx->map = after;
        rdl_lock_release(&ctx->lock);
        if (same) {
            rdl_map_unref(before); /* the context's */
        } else if (rc == 0) {
            (void)rdl_binding_ref(binding); /* the copy's, which goes; ours is for the next try */
            rdl_binding_unref(*old);
        }
        if (!same)
            rdl_map_unref(after);
        rdl_map_unref(before);
    }
    return rc;
}

static int put(struct rdl_vars *vars, uint32_t number, struct rdl_binding *binding,
               struct rdl_binding **old)
{
    if (vars->ctx)
        return put_in(vars->ctx, number - 1, binding, old);
    return rdl_map_put(&vars->map, number - 1, binding, old);
}

int raddle_var_set(struct raddle_var *var, const void *value, struct raddle_var_token *token)
{
    struct rdl_binding *binding, *old;
    struct rdl_vars *vars;
    uint32_t number;
    int rc;

    if (!var)
        return -EINVAL;
    vars = current_or_new();
    binding = vars ? rdl_binding_create((void *)(uintptr_t)value, var->drop) : NULL;
    if (!binding)
        return -ENOMEM;
    number = number_of(var);
    rc = put(vars, number, binding, &old);
    if (rc < 0) {
        rdl_sys_free(binding); /* the value is the caller's */
        return rc;
    }
    if (token)
        *(struct token *)(void *)token =
            (struct token){.before = old, .context = id_of(vars), .number = number};
    else
        rdl_binding_unref(old);
    return 0;
}

int raddle_var_reset(struct raddle_var *var, struct raddle_var_token *token)
{
    struct token *t = (struct token *)(void *)token;
    struct rdl_vars *vars = current();
    struct rdl_binding *old;
    int rc;

    if (!var || !token || !vars || !t->number ||
        t->number != rdl_atomic_load_relaxed(&of(var)->number) || t->context != id_of(vars))
        return -EINVAL;
    rc = put(vars, t->number, t->before, &old);
    if (rc < 0)
        return rc;
    *t = (struct token){.number = 0};
    rdl_binding_unref(old);
    return 0;
}

void raddle_var_token_fini(struct raddle_var_token *token)
{
    struct token *t = (struct token *)(void *)token;
    struct rdl_binding *before;

    if (!token || !t->number)
        return;
    before = t->before;
    *t = (struct token){.number = 0};
    rdl_binding_unref(before);
}

/* Contexts. */

static int make_ctx(struct rdl_map *map, raddle_ctx **out)
{
    raddle_ctx *ctx = rdl_sys_calloc(1, sizeof(*ctx));

    if (!ctx) {
        rdl_map_unref(map);
        return -ENOMEM;
    }
    rdl_atomic_init(&ctx->references, 1u);
    ctx->map = map;
    ctx->id = new_id();
    *out = ctx;
    return 0;
}

int raddle_ctx_create(raddle_ctx **out)
{
    return out ? make_ctx(NULL, out) : -EINVAL;
}

int raddle_ctx_copy(raddle_ctx **out)
{
    return out ? make_ctx(rdl_vars_capture(), out) : -EINVAL;
}

raddle_ctx *raddle_ctx_ref(raddle_ctx *ctx)
{
    rdl_atomic_fetch_add_relaxed(&ctx->references, 1u);
    return ctx;
}

void raddle_ctx_unref(raddle_ctx *ctx)
{
    /* acq_rel: what others did with it comes before the free. */
    if (!ctx || rdl_atomic_fetch_sub_acq_rel(&ctx->references, 1u) != 1)
        return;
    rdl_map_unref(ctx->map);
    rdl_sys_free(ctx);
}

struct call {
    raddle_task_fn *fn;
    void *arg;
    int rc;
};

static void call_fn(void *arg)
{
    struct call *call = arg;

    call->rc = call->fn(call->arg);
}

/* False: somebody runs in it. */
static bool enter(raddle_ctx *ctx)
{
    struct rdl_vars *vars = current();
    bool entered;

    if (vars && vars->ctx == ctx)
        return false;
    rdl_lock_acquire(&ctx->lock);
    entered = ctx->entered;
    ctx->entered = true;
    rdl_lock_release(&ctx->lock);
    return !entered;
}

static void leave(raddle_ctx *ctx)
{
    rdl_lock_acquire(&ctx->lock);
    ctx->entered = false;
    rdl_lock_release(&ctx->lock);
}

int raddle_ctx_run(raddle_ctx *ctx, raddle_task_fn *fn, void *arg)
{
    struct call call = {.fn = fn, .arg = arg, .rc = -ENOMEM};

    if (!ctx || !fn)
        return -EINVAL;
    if (!enter(ctx))
        return -EBUSY;
    if (!call_with((struct rdl_vars){.ctx = raddle_ctx_ref(ctx)}, call_fn, &call))
        raddle_ctx_unref(ctx);
    leave(ctx);
    return call.rc;
}

void *raddle_ctx_get(raddle_ctx *ctx, const struct raddle_var *var)
{
    uint32_t number = rdl_atomic_load_relaxed(&of(var)->number);
    void *value = (void *)(uintptr_t)var->otherwise;

    if (number)
        (void)find_in(ctx, number, &value);
    return value;
}
