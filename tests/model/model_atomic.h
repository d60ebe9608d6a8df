/*
 * tests/model/model_atomic.h - takes the place of sched/atomic.h when a source is built for the checker.
 *
 * The same names, so that a shipping source doesn't know the difference; each operation becomes a call
 * that says which memory, how large, which ordering, and where in the source it stands.
 *
 * An atomic field becomes a plain one of the same type. It is mirrored, so a debugger shows the newest
 * value, but what a load returns is for the checker to choose.
 */
#ifndef MODEL_ATOMIC_H
#define MODEL_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum model_order { MODEL_RELAXED, MODEL_ACQUIRE, MODEL_RELEASE, MODEL_ACQ_REL, MODEL_SEQ_CST };

enum model_change { MODEL_EXCHANGE, MODEL_ADD, MODEL_SUB, MODEL_OR, MODEL_AND };

/* One operation in a source: for the trace, and because some are not worth a step (model.h). */
struct model_site {
    const char *what;
    const char *file;
    int line;
    enum { MODEL_NOT_ASKED, MODEL_WATCHED, MODEL_UNWATCHED } kind;
};

void model_init(struct model_site *site, void *p, size_t size, uint64_t value);
uint64_t model_load(struct model_site *site, const void *p, size_t size, enum model_order order);
void model_store(struct model_site *site, void *p, size_t size, uint64_t value,
                 enum model_order order);
/* Returns what was there before. */
uint64_t model_change(struct model_site *site, void *p, size_t size, enum model_change change,
                      uint64_t operand, enum model_order order);
/* expected points to size bytes. When it fails it is a load of the ordering failure. */
bool model_cas(struct model_site *site, void *p, size_t size, void *expected, uint64_t value,
               enum model_order order, enum model_order failure);
void model_fence_seq_cst(struct model_site *site);

/* clang-format off */
#define MODEL_SITE(text)                                                                               \
    ({ static struct model_site site_ = {text, __FILE__, __LINE__, MODEL_NOT_ASKED}; &site_; })

/* The type of *p without its qualifiers. */
#define MODEL_TYPE(p) __typeof__(((void)0, *(p)))

#define MODEL_LOAD(p, order) ((MODEL_TYPE(p))model_load(MODEL_SITE(#p), (p), sizeof *(p), (order)))

#define MODEL_STORE(p, v, order)                                                                       \
    ({ MODEL_TYPE(p) value_ = (v);                                                                     \
       model_store(MODEL_SITE(#p), (p), sizeof *(p), (uint64_t)value_, (order)); })

#define MODEL_CHANGE(p, v, change, order)                                                              \
    ({ MODEL_TYPE(p) value_ = (MODEL_TYPE(p))(v);                                                      \
       (MODEL_TYPE(p))model_change(MODEL_SITE(#p), (p), sizeof *(p), (change), (uint64_t)value_,       \
                                   (order)); })

#define MODEL_CAS(p, expected, v, order, failure)                                                      \
    ({ MODEL_TYPE(p) *expected_ = (expected);                                                          \
       MODEL_TYPE(p) value_ = (v);                                                                     \
       model_cas(MODEL_SITE(#p), (p), sizeof *(p), expected_, (uint64_t)value_, (order), (failure)); })
/* clang-format on */

#define rdl_atomic(type) __typeof__(type)

/* clang-format off */
#define rdl_atomic_init(p, v)                                                                          \
    ({ MODEL_TYPE(p) value_ = (v);                                                                     \
       model_init(MODEL_SITE(#p), (p), sizeof *(p), (uint64_t)value_); })
/* clang-format on */

#define rdl_atomic_load_relaxed(p) MODEL_LOAD(p, MODEL_RELAXED)
#define rdl_atomic_load_acquire(p) MODEL_LOAD(p, MODEL_ACQUIRE)
#define rdl_atomic_load_seq_cst(p) MODEL_LOAD(p, MODEL_SEQ_CST)

#define rdl_atomic_store_relaxed(p, v) MODEL_STORE(p, v, MODEL_RELAXED)
#define rdl_atomic_store_release(p, v) MODEL_STORE(p, v, MODEL_RELEASE)
#define rdl_atomic_store_seq_cst(p, v) MODEL_STORE(p, v, MODEL_SEQ_CST)

#define rdl_atomic_exchange_relaxed(p, v) MODEL_CHANGE(p, v, MODEL_EXCHANGE, MODEL_RELAXED)
#define rdl_atomic_exchange_acquire(p, v) MODEL_CHANGE(p, v, MODEL_EXCHANGE, MODEL_ACQUIRE)
#define rdl_atomic_exchange_release(p, v) MODEL_CHANGE(p, v, MODEL_EXCHANGE, MODEL_RELEASE)
#define rdl_atomic_exchange_acq_rel(p, v) MODEL_CHANGE(p, v, MODEL_EXCHANGE, MODEL_ACQ_REL)
#define rdl_atomic_exchange_seq_cst(p, v) MODEL_CHANGE(p, v, MODEL_EXCHANGE, MODEL_SEQ_CST)

#define rdl_atomic_cas_relaxed(p, expected, v)                                                     \
    MODEL_CAS(p, expected, v, MODEL_RELAXED, MODEL_RELAXED)
#define rdl_atomic_cas_acquire(p, expected, v)                                                     \
    MODEL_CAS(p, expected, v, MODEL_ACQUIRE, MODEL_RELAXED)
#define rdl_atomic_cas_release(p, expected, v)                                                     \
    MODEL_CAS(p, expected, v, MODEL_RELEASE, MODEL_RELAXED)
#define rdl_atomic_cas_acq_rel(p, expected, v)                                                     \
    MODEL_CAS(p, expected, v, MODEL_ACQ_REL, MODEL_ACQUIRE)
#define rdl_atomic_cas_seq_cst(p, expected, v)                                                     \
    MODEL_CAS(p, expected, v, MODEL_SEQ_CST, MODEL_SEQ_CST)

#define rdl_atomic_fetch_add_relaxed(p, v) MODEL_CHANGE(p, v, MODEL_ADD, MODEL_RELAXED)
#define rdl_atomic_fetch_add_acq_rel(p, v) MODEL_CHANGE(p, v, MODEL_ADD, MODEL_ACQ_REL)
#define rdl_atomic_fetch_add_seq_cst(p, v) MODEL_CHANGE(p, v, MODEL_ADD, MODEL_SEQ_CST)
#define rdl_atomic_fetch_sub_relaxed(p, v) MODEL_CHANGE(p, v, MODEL_SUB, MODEL_RELAXED)
#define rdl_atomic_fetch_sub_release(p, v) MODEL_CHANGE(p, v, MODEL_SUB, MODEL_RELEASE)
#define rdl_atomic_fetch_sub_acq_rel(p, v) MODEL_CHANGE(p, v, MODEL_SUB, MODEL_ACQ_REL)
#define rdl_atomic_fetch_sub_seq_cst(p, v) MODEL_CHANGE(p, v, MODEL_SUB, MODEL_SEQ_CST)
#define rdl_atomic_fetch_or_acq_rel(p, v)  MODEL_CHANGE(p, v, MODEL_OR, MODEL_ACQ_REL)
#define rdl_atomic_fetch_and_acq_rel(p, v) MODEL_CHANGE(p, v, MODEL_AND, MODEL_ACQ_REL)

#define rdl_atomic_fence_seq_cst() model_fence_seq_cst(MODEL_SITE("fence"))

#endif
