/*
 * tests/model/plain.c - which plain accesses race, and which touch memory that was given back.
 *
 * For each 8 bytes the last accesses are kept: by whom, when, which of the bytes. Two accesses to the same
 * byte by different threads race if one is a write and the later thread doesn't know of the earlier one
 * (happens-before). Threads are switched at atomic operations only, but that hides no race: what counts
 * is what the threads know, not when they ran.
 *
 * begin and end happen before and after everything, and aren't recorded.
 */
#include "tests/model/core.h"

enum { BUCKET_BITS = 14, BUCKETS = 1 << BUCKET_BITS };

/* Where the program is in memory, by the linker: an address less this is what addr2line wants. */
extern const char __executable_start[];

static struct model_cell cells[BUCKETS];
static uint32_t round_now;
static unsigned used;

void model_plain_begin(void)
{
    round_now++;
    used = 0;
}

struct model_cell *model_cell_at(uintptr_t address)
{
    uintptr_t key = address / 8;
    uintptr_t i = (uintptr_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - BUCKET_BITS));

    for (;; i = (i + 1) % BUCKETS) {
        struct model_cell *cell = &cells[i];

        if (cell->round != round_now) {
            if (++used > BUCKETS / 2)
                model_fail("the checker has room for %d words of memory only", BUCKETS / 2);
            cell->round = round_now;
            cell->key = key;
            cell->poisoned = 0;
            cell->access_count = 0;
            cell->has_locations = false;
            for (int b = 0; b < 8; b++)
                cell->location[b] = 0;
            return cell;
        }
        if (cell->key == key)
            return cell;
    }
}

/* Just before the return address pc: in the access. */
static unsigned long place(const void *pc)
{
    return (unsigned long)((uintptr_t)pc - (uintptr_t)__executable_start - 1);
}

static void record(struct model_cell *cell, uint8_t bytes, bool write, const void *pc)
{
    struct model_mind *me = &model_minds[model_current];
    unsigned kept = 0;

    if (cell->access_count) {
        const struct model_access *last = &cell->accesses[cell->access_count - 1];

        /* Again, and nothing has happened since. */
        if (last->thread == model_current && last->clock == me->now.clock[model_current] &&
            (last->bytes & bytes) == bytes && (last->write || !write))
            return;
    }
    for (unsigned i = 0; i < cell->access_count; i++) {
        struct model_access *a = &cell->accesses[i];

        if (a->thread == model_current) {
            /* Whoever knows of the new access knows of the old one; a read doesn't replace a write. */
            if (write || !a->write)
                a->bytes &= (uint8_t)~bytes;
        } else if ((a->bytes & bytes) && (write || a->write) &&
                   a->clock > me->now.clock[a->thread]) {
            model_fail("data race: %s %s what %s %s (addr2line 0x%lx 0x%lx)",
                       model_thread_name(model_current), write ? "writes" : "reads",
                       model_thread_name(a->thread), a->write ? "wrote" : "read", place(pc),
                       place(a->pc));
        }
        if (a->bytes)
            cell->accesses[kept++] = *a;
    }
    if (kept == MODEL_ACCESSES)
        kept--;
    cell->accesses[kept++] = (struct model_access){.clock = me->now.clock[model_current],
                                                   .thread = (uint8_t)model_current,
                                                   .bytes = bytes,
                                                   .write = write,
                                                   .pc = pc};
    cell->access_count = (uint8_t)kept;
}

static void plain_word(uintptr_t address, uint8_t bytes, bool write, const void *pc)
{
    struct model_cell *cell = model_cell_at(address);

    if (cell->poisoned & bytes)
        model_fail("%s %s memory that was given back (addr2line 0x%lx)",
                   model_thread_name(model_current), write ? "writes" : "reads", place(pc));
    if (cell->has_locations)
        for (unsigned b = 0; b < 8; b++)
            if ((bytes & 1u << b) && cell->location[b])
                model_plain_on_location(cell->location[b] - 1u, write);
    record(cell, bytes, write, pc);
}

/* Calls fn for each aligned word that the range touches. */
static void for_each_word(const void *p, size_t size, bool write, const void *pc,
                          void (*fn)(uintptr_t, uint8_t, bool, const void *))
{
    uintptr_t address = (uintptr_t)p, end = address + size;

    while (address < end) {
        uintptr_t next = (address / 8 + 1) * 8;
        uintptr_t here = (next < end ? next : end) - address;

        fn(address, (uint8_t)(((1u << here) - 1) << address % 8), write, pc);
        address = next;
    }
}

void model_plain(const void *p, size_t size, bool write, const void *pc)
{
    uintptr_t address = (uintptr_t)p;

    if (model_current == 0 || model_is_local(p))
        return;
    if (address % 8 + size <= 8)
        plain_word(address, (uint8_t)(((1u << size) - 1) << address % 8), write, pc);
    else
        for_each_word(p, size, write, pc, plain_word);
}

void model_plain_read_only(const void *p, size_t size)
{
    uintptr_t address = (uintptr_t)p;

    if (model_current != 0)
        record(model_cell_at(address), (uint8_t)(((1u << size) - 1) << address % 8), false, NULL);
}

static void poison_word(uintptr_t address, uint8_t bytes, bool write, const void *pc)
{
    (void)write;
    (void)pc;
    model_cell_at(address)->poisoned |= bytes;
}

static void unpoison_word(uintptr_t address, uint8_t bytes, bool write, const void *pc)
{
    (void)write;
    (void)pc;
    model_cell_at(address)->poisoned &= (uint8_t)~bytes;
}

void model_poison(const void *p, size_t size)
{
    const void *pc = __builtin_return_address(0);

    model_plain(p, size, true, pc);
    for_each_word(p, size, true, pc, poison_word);
}

void model_unpoison(const void *p, size_t size)
{
    for_each_word(p, size, true, NULL, unpoison_word);
}
