/*
 * raddle/hash.h - a computation that takes long on purpose.
 */
#ifndef RDL_TOOLS_HASH_H
#define RDL_TOOLS_HASH_H

#include <stdint.h>

/* SHA-256 of "raddle", then count - 1 times SHA-256 of the digest before; count is at least 1. */
void rdl_hash(uint64_t count, unsigned char digest[32]);

#endif
