/*
 * runtime/generator.c - generators: a second stack, and a third, for one task.
 *
 * The danger. A task is known to the scheduler by its fiber, whose coroutine is saved when it parks and resumed when
 * it is woken, with all that the tools have to be told of the stack: its bounds, ASan's fake stack, TSan's fibre.
 * A generator that waits parks the fiber while it stands on another stack.
 *
 * So the fiber's coroutine is always that of the stack on which the task stands. It changes with each step:
 *
 *               fiber.co            gen->inside    gen->caller
 *     asked     the caller's        its own        -
 *     runs      its own             -              the caller's
 *     yields    the caller's        its own        -
 *
 * in which a copy is as good as the original, as a coroutine is made to be moved while nobody switches: what it holds
 * are bounds and handles. All else of the fiber, its wait above all, stays on the task's own stack and in its record.
 * A generator that asks another one is, to that, the caller.
 *
 * busy decides between tasks that ask at the same time. Its release hands the generator's stack on to the next one's
 * acquire.
 *
 * An overflow is found by the record of the stack that it happened on, which has no owner here: user leads to the
 * record of the stack below it, and in the end to the task's.
 */
#define _GNU_SOURCE
#include "runtime/generator.h"

#include <errno.h>
#include <raddle/error.h>

#include "runtime/report.h"
#include "runtime/waiter.h"
#include "sched/loop.h"

enum state { NEW, YIELDED, ENDED };

enum { REFUSED_MAX = 1000 };

static_assert(sizeof(struct raddle_gen) <= 512,
              "most of the first page of the stack is for its function");

/* From its own stack to that of who asked, which is that of the fiber again: the one that is returned. */
static struct rdl_coroutine *hand_back(struct raddle_gen *gen)
{
    struct rdl_fiber *fiber = &gen->task->fiber;

    gen->inside = fiber->co;
    fiber->co = gen->caller;
    return &fiber->co;
}

/* Does a lock that is held lie in the generator's frames? */
static bool lies_in(const struct raddle_gen *gen, const struct rdl_held *held)
{
    return (const char *)held >= gen->stack->low && (const char *)held < gen->stack->top;
}

static void check_held(const struct raddle_gen *gen)
{
    for (struct rdl_held *held = gen->task->held; held; held = held->next)
        rdl_check(!lies_in(gen, held),
                  "a generator returned while its task held a lock that lay in its frame");
}

static struct rdl_coroutine *gen_main(void *arg)
{
    struct raddle_gen *gen = arg;
    struct rdl_coroutine *to;
    int rc = gen->fn(gen, gen->arg);

    rdl_check(gen->task == rdl_task_self() && gen->task->gen == gen,
              "a generator returned in a task that does not run it");
    rdl_check(gen->task->fiber.scope == gen->scope,
              "a generator returned without leaving a scope or a group");
    check_held(gen);
    gen->rc = rc;
    gen->state = ENDED;
    to = hand_back(gen);
    gen->inside.sp = NULL; /* a fault for who would resume it */
    return to;
}

int raddle_gen_open_at(raddle_gen **out, raddle_gen_fn *fn, void *arg,
                       const struct raddle_gen_options *options, const char *name)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_stack *stack;
    struct raddle_gen *gen;
    char *top;
    int rc;

    if (!out || !fn)
        return -EINVAL;
    for (unsigned i = 0; options && i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;
    rc = rdl_stack_get(loop ? &loop->stacks : NULL, options ? options->stack_bytes : 0, &stack);
    if (rc < 0)
        return rc;
    top = stack->top - ((sizeof(*gen) + 63) & ~(size_t)63);
    gen = (struct raddle_gen *)(void *)top;
    *gen = (struct raddle_gen){.stack = stack, .fn = fn, .arg = arg, .name = name ? name : "?"};
    rdl_coroutine_init(&gen->inside, stack->low, top, gen_main, gen);
    *out = gen;
    return 0;
}

static void free_gen(struct raddle_gen *gen)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_stack *stack = gen->stack;

    rdl_coroutine_fini(&gen->inside);
    rdl_stack_put(loop ? &loop->stacks : NULL, stack);
}

/* acquire pairs with the release below. */
static bool begin(struct raddle_gen *gen)
{
    return !rdl_atomic_exchange_acquire(&gen->busy, 1u);
}

static void end(struct raddle_gen *gen)
{
    rdl_atomic_store_release(&gen->busy, 0u);
}

/* Runs gen, which has begun and not ended, until it yields or ends: 1, or what it ended with. After it the thread may
 * be another one. */
static int step(struct raddle_gen *gen, struct rdl_task *self)
{
    struct rdl_fiber *fiber = &self->fiber;
    struct raddle_gen *outer = self->gen;

    gen->task = self;
    gen->outer = outer;
    gen->scope = fiber->scope;
    gen->depth = self->vars.depth;
    rdl_atomic_store_relaxed(&gen->stack->user, outer ? outer->stack : fiber->stack);
    self->gen = gen;
    rdl_atomic_store_relaxed(&self->gen_name, gen->name);

    gen->caller = fiber->co;
    fiber->co = gen->inside;
    rdl_coroutine_switch(&gen->caller, &fiber->co);

    rdl_atomic_store_relaxed(&self->gen_name, outer ? outer->name : NULL);
    self->gen = outer;
    rdl_atomic_store_relaxed(&gen->stack->user, NULL);
    if (gen->state == YIELDED)
        return 1;
    return gen->rc < 0 ? gen->rc : 0;
}

/* The caller has begun. */
static int advance(struct raddle_gen *gen, struct rdl_task *self, void *send, int thrown,
                   void **item)
{
    int rc;

    if (thrown && gen->state == NEW)
        gen->state = ENDED;
    if (gen->state == ENDED)
        return thrown;
    gen->sent = send;
    gen->thrown = thrown;
    rc = step(gen, self);
    if (rc == 1 && item)
        *item = gen->item;
    return rc;
}

static int ask(struct raddle_gen *gen, void *send, int thrown, void **item)
{
    struct rdl_task *self = rdl_task_self();
    int rc;

    if (!gen)
        return -EINVAL;
    if (!self)
        return -EPERM;
    rc = rdl_cancel_check(&self->fiber);
    if (rc < 0)
        return rc;
    if (!begin(gen))
        return -EBUSY;
    rc = advance(gen, self, send, thrown, item);
    end(gen);
    return rc;
}

int raddle_gen_next(raddle_gen *gen, void *send, void **item)
{
    return ask(gen, send, 0, item);
}

int raddle_gen_throw(raddle_gen *gen, int rc, void **item)
{
    return rc < 0 ? ask(gen, NULL, rc, item) : -EINVAL;
}

/* It is being closed, and yields instead of returning. */
static int refuse(struct raddle_gen *gen)
{
    if (gen->refused++ == 0)
        rdl_report("generator %s, in task \"%s\", yields although it is being closed", gen->name,
                   gen->task->name);
    rdl_check(gen->refused < REFUSED_MAX, "a generator that is being closed doesn't end");
    return -ECANCELED;
}

int raddle_gen_yield(raddle_gen *gen, void *item, void **sent)
{
    struct rdl_task *self = rdl_task_self();

    if (!self)
        return -EPERM;
    if (!gen || self->gen != gen)
        return -EINVAL;
    if (gen->closing)
        return refuse(gen);
    /* What lies in its frames and is linked to the task must not stay there when the task goes on outside. */
    if (self->fiber.scope != gen->scope || self->vars.depth != gen->depth)
        return -EDEADLK;
    for (struct rdl_held *held = self->held; held; held = held->next)
        if (lies_in(gen, held))
            return -EDEADLK;
    gen->item = item;
    gen->state = YIELDED;
    rdl_coroutine_switch(&gen->inside, hand_back(gen));
    /* From here on gen->task may be another one. */
    if (gen->closing)
        return -ECANCELED;
    if (gen->thrown)
        return gen->thrown;
    if (sent)
        *sent = gen->sent;
    return 0;
}

/* The caller has begun: lets the pending yield fail until gen ends. */
static int finish(struct raddle_gen *gen, struct rdl_task *self)
{
    int rc;

    gen->closing = true;
    rc = step(gen, self);
    return rc == -ECANCELED ? 0 : rc;
}

int raddle_gen_close(raddle_gen *gen)
{
    struct rdl_task *self = rdl_task_self();
    int rc = 0;

    if (!gen)
        return 0;
    if (!begin(gen))
        return -EBUSY;
    if (gen->state == YIELDED && !self) {
        end(gen);
        return -EPERM;
    }
    if (gen->state == YIELDED)
        rc = finish(gen, self);
    free_gen(gen);
    return rc;
}

void raddle_gen_autoclose(raddle_gen **gen)
{
    const char *name = *gen ? (*gen)->name : "";
    int rc = raddle_gen_close(*gen);

    if (rc < 0)
        rdl_report("generator %s failed when it was closed: %s (%d)", name, raddle_strerror(rc),
                   rc);
}

int raddle_gen_enter(raddle_gen *gen, void **value)
{
    int rc = raddle_gen_next(gen, NULL, value);

    if (rc == 0)
        return -ENODATA;
    return rc == 1 ? 0 : rc;
}

/* From the yield to the end. */
static int leave(struct raddle_gen *gen, struct rdl_task *self, int rc)
{
    int ended = advance(gen, self, NULL, rc < 0 ? rc : 0, NULL);

    if (ended == 1) {
        rdl_report("generator %s, in task \"%s\", has yielded once more instead of returning",
                   gen->name, self->name);
        (void)finish(gen, self);
        return -EPROTO;
    }
    return ended < 0 ? ended : rc < 0 ? 0 : rc;
}

int raddle_gen_exit(void *generator, int rc)
{
    struct rdl_task *self = rdl_task_self();
    struct raddle_gen *gen = generator;

    if (!gen)
        return rc;
    if (!begin(gen))
        return -EBUSY;
    if (gen->state == YIELDED && !self) {
        end(gen);
        return -EPERM;
    }
    if (gen->state == YIELDED)
        rc = leave(gen, self, rc);
    free_gen(gen);
    return rc;
}
