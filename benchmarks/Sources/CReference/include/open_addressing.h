#ifndef OPEN_ADDRESSING_H
#define OPEN_ADDRESSING_H

#include <stddef.h>
#include <stdint.h>

/// A hash table from 64-bit keys to 64-bit values as one would write it in C: linear probing in one array of a power of two
/// slots, at most 60 % full. The reference that the routing table is measured against. Key 0 is not allowed.
typedef struct open_addressing open_addressing;

open_addressing *open_addressing_create(const uint64_t *keys, const uint64_t *values, size_t count);
void open_addressing_destroy(open_addressing *table);
size_t open_addressing_bytes(const open_addressing *table);

/// The value of a key, or 0.
uint64_t open_addressing_find(const open_addressing *table, uint64_t key);

/// The sum of the values of many keys, one after the other.
uint64_t open_addressing_sum(const open_addressing *table, const uint64_t *keys, size_t count);

/// The same in batches: every slot of a batch is prefetched before the first one is read.
uint64_t open_addressing_sum_prefetching(const open_addressing *table, const uint64_t *keys, size_t count);

#endif
