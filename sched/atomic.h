/*
 * sched/atomic.h - every atomic operation of the library, each named by what it does and its ordering.
 *
 * One name per operation and ordering, so that orderings can be read, grepped and counted, and so that
 * the model checker (tests/model) can take the place of this header: built with RDL_MODEL, the same
 * sources run on its virtual threads and weak memory.
 *
 * Rules. Publish with a release store. A fence is for a store-load pair only (Dekker: "I publish, then
 * look whether you sleep"); ThreadSanitizer doesn't understand the other use. A field that two threads
 * touch is declared rdl_atomic(type), nothing else is.
 */
#ifndef RDL_SCHED_ATOMIC_H
#define RDL_SCHED_ATOMIC_H

#ifdef RDL_MODEL
#include "tests/model/model_atomic.h"
#else

#include <stdatomic.h>

#include "sched/single.h"

/* The type of a field that several threads touch. */
#define rdl_atomic(type)      _Atomic(type)

/* Sets a field that no other thread can see yet. */
#define rdl_atomic_init(p, v) atomic_init((p), (v))

#define rdl_atomic_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define rdl_atomic_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define rdl_atomic_load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)

#define rdl_atomic_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define rdl_atomic_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define rdl_atomic_store_seq_cst(p, v)                                                             \
    do {                                                                                           \
        if (rdl_single_threaded()) {                                                               \
            atomic_store_explicit((p), (v), memory_order_release);                                 \
            atomic_signal_fence(memory_order_seq_cst);                                             \
        } else {                                                                                   \
            atomic_store_explicit((p), (v), memory_order_seq_cst);                                 \
        }                                                                                          \
    } while (0)

/* Read-modify-writes: without the lock prefix while the process has one thread (sched/single.h). */
#define rdl_atomic_exchange_relaxed(p, v)                                                          \
    rdl_single_or(rdl_single_change((p), (v), rdl_single_put),                                     \
                  atomic_exchange_explicit((p), (v), memory_order_relaxed))
#define rdl_atomic_exchange_acquire(p, v)                                                          \
    rdl_single_or(rdl_single_change((p), (v), rdl_single_put),                                     \
                  atomic_exchange_explicit((p), (v), memory_order_acquire))
#define rdl_atomic_exchange_release(p, v)                                                          \
    rdl_single_or(rdl_single_change((p), (v), rdl_single_put),                                     \
                  atomic_exchange_explicit((p), (v), memory_order_release))
#define rdl_atomic_exchange_acq_rel(p, v)                                                          \
    rdl_single_or(rdl_single_change((p), (v), rdl_single_put),                                     \
                  atomic_exchange_explicit((p), (v), memory_order_acq_rel))
#define rdl_atomic_exchange_seq_cst(p, v)                                                          \
    rdl_single_or(rdl_single_change((p), (v), rdl_single_put),                                     \
                  atomic_exchange_explicit((p), (v), memory_order_seq_cst))

/*
 * Compare-exchange: strong, success ordering in the name. On failure *expected holds what was seen:
 * read relaxed, except for _acq_rel and _seq_cst, which fail with acquire and seq_cst.
 */
#define rdl_atomic_cas(p, expected, v, success, failure)                                           \
    rdl_single_or(                                                                                 \
        rdl_single_cas((p), (expected), (v)),                                                      \
        atomic_compare_exchange_strong_explicit((p), (expected), (v), (success), (failure)))
#define rdl_atomic_cas_relaxed(p, expected, v)                                                     \
    rdl_atomic_cas((p), (expected), (v), memory_order_relaxed, memory_order_relaxed)
#define rdl_atomic_cas_acquire(p, expected, v)                                                     \
    rdl_atomic_cas((p), (expected), (v), memory_order_acquire, memory_order_relaxed)
#define rdl_atomic_cas_release(p, expected, v)                                                     \
    rdl_atomic_cas((p), (expected), (v), memory_order_release, memory_order_relaxed)
#define rdl_atomic_cas_acq_rel(p, expected, v)                                                     \
    rdl_atomic_cas((p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
#define rdl_atomic_cas_seq_cst(p, expected, v)                                                     \
    rdl_atomic_cas((p), (expected), (v), memory_order_seq_cst, memory_order_seq_cst)

#define rdl_atomic_fetch_add_relaxed(p, v)                                                         \
    rdl_single_or(rdl_single_add((p), (v)),                                                        \
                  atomic_fetch_add_explicit((p), (v), memory_order_relaxed))
#define rdl_atomic_fetch_add_acq_rel(p, v)                                                         \
    rdl_single_or(rdl_single_add((p), (v)),                                                        \
                  atomic_fetch_add_explicit((p), (v), memory_order_acq_rel))
#define rdl_atomic_fetch_add_seq_cst(p, v)                                                         \
    rdl_single_or(rdl_single_add((p), (v)),                                                        \
                  atomic_fetch_add_explicit((p), (v), memory_order_seq_cst))
#define rdl_atomic_fetch_sub_relaxed(p, v)                                                         \
    rdl_single_or(rdl_single_sub((p), (v)),                                                        \
                  atomic_fetch_sub_explicit((p), (v), memory_order_relaxed))
#define rdl_atomic_fetch_sub_release(p, v)                                                         \
    rdl_single_or(rdl_single_sub((p), (v)),                                                        \
                  atomic_fetch_sub_explicit((p), (v), memory_order_release))
#define rdl_atomic_fetch_sub_acq_rel(p, v)                                                         \
    rdl_single_or(rdl_single_sub((p), (v)),                                                        \
                  atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel))
#define rdl_atomic_fetch_sub_seq_cst(p, v)                                                         \
    rdl_single_or(rdl_single_sub((p), (v)),                                                        \
                  atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst))
#define rdl_atomic_fetch_or_acq_rel(p, v)                                                          \
    rdl_single_or(rdl_single_change((p), (v), rdl_single_either),                                  \
                  atomic_fetch_or_explicit((p), (v), memory_order_acq_rel))
#define rdl_atomic_fetch_and_acq_rel(p, v)                                                         \
    rdl_single_or(rdl_single_change((p), (v), rdl_single_both),                                    \
                  atomic_fetch_and_explicit((p), (v), memory_order_acq_rel))

/* Between threads only: a single one needs none. */
#define rdl_atomic_fence_seq_cst()                                                                 \
    (rdl_single_threaded() ? atomic_signal_fence(memory_order_seq_cst)                             \
                           : atomic_thread_fence(memory_order_seq_cst))

#endif /* RDL_MODEL */
#endif /* RDL_SCHED_ATOMIC_H */
