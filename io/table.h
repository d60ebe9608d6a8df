/*
 * io/table.h - an array by descriptor number that grows, and whose elements never move.
 *
 * Chunk 0 holds the first 64 elements, each further chunk as many as all before it. A chunk is
 * mapped when its first element is asked for, zeroed, and committed page by page on touch.
 *
 * Any number of threads may look up and grow. What an element holds is the user's to protect.
 */
#ifndef RDL_IO_TABLE_H
#define RDL_IO_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "sched/atomic.h"

enum {
    RDL_TABLE_FIRST = 64, /* elements in chunk 0 */
    RDL_TABLE_CHUNKS = 26 /* enough for every non-negative int */
};

struct rdl_table {
    size_t element_bytes; /* set before the first call */
    rdl_atomic(char *) chunks[RDL_TABLE_CHUNKS];
};

/* The element, or NULL if its chunk was never grown. */
void *rdl_table_at(struct rdl_table *table, uint32_t index);

/* The element, with its chunk grown if need be. 0 or -ENOMEM. */
int rdl_table_reach(struct rdl_table *table, uint32_t index, void **out);

/* Calls fn for every element of every chunk. */
void rdl_table_each(struct rdl_table *table, void (*fn)(uint32_t index, void *element, void *arg),
                    void *arg);

/* Unmaps everything. Nobody else uses the table. */
void rdl_table_fini(struct rdl_table *table);

#endif
