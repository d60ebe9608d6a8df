/*
 * sched/annotate.h - what sanitizers and Valgrind are told about stacks, as calls that vanish
 * elsewhere.
 *
 * RDL_ASAN, RDL_TSAN, RDL_MSAN and RDL_VALGRIND are 1 where the build has the tool, else 0, with gcc and
 * clang alike. Which call has to be made when is said in coroutine.c, the only caller.
 */
#ifndef RDL_SCHED_ANNOTATE_H
#define RDL_SCHED_ANNOTATE_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define RDL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RDL_ASAN 1
#endif
#endif
#ifndef RDL_ASAN
#define RDL_ASAN 0
#endif

/* The model checker compiles with -fsanitize=thread against hooks of its own: no runtime to talk
 * to. */
#if defined(RDL_MODEL)
#define RDL_TSAN 0
#elif defined(__SANITIZE_THREAD__)
#define RDL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RDL_TSAN 1
#endif
#endif
#ifndef RDL_TSAN
#define RDL_TSAN 0
#endif

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define RDL_MSAN 1
#endif
#endif
#ifndef RDL_MSAN
#define RDL_MSAN 0
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#define RDL_VALGRIND 1
#endif
#endif
#ifndef RDL_VALGRIND
#define RDL_VALGRIND 0
#endif

/* Frames are up to four times as large in such a build, and so are stacks and guards. */
#define RDL_STACK_SCALE ((RDL_ASAN || RDL_TSAN) ? 4u : 1u)

#if RDL_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#if RDL_TSAN
/* gcc 12 installs no header that declares these. */
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

/* What the kernel has written in a call that libc has no function for. */
#if RDL_MSAN
#include <sanitizer/msan_interface.h>
#define RDL_MSAN_WRITTEN(address, bytes) __msan_unpoison((address), (bytes))
#else
#define RDL_MSAN_WRITTEN(address, bytes) ((void)0)
#endif

#if RDL_VALGRIND
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#define RDL_MEM_WRITTEN(address, bytes) VALGRIND_MAKE_MEM_DEFINED((address), (bytes))
#else
#define RDL_MEM_WRITTEN(address, bytes) ((void)0)
#endif

/* For functions that read and write another's frames: what a sanitizer knows of them doesn't hold there. */
#ifdef __clang__
#define RDL_RAW __attribute__((noinline, no_sanitize("thread", "address", "memory")))
#else
#define RDL_RAW __attribute__((noinline, no_sanitize("thread", "address")))
#endif

#endif
