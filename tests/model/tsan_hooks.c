/*
 * tests/model/tsan_hooks.c - what -fsanitize=thread makes the compiler call, for our own ends.
 *
 * Scenarios and shipping sources are compiled with it, the checker is not, and libtsan isn't linked: that
 * is how plain accesses become visible. Atomic operations don't come here, they are model_atomic.h's.
 */
#include <string.h>

#include "tests/model/core.h"

#define HOOK(name, size, write)                                                                    \
    void name(void *p);                                                                            \
    void name(void *p)                                                                             \
    {                                                                                              \
        model_plain(p, size, write, __builtin_return_address(0));                                  \
    }

HOOK(__tsan_read1, 1, false)
HOOK(__tsan_read2, 2, false)
HOOK(__tsan_read4, 4, false)
HOOK(__tsan_read8, 8, false)
HOOK(__tsan_read16, 16, false)
HOOK(__tsan_write1, 1, true)
HOOK(__tsan_write2, 2, true)
HOOK(__tsan_write4, 4, true)
HOOK(__tsan_write8, 8, true)
HOOK(__tsan_write16, 16, true)
HOOK(__tsan_unaligned_read2, 2, false)
HOOK(__tsan_unaligned_read4, 4, false)
HOOK(__tsan_unaligned_read8, 8, false)
HOOK(__tsan_unaligned_read16, 16, false)
HOOK(__tsan_unaligned_write2, 2, true)
HOOK(__tsan_unaligned_write4, 4, true)
HOOK(__tsan_unaligned_write8, 8, true)
HOOK(__tsan_unaligned_write16, 16, true)
HOOK(__tsan_volatile_read1, 1, false)
HOOK(__tsan_volatile_read2, 2, false)
HOOK(__tsan_volatile_read4, 4, false)
HOOK(__tsan_volatile_read8, 8, false)
HOOK(__tsan_volatile_write1, 1, true)
HOOK(__tsan_volatile_write2, 2, true)
HOOK(__tsan_volatile_write4, 4, true)
HOOK(__tsan_volatile_write8, 8, true)

void __tsan_read_range(void *p, size_t size);
void __tsan_read_range(void *p, size_t size)
{
    model_plain(p, size, false, __builtin_return_address(0));
}

void __tsan_write_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size)
{
    model_plain(p, size, true, __builtin_return_address(0));
}

/* What libtsan intercepts: by our own names from watched.h, and by clang's. */
void *model_memset(void *p, int value, size_t size)
{
    model_plain(p, size, true, __builtin_return_address(0));
    return memset(p, value, size);
}

void *model_memcpy(void *to, const void *from, size_t size)
{
    model_plain(from, size, false, __builtin_return_address(0));
    model_plain(to, size, true, __builtin_return_address(0));
    return memcpy(to, from, size);
}

void *__tsan_memset(void *p, int value, size_t size);
void *__tsan_memset(void *p, int value, size_t size)
{
    model_plain(p, size, true, __builtin_return_address(0));
    return memset(p, value, size);
}

void *__tsan_memcpy(void *to, const void *from, size_t size);
void *__tsan_memcpy(void *to, const void *from, size_t size)
{
    model_plain(from, size, false, __builtin_return_address(0));
    model_plain(to, size, true, __builtin_return_address(0));
    return memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size);
void *__tsan_memmove(void *to, const void *from, size_t size)
{
    model_plain(from, size, false, __builtin_return_address(0));
    model_plain(to, size, true, __builtin_return_address(0));
    return memmove(to, from, size);
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
    (void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

void __tsan_vptr_update(void **p, void *value);
void __tsan_vptr_update(void **p, void *value)
{
    (void)p;
    (void)value;
}

void __tsan_vptr_read(void **p);
void __tsan_vptr_read(void **p)
{
    (void)p;
}
