/*
 * tests/model/model.h - what a scenario says to the model checker.
 *
 * A scenario is a file with a name and a few cases. For each schedule of a case the checker calls begin,
 * which sets the state up and spawns virtual threads; runs them in an order, and with a memory, that the
 * seed determines; and calls end, which sees everything that they did and checks the totals. State is
 * static: begin makes it anew each time.
 *
 * A schedule fails when model_check() or an assert() of ours does, when two threads race on a plain field,
 * when nobody can go on (a deadlock or a lost wake), when it takes too many steps (a livelock), or when a
 * poisoned object is touched.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/model/model_atomic.h"

typedef void model_thread_fn(void *arg);

struct model_case {
    const char *name;
    void (*begin)(void);
    void (*end)(void); /* may be NULL */
};

/* What a scenario file defines. cases ends with a NULL name. */
extern const char model_scenario_name[];
extern const struct model_case model_cases[];

/* Also in the scenario file, ended by NULL: an operation whose operand is written with one of these words
 * is done at once, without a step or a history. For counters and notes that only people read. */
extern const char *const model_unwatched_names[];

/* In begin: one more virtual thread. name must stay. At most 7 of them. */
void model_spawn(const char *name, model_thread_fn *fn, void *arg);

/* Ends the schedule as a failure. */
_Noreturn void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define model_check(condition)                                                                     \
    ((condition) ? (void)0 : model_fail("%s:%d: not true: %s", __FILE__, __LINE__, #condition))

/* Lets another thread go first: to be called in a loop that waits by polling. The thread goes on when
 * somebody has stored something, or when nobody else can. */
void model_yield(void);

/* Sleeps while the newest value of the 4 bytes at word is value: what a driver sleeps in. Orders nothing
 * by itself. */
void model_sleep_while(const uint32_t *word, uint32_t value);

/* As the system call: sleeps if the newest value is value, until somebody wakes those who do, which a
 * store alone doesn't. */
void model_futex_wait(const uint32_t *word, uint32_t value);
void model_futex_wake(const uint32_t *word);

/* One of n, from the seed: 0 to n - 1. */
unsigned model_choose(unsigned n);

/* Counts without being seen: for totals that several threads keep. Returns the new count. */
unsigned model_count(unsigned *counter);

/* From now on touching these bytes is a failure; poisoning is itself a write to them, so it finds those
 * who may still touch them as well. For memory that was given back. */
void model_poison(const void *p, size_t size);
void model_unpoison(const void *p, size_t size);

/* In a watched source memset and memcpy come here (watched.h). */
void *model_memset(void *p, int value, size_t size);
void *model_memcpy(void *to, const void *from, size_t size);

/* What the trace calls a value that is p. name must stay. */
void model_name(const void *p, const char *name);

#endif
