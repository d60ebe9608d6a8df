/*
 * io/table.c - an array by descriptor number that grows, and whose elements never move.
 *
 * Two threads may map the same chunk at once: the loser of the compare-exchange unmaps its own.
 */
#include "io/table.h"

#include <errno.h>
#include <sys/mman.h>

#include "sched/sys.h"

static unsigned chunk_of(uint32_t index)
{
    uint32_t high = index / RDL_TABLE_FIRST;

    return high ? 32u - (unsigned)__builtin_clz(high) : 0;
}

static uint32_t chunk_start(unsigned chunk)
{
    return chunk ? (uint32_t)RDL_TABLE_FIRST << (chunk - 1) : 0;
}

static uint32_t chunk_count(unsigned chunk)
{
    return chunk ? (uint32_t)RDL_TABLE_FIRST << (chunk - 1) : RDL_TABLE_FIRST;
}

void *rdl_table_at(struct rdl_table *table, uint32_t index)
{
    unsigned chunk = chunk_of(index);
    /* acquire pairs with the release of the compare-exchange: the chunk is seen as mapped. */
    char *base = chunk < RDL_TABLE_CHUNKS ? rdl_atomic_load_acquire(&table->chunks[chunk]) : NULL;

    return base ? base + (size_t)(index - chunk_start(chunk)) * table->element_bytes : NULL;
}

int rdl_table_reach(struct rdl_table *table, uint32_t index, void **out)
{
    unsigned chunk = chunk_of(index);
    size_t bytes = (size_t)chunk_count(chunk) * table->element_bytes;
    char *nobody = NULL;
    void *fresh;

    *out = rdl_table_at(table, index);
    if (*out)
        return 0;
    /* Whatever mmap(2) calls it: where memory is locked it says -EAGAIN, which from an operation on a
     * descriptor means something else. */
    if (rdl_sys_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                     &fresh) < 0)
        return -ENOMEM;
    if (!rdl_atomic_cas_acq_rel(&table->chunks[chunk], &nobody, (char *)fresh))
        (void)rdl_sys_munmap(fresh, bytes);
    *out = rdl_table_at(table, index);
    return 0;
}

void rdl_table_each(struct rdl_table *table, void (*fn)(uint32_t, void *, void *), void *arg)
{
    for (unsigned chunk = 0; chunk < RDL_TABLE_CHUNKS; chunk++) {
        char *base = rdl_atomic_load_acquire(&table->chunks[chunk]);
        uint32_t count = base ? chunk_count(chunk) : 0;

        for (uint32_t i = 0; i < count; i++)
            fn(chunk_start(chunk) + i, base + (size_t)i * table->element_bytes, arg);
    }
}

void rdl_table_fini(struct rdl_table *table)
{
    for (unsigned chunk = 0; chunk < RDL_TABLE_CHUNKS; chunk++) {
        char *base = rdl_atomic_exchange_acquire(&table->chunks[chunk], NULL);

        if (base)
            (void)rdl_sys_munmap(base, (size_t)chunk_count(chunk) * table->element_bytes);
    }
}
