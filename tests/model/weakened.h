/*
 * tests/model/weakened.h - what a mutant does in place of what the source says (mutants.awk): operations that
 * sched/atomic.h doesn't have, because nobody needs them.
 *
 * Torn is a compare-exchange that is a load and then a store, each as strong as its half was.
 */
#ifndef MODEL_WEAKENED_H
#define MODEL_WEAKENED_H

#include "tests/model/model_atomic.h"

#define rdl_atomic_fence_dropped() ((void)0)

#define rdl_atomic_fetch_add_acquire(p, v) MODEL_CHANGE(p, v, MODEL_ADD, MODEL_ACQUIRE)
#define rdl_atomic_fetch_add_release(p, v) MODEL_CHANGE(p, v, MODEL_ADD, MODEL_RELEASE)
#define rdl_atomic_fetch_sub_acquire(p, v) MODEL_CHANGE(p, v, MODEL_SUB, MODEL_ACQUIRE)
#define rdl_atomic_fetch_or_acquire(p, v)  MODEL_CHANGE(p, v, MODEL_OR, MODEL_ACQUIRE)
#define rdl_atomic_fetch_or_release(p, v)  MODEL_CHANGE(p, v, MODEL_OR, MODEL_RELEASE)
#define rdl_atomic_fetch_and_acquire(p, v) MODEL_CHANGE(p, v, MODEL_AND, MODEL_ACQUIRE)
#define rdl_atomic_fetch_and_release(p, v) MODEL_CHANGE(p, v, MODEL_AND, MODEL_RELEASE)

#define rdl_atomic_cas_acquire_fails_acquire(p, expected, v)                                       \
    MODEL_CAS(p, expected, v, MODEL_ACQUIRE, MODEL_ACQUIRE)
#define rdl_atomic_cas_release_fails_acquire(p, expected, v)                                       \
    MODEL_CAS(p, expected, v, MODEL_RELEASE, MODEL_ACQUIRE)
#define rdl_atomic_cas_acq_rel_fails_relaxed(p, expected, v)                                       \
    MODEL_CAS(p, expected, v, MODEL_ACQ_REL, MODEL_RELAXED)
#define rdl_atomic_cas_seq_cst_fails_acquire(p, expected, v)                                       \
    MODEL_CAS(p, expected, v, MODEL_SEQ_CST, MODEL_ACQUIRE)

/* clang-format off */
#define MODEL_TORN(p, expected, v, load, store)                                                        \
    ({ __typeof__(p) place_ = (p);                                                                     \
       MODEL_TYPE(p) *wanted_ = (expected);                                                            \
       MODEL_TYPE(p) next_ = (v);                                                                      \
       MODEL_TYPE(p) was_ = load(place_);                                                              \
       bool same_ = was_ == *wanted_;                                                                  \
       if (same_)                                                                                      \
           store(place_, next_);                                                                       \
       *wanted_ = was_;                                                                                \
       same_; })
/* clang-format on */

#define rdl_atomic_torn_relaxed(p, expected, v)                                                    \
    MODEL_TORN(p, expected, v, rdl_atomic_load_relaxed, rdl_atomic_store_relaxed)
#define rdl_atomic_torn_acquire(p, expected, v)                                                    \
    MODEL_TORN(p, expected, v, rdl_atomic_load_acquire, rdl_atomic_store_relaxed)
#define rdl_atomic_torn_release(p, expected, v)                                                    \
    MODEL_TORN(p, expected, v, rdl_atomic_load_relaxed, rdl_atomic_store_release)
#define rdl_atomic_torn_acq_rel(p, expected, v)                                                    \
    MODEL_TORN(p, expected, v, rdl_atomic_load_acquire, rdl_atomic_store_release)
#define rdl_atomic_torn_seq_cst(p, expected, v)                                                    \
    MODEL_TORN(p, expected, v, rdl_atomic_load_seq_cst, rdl_atomic_store_seq_cst)

#endif
