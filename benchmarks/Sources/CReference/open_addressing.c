#include "open_addressing.h"

#include <stdlib.h>

typedef struct {
    uint64_t key;
    uint64_t value;
} slot;

struct open_addressing {
    slot *slots;
    uint64_t mask;
};

enum { batch_size = 32 };

static inline uint64_t mix(uint64_t key) {
    key ^= key >> 32;
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 32;
}

open_addressing *open_addressing_create(const uint64_t *keys, const uint64_t *values, size_t count) {
    size_t capacity = 16;
    while (capacity * 6 / 10 < count) capacity *= 2;
    open_addressing *table = malloc(sizeof *table);
    if (table == NULL) return NULL;
    table->slots = calloc(capacity, sizeof(slot));
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
    free(table->slots);
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
