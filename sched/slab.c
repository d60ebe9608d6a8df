/*
 * sched/slab.c - maps slabs of stacks, guards them, and keeps the records that outlive them.
 *
 * A slab of n stacks is one mapping of n strides, each a guard and then the usable memory:
 *
 *     base                                                        base + n * stride
 *      | guard | usable       top| guard | usable      top| ...   |
 *                            ^ coloured by slot
 *
 * Guards are made when a stack is first handed out (see guard.c).
 *
 * Descriptors and records live in tables, of 1008 slabs each, mapped when needed and never
 * unmapped. Late wakers read and compare-exchange a record's wait without any lock, whatever
 * has become of its stack. When no slab of a table is mapped any more, the table's memory goes back
 * to the kernel (4 MiB and its page tables), and it reads as zero: no ticket is equal to that. What
 * must not be forgotten are the generations: a ticket that was issued before would match one that
 * is issued again. So the highest generation of the table is kept, and all of its waits start from
 * there.
 *
 *     a table's state   its descriptors belong to
 *     IN USE            each slab's owner; the unused ones, in table->unused, to the lock
 *     RETIRING          the thread that unmapped its last slab, until it has emptied it
 *
 * Ordering. A table is published with a release of its address, a slab with a release of its base,
 * after its records are written; rdl_stack_at() and the walks acquire the one, rdl_stack_find() the
 * other. What these then read of a record may be that of another time, since slabs come and go; it
 * is never unmapped.
 */
#define _GNU_SOURCE
#include "sched/slab.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sched/guard.h"
#include "sched/lock.h"
#include "sched/sys.h"

enum {
    TABLES = 1024,
    TABLES_AT_ONCE = 16,
    TABLE_SLABS = 1008, /* as many as fit */
};

#define WARM_BYTES ((size_t)8 * 1024) /* of a wiped stack, which few coroutines go beyond */

#define SLAB_BYTES_TARGET ((size_t)64 << 20)
#define TABLE_BYTES       ((size_t)4 << 20)
#define TABLE_ALIGNMENT   ((size_t)2 << 20) /* what one page of a page table maps */

static_assert(sizeof(struct rdl_stack) == 64, "a cache line each: loops wake each other's tasks");
static_assert(sizeof(struct rdl_slab) <= 64, "a cache line each");
static_assert(RDL_STACK_GUARD_BYTES % RDL_GUARD_PAGE_BYTES_MAX == 0, "guards are whole pages");

struct table {
    struct rdl_slab slabs[TABLE_SLABS];
    struct rdl_stack records[TABLE_SLABS][RDL_SLAB_STACKS];
};

static_assert(sizeof(struct table) <= TABLE_BYTES, "tables are mapped one behind the other");

static struct {
    rdl_atomic(struct table *) memory; /* set once */
    rdl_atomic(uint32_t) used;         /* descriptors [0, used) have been used since it was empty */
    /* The rest under the lock. */
    uint32_t mapped; /* slabs, including those being mapped and unmapped */
    bool retiring;
    uint32_t generation; /* where the waits of its records start */
    struct rdl_slab *unused;
} tables[TABLES];

static struct rdl_lock lock;
static rdl_atomic(uint32_t) tables_used; /* tables [0, tables_used) may have memory */
static rdl_atomic(size_t) slabs_mapped;
static rdl_atomic(size_t) stacks_mapped;
static rdl_atomic(size_t) bytes_mapped;

/* --- sizes --- */

size_t rdl_stack_class_bytes(unsigned size_class)
{
    return (size_t)RDL_STACK_SCALE * 16 * 1024 << (2 * size_class);
}

static size_t stride_of(unsigned size_class)
{
    return RDL_STACK_GUARD_BYTES + rdl_stack_class_bytes(size_class);
}

/* Large classes come in fewer: address space may be limited, too. */
static unsigned count_of(unsigned size_class)
{
    size_t fit = SLAB_BYTES_TARGET * RDL_STACK_SCALE / rdl_stack_class_bytes(size_class);

    return fit < RDL_SLAB_STACKS ? (unsigned)fit : RDL_SLAB_STACKS;
}

static size_t bytes_of(unsigned size_class)
{
    return stride_of(size_class) * count_of(size_class);
}

/* --- tables of descriptors and records --- */

struct rdl_stack *rdl_slab_stack(const struct rdl_slab *slab, unsigned i)
{
    struct table *table = rdl_atomic_load_acquire(&tables[slab->index / TABLE_SLABS].memory);

    return &table->records[slab->index % TABLE_SLABS][i];
}

static struct rdl_slab *slab_at(uint32_t index)
{
    struct table *table;

    if (index / TABLE_SLABS >= TABLES)
        return NULL;
    table = rdl_atomic_load_acquire(&tables[index / TABLE_SLABS].memory);
    return table ? &table->slabs[index % TABLE_SLABS] : NULL;
}

struct rdl_slab *rdl_slab_of(const struct rdl_stack *stack)
{
    uint32_t index = stack->id >> RDL_SLAB_STACKS_SHIFT;
    struct table *table = rdl_atomic_load_acquire(&tables[index / TABLE_SLABS].memory);

    return &table->slabs[index %
                         TABLE_SLABS]; /* whoever has a stack knows that its table is there */
}

struct rdl_stack *rdl_stack_at(uint32_t id)
{
    uint32_t index = id >> RDL_SLAB_STACKS_SHIFT;
    struct rdl_slab *slab = slab_at(index);

    if (!slab || index % TABLE_SLABS >= rdl_atomic_load_acquire(&tables[index / TABLE_SLABS].used))
        return NULL;
    return &rdl_atomic_load_relaxed(&tables[index / TABLE_SLABS].memory)
                ->records[index % TABLE_SLABS][id % RDL_SLAB_STACKS];
}

/* The part of the wait's word (see wait.c) that a new owner of the record must not start below. */
static uint32_t generation_of(struct rdl_wait *wait)
{
    return (uint32_t)rdl_atomic_load_relaxed(&wait->word) >> 2;
}

static void start_generation(struct rdl_wait *wait, uint32_t generation)
{
    rdl_atomic_store_relaxed(&wait->word, (uint64_t)(generation << 2));
    rdl_atomic_store_relaxed(&wait->poked, 0);
    rdl_atomic_store_relaxed(&wait->shield_depth, 0);
}

/* Maps n tables, aligned: the kernel frees only whole pages of a page table with what they map. */
static char *map_tables(size_t n)
{
    size_t bytes = n * TABLE_BYTES;
    size_t before;
    void *memory;
    char *low;

    if (rdl_sys_mmap(bytes + TABLE_ALIGNMENT, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, &memory) < 0)
        return NULL;
    low = memory;
    before = (TABLE_ALIGNMENT - (uintptr_t)low % TABLE_ALIGNMENT) % TABLE_ALIGNMENT;
    /* What can't be trimmed is address space lost, no more. */
    if (before)
        (void)rdl_sys_munmap(low, before);
    (void)rdl_sys_munmap(low + before + bytes, TABLE_ALIGNMENT - before);
    /* A descriptor must not cost a huge page. Refused only by kernels that have none. */
    (void)rdl_sys_madvise(low + before, bytes, MADV_NOHUGEPAGE);
    return low + before;
}

/* Makes the memory of table t, and of some more: tables close together share what is above them in
 * the page tables, which stays. Two threads may both try: the first wins. */
static int make_table(uint32_t t)
{
    uint32_t n = TABLES_AT_ONCE;
    char *memory = t + n <= TABLES ? map_tables(n) : NULL;

    if (!memory) {
        n = 1;
        memory = map_tables(n);
    }
    if (!memory)
        return -ENOMEM;

    rdl_lock_acquire(&lock);
    if (!rdl_atomic_load_relaxed(&tables[t].memory)) {
        for (uint32_t i = 0; i < n; i++) {
            struct table *table = (struct table *)(void *)(memory + i * TABLE_BYTES);

            /* release pairs with the acquire in slab_at(). */
            rdl_atomic_store_release(&tables[t + i].memory, table);
        }
        if (rdl_atomic_load_relaxed(&tables_used) < t + n)
            rdl_atomic_store_release(&tables_used, t + n);
        memory = NULL;
    }
    rdl_lock_release(&lock);
    if (memory)
        rdl_sys_munmap(memory, n * TABLE_BYTES);
    return 0;
}

/* Takes a descriptor, in the lowest table that has one, so that the highest may become empty.
 * Returns NULL, and in *missing the table that has to be made, or TABLES when all are full. */
static struct rdl_slab *take_descriptor(uint32_t *missing)
{
    struct rdl_slab *slab = NULL;
    uint32_t t;

    rdl_lock_acquire(&lock);
    for (t = 0; t < TABLES; t++) {
        struct table *table = rdl_atomic_load_relaxed(&tables[t].memory);
        uint32_t used = rdl_atomic_load_relaxed(&tables[t].used);

        if (!table)
            break;
        if (tables[t].retiring)
            continue;
        if (tables[t].unused) {
            slab = tables[t].unused;
            tables[t].unused = slab->next;
        } else if (used < TABLE_SLABS) {
            slab = &table->slabs[used];
            slab->index = t * TABLE_SLABS + used;
            for (unsigned i = 0; i < RDL_SLAB_STACKS; i++)
                start_generation(&table->records[used][i].wait, tables[t].generation);
            /* release pairs with the acquire in rdl_stack_at(). */
            rdl_atomic_store_release(&tables[t].used, used + 1);
        } else {
            continue;
        }
        tables[t].mapped++;
        break;
    }
    rdl_lock_release(&lock);
    *missing = t;
    return slab;
}

/* Gives the memory of a table without slabs back, and opens it again. */
static void retire_table(uint32_t t)
{
    struct table *table = rdl_atomic_load_relaxed(&tables[t].memory);
    uint32_t used = rdl_atomic_load_relaxed(&tables[t].used);
    uint32_t generation = tables[t].generation;
    int rc;

    for (uint32_t s = 0; s < used; s++) {
        for (unsigned i = 0; i < RDL_SLAB_STACKS; i++) {
            uint32_t seen = generation_of(&table->records[s][i].wait);

            if (seen > generation)
                generation = seen;
        }
    }
    /* On failure (memory is locked) nothing has changed, and the descriptors are as good as
     * before. */
    rc = rdl_sys_madvise(table, TABLE_BYTES, MADV_DONTNEED);

    rdl_lock_acquire(&lock);
    if (rc == 0) {
        tables[t].generation = generation;
        tables[t].unused = NULL;
        rdl_atomic_store_release(&tables[t].used, 0);
    }
    tables[t].retiring = false;
    rdl_lock_release(&lock);
}

static void put_descriptor(struct rdl_slab *slab)
{
    uint32_t t = slab->index / TABLE_SLABS;
    bool retire;

    rdl_lock_acquire(&lock);
    slab->next = tables[t].unused;
    tables[t].unused = slab;
    tables[t].mapped--;
    /* A table that was barely used is not worth it. */
    retire = !tables[t].mapped && rdl_atomic_load_relaxed(&tables[t].used) > TABLE_SLABS / 64;
    tables[t].retiring = retire;
    rdl_lock_release(&lock);
    if (retire)
        retire_table(t);
}

int rdl_slab_guard(struct rdl_stack *stack)
{
    struct rdl_slab *slab = rdl_slab_of(stack);
    int areas = rdl_guard_install(stack->low - RDL_STACK_GUARD_BYTES, RDL_STACK_GUARD_BYTES);

    if (areas < 0)
        return areas;
    if (areas)
        rdl_atomic_fetch_add_relaxed(&slab->areas, (uint32_t)areas);
    stack->guarded = true;
    return 0;
}

/* --- slabs --- */

int rdl_slab_map(unsigned size_class, struct rdl_slab **out)
{
    size_t bytes = bytes_of(size_class);
    size_t stride = stride_of(size_class);
    struct rdl_slab *slab;
    uint32_t missing;
    void *base;

    while (!(slab = take_descriptor(&missing))) {
        if (missing == TABLES || make_table(missing) < 0)
            return -ENOMEM;
    }
    if (rdl_sys_mmap(bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, &base) < 0)
        goto put_descriptor;
    /* A touched page must not become a huge one. Refused only by kernels that have none. */
    (void)rdl_sys_madvise(base, bytes, MADV_NOHUGEPAGE);

    slab->free = NULL;
    slab->count = slab->free_count = (uint8_t)count_of(size_class);
    slab->touched_count = 0;
    rdl_atomic_store_relaxed(&slab->size_class, (uint8_t)size_class);
    rdl_atomic_store_relaxed(&slab->areas, 0);
    for (unsigned i = slab->count; i-- > 0;) {
        struct rdl_stack *stack = rdl_slab_stack(slab, i);
        unsigned colour = i % RDL_STACK_COLOURS * RDL_STACK_COLOUR_BYTES;

        stack->low = (char *)base + i * stride + RDL_STACK_GUARD_BYTES;
        stack->top = (char *)base + (i + 1) * stride - colour;
        rdl_atomic_store_relaxed(&stack->owner, NULL);
        stack->id = (slab->index << RDL_SLAB_STACKS_SHIFT) + i;
        stack->size_class = (uint8_t)size_class;
        stack->guarded = false;
        stack->touched = false;
        stack->dirty = false;
        stack->next = slab->free;
        slab->free = stack;
    }
    /* release pairs with the acquire of rdl_stack_find() and the walks. */
    rdl_atomic_store_release(&slab->base, base);
    rdl_atomic_fetch_add_relaxed(&slabs_mapped, (size_t)1);
    rdl_atomic_fetch_add_relaxed(&stacks_mapped, (size_t)slab->count);
    rdl_atomic_fetch_add_relaxed(&bytes_mapped, bytes);
    *out = slab;
    return 0;
put_descriptor:
    put_descriptor(slab);
    return -ENOMEM;
}

void rdl_slab_unmap(struct rdl_slab *slab)
{
    size_t bytes = bytes_of(rdl_atomic_load_relaxed(&slab->size_class));
    char *base = rdl_atomic_exchange_acq_rel(&slab->base, NULL);
    int rc = rdl_sys_munmap(base, bytes);

    /* It can only split, or the address is wrong: at the limit of memory areas the kernel may
     * refuse. Then at least the memory goes, and the address space is lost. */
    if (rc < 0)
        (void)rdl_sys_madvise(base, bytes, MADV_DONTNEED);
    else
        rdl_guard_release(rdl_atomic_load_relaxed(&slab->areas));
    rdl_atomic_fetch_sub_relaxed(&slabs_mapped, (size_t)1);
    rdl_atomic_fetch_sub_relaxed(&stacks_mapped, (size_t)slab->count);
    rdl_atomic_fetch_sub_relaxed(&bytes_mapped, bytes);
    put_descriptor(slab);
}

bool rdl_stack_give_back(struct rdl_stack *stack)
{
    /* To the end of the last page, which the colour is part of; guard regions survive it, too. */
    if (rdl_sys_madvise(stack->low, rdl_stack_class_bytes(stack->size_class), MADV_DONTNEED) < 0)
        return false;
    stack->dirty = false;
    stack->touched = false;
    return true;
}

void rdl_slab_clean(struct rdl_stack *stack)
{
    /* Refused only where memory is locked, and then it will be refused again. */
    (void)rdl_stack_give_back(stack);
    stack->touched = false;
}

void rdl_slab_wipe(struct rdl_stack *stack)
{
    size_t bytes = rdl_stack_class_bytes(stack->size_class);
    size_t cold = bytes > WARM_BYTES ? bytes - WARM_BYTES : 0;

    if (cold && rdl_sys_madvise(stack->low, cold, MADV_DONTNEED) < 0)
        memset(stack->low, 0, cold); /* locked memory */
    memset(stack->low + cold, 0, bytes - cold);
    stack->dirty = false;
}

struct rdl_stack *rdl_stack_find(const void *address, bool *in_guard)
{
    uintptr_t wanted = (uintptr_t)address;
    uint32_t tables_now = rdl_atomic_load_acquire(&tables_used);

    for (uint32_t t = 0; t < tables_now; t++) {
        struct table *table = rdl_atomic_load_acquire(&tables[t].memory);
        uint32_t used = rdl_atomic_load_acquire(&tables[t].used);

        for (uint32_t s = 0; table && s < used; s++) {
            const struct rdl_slab *slab = &table->slabs[s];
            uintptr_t base = (uintptr_t)rdl_atomic_load_acquire(&slab->base);
            unsigned size_class = rdl_atomic_load_relaxed(&slab->size_class);
            size_t stride = stride_of(size_class);

            if (base && wanted >= base && wanted - base < bytes_of(size_class)) {
                size_t offset = (wanted - base) % stride;

                *in_guard = offset < RDL_STACK_GUARD_BYTES;
                return &table->records[s][(wanted - base) / stride];
            }
        }
    }
    *in_guard = false;
    return NULL;
}

void rdl_stack_for_each(bool (*fn)(struct rdl_stack *stack, void *arg), void *arg)
{
    uint32_t tables_now = rdl_atomic_load_acquire(&tables_used);

    for (uint32_t t = 0; t < tables_now; t++) {
        struct table *table = rdl_atomic_load_acquire(&tables[t].memory);
        uint32_t used = rdl_atomic_load_acquire(&tables[t].used);

        for (uint32_t s = 0; table && s < used; s++) {
            unsigned count;

            if (!rdl_atomic_load_acquire(&table->slabs[s].base))
                continue;
            count = count_of(rdl_atomic_load_relaxed(&table->slabs[s].size_class));
            for (unsigned i = 0; i < count; i++) {
                if (!fn(&table->records[s][i], arg))
                    return;
            }
        }
    }
}

void rdl_slab_stats(struct rdl_stack_stats *out)
{
    out->slabs = rdl_atomic_load_relaxed(&slabs_mapped);
    out->stacks = rdl_atomic_load_relaxed(&stacks_mapped);
    out->mapped_bytes = rdl_atomic_load_relaxed(&bytes_mapped);
}

void rdl_slab_fork_lock(void)
{
    rdl_lock_acquire(&lock);
}

void rdl_slab_fork_unlock(void)
{
    rdl_lock_release(&lock);
}
