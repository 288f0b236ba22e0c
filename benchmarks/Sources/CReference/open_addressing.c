#define _GNU_SOURCE
#include "open_addressing.h"

#include <stdlib.h>
#include <sys/mman.h>

typedef struct {
    uint64_t key;
    uint64_t value;
} slot;

struct open_addressing {
    slot *slots;
    uint64_t mask;
};

enum { batch_size = 32, huge_page = 2 << 20 };

static inline uint64_t mix(uint64_t key) {
    key ^= key >> 32;
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 32;
}

static size_t rounded(size_t size) { return (size + huge_page - 1) & ~(size_t)(huge_page - 1); }

/// Aligned to huge pages, and zeroed: the system's own pages are.
static void *allocate(size_t size) {
    size_t mapped = rounded(size) + huge_page;
    char *start = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    size_t skipped = -(uintptr_t)start & (huge_page - 1);
    if (skipped > 0) munmap(start, skipped);
    munmap(start + skipped + rounded(size), mapped - skipped - rounded(size));
#ifdef MADV_HUGEPAGE
    madvise(start + skipped, rounded(size), MADV_HUGEPAGE);
#endif
    return start + skipped;
}

open_addressing *open_addressing_create(const uint64_t *keys, const uint64_t *values, size_t count) {
    size_t capacity = 16;
    while (capacity * 6 / 10 < count) capacity *= 2;
    open_addressing *table = malloc(sizeof *table);
    if (table == NULL) return NULL;
    table->slots = allocate(capacity * sizeof(slot));
    table->mask = capacity - 1;
    if (table->slots == NULL) {
        free(table);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t place = mix(keys[i]) & table->mask;
        while (table->slots[place].key != 0) place = (place + 1) & table->mask;
        table->slots[place] = (slot){keys[i], values[i]};
    }
    return table;
}

void open_addressing_destroy(open_addressing *table) {
    munmap(table->slots, rounded(open_addressing_bytes(table)));
    free(table);
}

size_t open_addressing_bytes(const open_addressing *table) { return (table->mask + 1) * sizeof(slot); }

static inline uint64_t probe(const open_addressing *table, uint64_t key, uint64_t place) {
    while (table->slots[place].key != 0) {
        if (table->slots[place].key == key) return table->slots[place].value;
        place = (place + 1) & table->mask;
    }
    return 0;
}

uint64_t open_addressing_find(const open_addressing *table, uint64_t key) {
    return probe(table, key, mix(key) & table->mask);
}

uint64_t open_addressing_sum(const open_addressing *table, const uint64_t *keys, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += probe(table, keys[i], mix(keys[i]) & table->mask);
    return sum;
}

uint64_t open_addressing_sum_prefetching(const open_addressing *table, const uint64_t *keys, size_t count) {
    uint64_t sum = 0;
    uint64_t places[batch_size];
    for (size_t start = 0; start < count; start += batch_size) {
        size_t size = count - start < batch_size ? count - start : batch_size;
        for (size_t i = 0; i < size; i++) {
            places[i] = mix(keys[start + i]) & table->mask;
            __builtin_prefetch(&table->slots[places[i]]);
        }
        for (size_t i = 0; i < size; i++) sum += probe(table, keys[start + i], places[i]);
    }
    return sum;
}

lease_record *lease_records_create(size_t count) { return allocate(count * sizeof(lease_record)); }

void lease_records_destroy(lease_record *records, size_t count) {
    munmap(records, rounded(count * sizeof(lease_record)));
}

static inline uint64_t decide(const lease_record *records, uint64_t number, int32_t today) {
    if (number == 0) return 0;
    const lease_record *record = &records[number - 1];
    if (today < record->first_day || today > record->last_day) return 0;
    return record->landlord[0] ^ record->landlord[1] ^ record->property[1];
}

uint64_t open_addressing_decide(
    const open_addressing *table, const lease_record *records, const uint64_t *keys, size_t count, int32_t today) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += decide(records, open_addressing_find(table, keys[i]), today);
    return sum;
}

uint64_t open_addressing_decide_prefetching(
    const open_addressing *table, const lease_record *records, const uint64_t *keys, size_t count, int32_t today) {
    uint64_t sum = 0;
    uint64_t places[batch_size];
    for (size_t start = 0; start < count; start += batch_size) {
        size_t size = count - start < batch_size ? count - start : batch_size;
        for (size_t i = 0; i < size; i++) {
            places[i] = mix(keys[start + i]) & table->mask;
            __builtin_prefetch(&table->slots[places[i]]);
        }
        for (size_t i = 0; i < size; i++) {
            places[i] = probe(table, keys[start + i], places[i]);
            if (places[i] != 0) __builtin_prefetch(&records[places[i] - 1]);
        }
        for (size_t i = 0; i < size; i++) sum += decide(records, places[i], today);
    }
    return sum;
}
