#ifndef OPEN_ADDRESSING_H
#define OPEN_ADDRESSING_H

#include <stddef.h>
#include <stdint.h>

/// A hash table from 64-bit keys to 64-bit values as one would write it in C: linear probing in one array of a power of two
/// slots, at most 60 % full, on huge pages where the system has them. The reference that the routing table is measured
/// against. Key 0 is not allowed.
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

/// What a decision reads of a lease: whose it is, and whether it runs.
typedef struct {
    uint64_t landlord[2];
    uint64_t property[2];
    int64_t learnt_at;
    int32_t first_day, last_day;
} lease_record;

/// Memory for records, on huge pages where the system has them, full of zeros.
lease_record *lease_records_create(size_t count);
void lease_records_destroy(lease_record *records, size_t count);

/// The sum of something of the landlord of each key's lease, if it runs on a day; values are numbers of records, from 1.
uint64_t open_addressing_decide(
    const open_addressing *table, const lease_record *records, const uint64_t *keys, size_t count, int32_t today);

/// The same in batches: slots, then records, are prefetched before the first of them is read.
uint64_t open_addressing_decide_prefetching(
    const open_addressing *table, const lease_record *records, const uint64_t *keys, size_t count, int32_t today);

/// Memory of this process that is in use; what was freed is given back first.
int64_t resident_bytes(void);

#endif
