/*
 * tests/model/core.h - what the parts of the model checker know of each other.
 *
 *     main.c      the command line, and one schedule after the other
 *     run.c       one schedule, and its trace
 *     thread.c    virtual threads, and who is next
 *     memory.c    atomic operations: what a load may see
 *     plain.c     plain accesses, and whether they race
 *
 * host.c is no part of it: it is what a scenario with whole loops needs around them.
 */
#ifndef MODEL_CORE_H
#define MODEL_CORE_H

#include "tests/model/model.h"

enum {
    MODEL_THREADS = 8,     /* 0 is the one that runs begin and end */
    MODEL_LOCATIONS = 160, /* atomic variables in one scenario, less than 255 */
};

/*
 * What a thread knows, or what a store tells whoever acquires it.
 *
 * clock is happens-before: everything that thread i did up to clock[i]. seen is what coherence and the
 * order of seq_cst operations leave to be read: of location l nothing older than the store with the stamp
 * seen[l]. The second follows from the first, except for what seq_cst fences add, which is no
 * happens-before.
 */
struct model_knowledge {
    uint32_t clock[MODEL_THREADS];
    uint32_t seen[MODEL_LOCATIONS];
};

/* A virtual thread's part of the memory. */
struct model_mind {
    struct model_knowledge now;
    struct model_knowledge unfenced; /* read relaxed: a fence would acquire it */
    struct model_knowledge fenced;   /* known at the last fence: what a relaxed store releases */
    bool fresh;                      /* reads the newest only: nothing else is left to try */
};

/* One bucket of the map from addresses to what is known about them: 8 aligned bytes. */
struct model_access {
    uint32_t clock;
    uint8_t thread;
    uint8_t bytes; /* bit i: byte i */
    bool write;
    const void *pc;
};

enum { MODEL_ACCESSES = 12 };

struct model_cell {
    uintptr_t key; /* address / 8; 0: none */
    uint32_t round;
    uint8_t poisoned; /* bit i: byte i */
    uint8_t access_count;
    bool has_locations;
    uint8_t location[8]; /* of the atomic variable that starts at byte i: index + 1, or 0 */
    struct model_access accesses[MODEL_ACCESSES];
};

/* thread.c */
extern unsigned model_current; /* which thread runs: index */
extern struct model_mind model_minds[MODEL_THREADS];
extern unsigned model_thread_count; /* with thread 0 */

void model_threads_begin(uint64_t seed);
/* Until all have ended, which thread 0 then knows of. False: one has failed. */
bool model_threads_run(void);
/* Before each atomic operation. */
void model_step(void);
/* After each store: wakes who slept on it. */
void model_stored(unsigned location);
uint32_t model_random(void);
const char *model_thread_name(unsigned thread);
/* Is p a thread-local: each virtual thread has its own, at the same address. */
bool model_is_local(const void *p);

struct model_settings {
    bool pct;
    unsigned depth;
    unsigned steps_expected; /* where the change points of PCT may lie */
    unsigned steps_max;
    bool trace;
};

extern struct model_settings model_settings;
extern unsigned model_steps;      /* of this schedule */
extern const char *model_failure; /* of this schedule, or NULL */

/* memory.c */
void model_memory_begin(void);
void model_join(struct model_knowledge *into, const struct model_knowledge *from);
/* The newest value of the location at p. */
uint64_t model_newest(const void *p, size_t size, unsigned *location);
/* A plain access that overlaps atomic location index. */
void model_plain_on_location(unsigned location, bool write);

/* plain.c */
void model_plain_begin(void);
struct model_cell *model_cell_at(uintptr_t address);
/* As if the bytes of one atomic variable had been read. */
void model_plain_read_only(const void *p, size_t size);
void model_plain(const void *p, size_t size, bool write, const void *pc);

/* run.c */
bool model_run(const struct model_case *c, uint64_t seed); /* false: model_failure says why */
_Noreturn void model_abandon(void);                        /* thread 0: back to model_run */
/* For the trace. */
/* Is the operation one that the scenario doesn't want to see? */
bool model_unwatched(struct model_site *site);
void model_trace(const struct model_site *site, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *model_value_text(uint64_t value);

#endif
