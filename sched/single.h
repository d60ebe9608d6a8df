/*
 * sched/single.h - what a read-modify-write is while the process has one thread.
 *
 * Then no other thread can come between its read and its write, and a locked instruction is five times as long as the
 * same without the prefix (Intel): of setting an event and waiting for it those were half. glibc knows whether there
 * is one thread, and its own locks and the counters of libstdc++ ask it, too (sys/single_threaded.h). It says no before
 * a second one starts, and for good, but for the child of a fork.
 *
 * A signal handler of the one thread may still interrupt it, and stop a loop or post to it. So each of these is one
 * instruction, or goes round again.
 *
 * What several processes share is not for these, as each of them may have one thread: the library shares nothing.
 *
 * The locked ones stay under sanitizers that would have to see what the assembly does, where libc doesn't tell
 * (sys/single_threaded.h), and on every machine but x86-64: on those nobody has measured what this would give.
 */
#ifndef RDL_SCHED_SINGLE_H
#define RDL_SCHED_SINGLE_H

#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#define RDL_SINGLE_NEVER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define RDL_SINGLE_NEVER
#endif
#endif
#if !defined(__x86_64__) || !__has_include(<sys/single_threaded.h>)
#define RDL_SINGLE_NEVER
#endif

#ifndef RDL_SINGLE_NEVER

#include <sys/single_threaded.h>

/* Does this process have one thread? */
#define rdl_single_threaded() (__libc_single_threaded != 0)

/* The type that *p has without _Atomic. */
#define rdl_single_type(p) __typeof__((void)0, *(p))

#define rdl_single_cas(p, expected, v)                                                             \
    __extension__({                                                                                \
        rdl_single_type(p) *rdl_cas_expected = (expected), rdl_cas_seen = *rdl_cas_expected,       \
                           rdl_cas_new = (v);                                                      \
        _Bool rdl_cas_done;                                                                        \
        __asm__ volatile("cmpxchg %[put], %[at]"                                                   \
                         : "=@ccz"(rdl_cas_done), [at] "+m"(*(p)), "+a"(rdl_cas_seen)              \
                         : [put] "r"(rdl_cas_new)                                                  \
                         : "memory");                                                              \
        if (!rdl_cas_done)                                                                         \
            *rdl_cas_expected = rdl_cas_seen;                                                      \
        rdl_cas_done;                                                                              \
    })

/* What was there; *p becomes what combine makes of that and v. */
#define rdl_single_change(p, v, combine)                                                           \
    __extension__({                                                                                \
        __typeof__(p) rdl_change_at = (p);                                                         \
        rdl_single_type(p) rdl_change_by = (v), rdl_change_old = rdl_single_load(rdl_change_at);   \
        while (!rdl_single_cas(rdl_change_at, &rdl_change_old,                                     \
                               combine(rdl_change_old, rdl_change_by)))                            \
            ;                                                                                      \
        rdl_change_old;                                                                            \
    })
#define rdl_single_load(p)        atomic_load_explicit((p), memory_order_relaxed)
#define rdl_single_put(old, v)    (v)
#define rdl_single_either(old, v) ((old) | (v))
#define rdl_single_both(old, v)   ((old) & (v))

#define rdl_single_add(p, v)                                                                       \
    __extension__({                                                                                \
        rdl_single_type(p) rdl_add_by = (v);                                                       \
        __asm__ volatile("xadd %[by], %[at]"                                                       \
                         : [at] "+m"(*(p)), [by] "+r"(rdl_add_by)                                  \
                         :                                                                         \
                         : "memory", "cc");                                                        \
        rdl_add_by;                                                                                \
    })

/* Negative in the word's own type: v may be narrower, and without a sign. */
#define rdl_single_sub(p, v) rdl_single_add((p), (rdl_single_type(p))(0 - (rdl_single_type(p))(v)))

/* One of both, as an expression. */
#define rdl_single_or(single, locked)                                                              \
    __extension__({                                                                                \
        __typeof__(locked) rdl_single_result;                                                      \
        if (rdl_single_threaded())                                                                 \
            rdl_single_result = (single);                                                          \
        else                                                                                       \
            rdl_single_result = (locked);                                                          \
        rdl_single_result;                                                                         \
    })

#else

#define rdl_single_threaded()        0
#define rdl_single_or(alone, locked) (locked)

#endif
#endif
