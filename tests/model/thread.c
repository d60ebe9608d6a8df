/*
 * tests/model/thread.c - virtual threads: coroutines on one real thread, and who of them is next.
 *
 * Before each atomic operation the running thread asks who is next. Two schedulers:
 *
 *   random   each time one of those who can run.
 *   PCT      (Burckhardt et al., ASPLOS 2010) each thread has a random priority, and the highest that can
 *            run does; at depth - 1 random steps, the running one falls below all others. A bug that
 *            takes d ordering decisions is found with a probability of at least 1/(n k^(d-1)) in each
 *            schedule, for n threads and k steps.
 *
 * A thread that polls says so (model_yield) and is passed over until something is stored. If nobody can
 * run, those who poll get one more round, in which loads return the newest value; if that changes nothing,
 * it is a deadlock, or a wake that was lost.
 */
#define _GNU_SOURCE
#include "tests/model/core.h"

#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { STACK_BYTES = 128 * 1024, DEPTH_MAX = 16, LOCALS_BYTES = 256 };

enum state { READY, POLLING, SLEEPING, ENDED };

struct thread {
    const char *name;
    model_thread_fn *fn;
    void *arg;
    void *sp;
    enum state state;
    unsigned sleeps_on;    /* location */
    const uint32_t *futex; /* not NULL: must be woken there, a store isn't enough */
    unsigned priority;
    char locals[LOCALS_BYTES]; /* its thread-locals, while another thread runs */
};

void model_switch(void **save, void *load);

unsigned model_current;
unsigned model_thread_count;
struct model_mind model_minds[MODEL_THREADS];
struct model_settings model_settings;
unsigned model_steps;
const char *model_failure;

static struct thread threads[MODEL_THREADS];
static _Alignas(16) char stacks[MODEL_THREADS][STACK_BYTES];
static unsigned ready; /* bit i: thread i is READY */
static bool last_round;
static unsigned falls[DEPTH_MAX]; /* the steps at which the running thread loses its priority */
static uint64_t random_state;

/* The thread-locals of the program, of which there is one set for all virtual threads. */
static char *locals;
static size_t locals_bytes;

static int find_locals(struct dl_phdr_info *program, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < program->dlpi_phnum; i++)
        if (program->dlpi_phdr[i].p_type == PT_TLS) {
            locals = program->dlpi_tls_data;
            locals_bytes = program->dlpi_phdr[i].p_memsz;
        }
    return 1; /* the program itself comes first; libraries keep theirs */
}

bool model_is_local(const void *p)
{
    return p == &errno ||
           (locals && (const char *)p >= locals && (const char *)p < locals + locals_bytes);
}

uint32_t model_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 24);
}

unsigned model_choose(unsigned n)
{
    return model_random() % n;
}

unsigned model_count(unsigned *counter)
{
    return ++*counter;
}

const char *model_thread_name(unsigned thread)
{
    return threads[thread].name;
}

void model_threads_begin(uint64_t seed)
{
    if (!locals)
        (void)dl_iterate_phdr(find_locals, NULL);
    if (locals)
        memset(locals, 0, locals_bytes);
    random_state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < 4; i++)
        (void)model_random();
    model_current = 0;
    model_thread_count = 1;
    model_steps = 0;
    model_failure = NULL;
    ready = 0;
    last_round = false;
    threads[0].name = "main";
    memset(&model_minds[0], 0, sizeof model_minds[0]);
    model_minds[0].now.clock[0] = 1;
}

static void leave(void);

static void entry(void)
{
    struct thread *me = &threads[model_current];

    me->fn(me->arg);
    leave();
}

void model_spawn(const char *name, model_thread_fn *fn, void *arg)
{
    unsigned i = model_thread_count;
    struct thread *t = &threads[i];
    uintptr_t *sp = (uintptr_t *)(void *)(stacks[i] + STACK_BYTES);

    if (locals_bytes > LOCALS_BYTES)
        model_fail("the checker has room for %d bytes of thread-locals only", LOCALS_BYTES);
    if (model_current != 0 || i == MODEL_THREADS)
        model_fail("threads are spawned by begin, and at most %d", MODEL_THREADS - 1);
    model_thread_count++;
#if defined(__x86_64__)
    *--sp = 0; /* as if entry had been called: the stack is off by 8 */
    *--sp = (uintptr_t)entry;
    sp -= 6;
#else
    sp -= 20;
    sp[11] = (uintptr_t)entry;
#endif
    *t = (struct thread){.name = name, .fn = fn, .arg = arg, .sp = sp, .state = READY};
    ready |= 1u << i;
    memset(&model_minds[i], 0, sizeof model_minds[i]);
    model_minds[i].now.clock[i] = 1;
}

static void plan(void)
{
    unsigned first = model_settings.depth; /* the places below are for those who fall */

    for (unsigned i = 1; i < model_thread_count; i++)
        threads[i].priority = first + i;
    for (unsigned i = model_thread_count - 1; i > 1; i--) {
        unsigned j = 1 + model_random() % i;
        unsigned p = threads[i].priority;

        threads[i].priority = threads[j].priority;
        threads[j].priority = p;
    }
    for (unsigned i = 0; i + 1 < model_settings.depth && i < DEPTH_MAX; i++)
        falls[i] = 1 + model_random() % model_settings.steps_expected;
}

/* The ready thread of the highest priority. */
static unsigned highest(void)
{
    unsigned best = 0;

    for (unsigned left = ready; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left);

        if (best == 0 || threads[i].priority > threads[best].priority)
            best = i;
    }
    return best;
}

static unsigned any(void)
{
    unsigned skip = model_random() % (unsigned)__builtin_popcount(ready);
    unsigned left = ready;

    while (skip--)
        left &= left - 1;
    return (unsigned)__builtin_ctz(left);
}

static _Noreturn void stuck(void)
{
    static char text[512];
    size_t n = 0;

    for (unsigned i = 1; i < model_thread_count; i++)
        if (threads[i].state != ENDED && n < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s", n ? ", " : "",
                                  threads[i].name,
                                  threads[i].state == SLEEPING ? "sleeps" : "polls");
    model_fail("deadlock or lost wake: %s", text);
}

/* Nobody is ready: give those who poll a last chance. */
static void retry(void)
{
    bool polling = false;

    for (unsigned i = 1; i < model_thread_count; i++)
        if (threads[i].state == POLLING) {
            polling = true;
            threads[i].state = READY;
            ready |= 1u << i;
            model_minds[i].fresh = true;
        }
    if (!polling || last_round)
        stuck();
    last_round = true;
}

/* Who is next; 0 when all have ended. */
static unsigned next(void)
{
    if (!ready) {
        unsigned left = 0;

        for (unsigned i = 1; i < model_thread_count; i++)
            left += threads[i].state != ENDED;
        if (left == 0)
            return 0;
        retry();
    }
    if (!model_settings.pct)
        return any();
    for (unsigned i = 0; i + 1 < model_settings.depth && i < DEPTH_MAX; i++)
        if (falls[i] == model_steps)
            threads[highest()].priority = i;
    return highest();
}

static void switch_to(unsigned thread)
{
    unsigned before = model_current;

    if (thread == before)
        return;
    if (locals) {
        memcpy(threads[before].locals, locals, locals_bytes);
        memcpy(locals, threads[thread].locals, locals_bytes);
    }
    model_current = thread;
    model_switch(&threads[before].sp, threads[thread].sp);
}

void model_step(void)
{
    if (model_current == 0)
        return;
    if (++model_steps > model_settings.steps_max)
        model_fail("livelock: more than %u steps", model_settings.steps_max);
    switch_to(next());
}

static void leave(void)
{
    threads[model_current].state = ENDED;
    ready &= ~(1u << model_current);
    switch_to(next());
    __builtin_unreachable();
}

void model_yield(void)
{
    if (model_current == 0)
        return;
    threads[model_current].state = POLLING;
    ready &= ~(1u << model_current);
    model_step();
}

static struct model_site sleep_site = {"sleep", __FILE__, __LINE__, MODEL_WATCHED};

void model_sleep_while(const uint32_t *word, uint32_t value)
{
    unsigned location;

    model_step();
    while (model_newest(word, sizeof *word, &location) == value) {
        struct thread *me = &threads[model_current];

        model_trace(&sleep_site, "sleeps while it is %s", model_value_text(value));
        me->state = SLEEPING;
        me->sleeps_on = location;
        ready &= ~(1u << model_current);
        model_step();
    }
}

void model_futex_wait(const uint32_t *word, uint32_t value)
{
    struct thread *me = &threads[model_current];
    unsigned location;

    model_step();
    if (model_newest(word, sizeof *word, &location) != value)
        return;
    model_trace(&sleep_site, "waits while it is %s", model_value_text(value));
    me->state = SLEEPING;
    me->sleeps_on = location;
    me->futex = word;
    ready &= ~(1u << model_current);
    model_step();
    me->futex = NULL;
}

/* The kernel compares addresses. It doesn't touch the word, which may be something else by now. */
void model_futex_wake(const uint32_t *word)
{
    model_step();
    for (unsigned i = 1; i < model_thread_count; i++)
        if (threads[i].state == SLEEPING && threads[i].futex == word) {
            threads[i].state = READY;
            ready |= 1u << i;
        }
}

void model_stored(unsigned location)
{
    last_round = false;
    for (unsigned i = 1; i < model_thread_count; i++) {
        struct thread *t = &threads[i];

        model_minds[i].fresh = false;
        if (t->state == POLLING ||
            (t->state == SLEEPING && t->sleeps_on == location && !t->futex)) {
            t->state = READY;
            ready |= 1u << i;
        }
    }
}

bool model_threads_run(void)
{
    if (model_thread_count == 1)
        return true;
    for (unsigned i = 1; i < model_thread_count; i++)
        model_join(&model_minds[i].now, &model_minds[0].now);
    model_minds[0].now.clock[0]++;
    plan();
    switch_to(next());
    for (unsigned i = 1; i < model_thread_count; i++)
        model_join(&model_minds[0].now, &model_minds[i].now);
    return !model_failure;
}

void model_fail(const char *format, ...)
{
    static char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    model_failure = text;
    /* The threads stay where they are; the next schedule begins them anew. */
    if (model_current != 0)
        switch_to(0);
    model_abandon();
}
