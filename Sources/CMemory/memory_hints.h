#ifndef MEMORY_HINTS_H
#define MEMORY_HINTS_H

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// What Swift has no words for: memory that lies on huge pages and goes back to the system when it is let go, asking the
// processor for memory before it is needed, and comparing a line of it at once.

enum { large_memory_page = 2 << 20 };

/// Memory aligned to a cache line, full of zeros. From 2 MiB on it is the system's own, aligned to huge pages and marked for
/// them. NULL when there is none.
static inline void *_Nullable large_memory_allocate(size_t size) {
    if (size < large_memory_page) {
        size_t rounded = size == 0 ? 64 : (size + 63) & ~(size_t)63;
        char *memory = aligned_alloc(64, rounded);
        if (memory == NULL) return NULL;
        for (size_t i = 0; i < rounded; i++) memory[i] = 0;
        return memory;
    }
    size_t mapped = size + large_memory_page;
    char *start = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    size_t skipped = -(uintptr_t)start & (large_memory_page - 1);
    size_t kept = (size + 4095) & ~(size_t)4095;
    if (skipped > 0) munmap(start, skipped);
    if (mapped > skipped + kept) munmap(start + skipped + kept, mapped - skipped - kept);
#ifdef MADV_HUGEPAGE
    madvise(start + skipped, kept, MADV_HUGEPAGE);
#endif
    return start + skipped;
}

/// Gives back what `large_memory_allocate` gave for that size.
static inline void large_memory_free(void *_Nonnull memory, size_t size) {
    if (size < large_memory_page) {
        free(memory);
    } else {
        munmap(memory, (size + 4095) & ~(size_t)4095);
    }
}

/// Which of 16 numbers, aligned to 64 bytes, equal another: a bit each, the first the lowest.
static inline uint32_t line_matches(const int32_t *_Nonnull line, int32_t wanted) {
#if defined(__SSE2__)
    const __m128i *parts = (const __m128i *)line;
    __m128i all = _mm_set1_epi32(wanted);
    __m128i low = _mm_packs_epi32(
        _mm_cmpeq_epi32(_mm_load_si128(parts), all), _mm_cmpeq_epi32(_mm_load_si128(parts + 1), all));
    __m128i high = _mm_packs_epi32(
        _mm_cmpeq_epi32(_mm_load_si128(parts + 2), all), _mm_cmpeq_epi32(_mm_load_si128(parts + 3), all));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));
#else
    uint32_t matches = 0;
    for (int i = 0; i < 16; i++) matches |= (uint32_t)(line[i] == wanted) << i;
    return matches;
#endif
}

/// Brings a line of memory near, without waiting for it.
static inline void memory_prefetch(const void *_Nonnull address) { __builtin_prefetch(address); }

/// Gives back what was freed and the allocator keeps for later: after a large job that is as much as the job took.
static inline void memory_give_back(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

#endif
