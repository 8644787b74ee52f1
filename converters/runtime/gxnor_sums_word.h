/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SUMS_WORD_H
#define GXNOR_SUMS_WORD_H

#include <stdint.h>

#include "gxnor_lanes.h"
#include "gxnor_shared.h"

/* The sums of 32 channels, or of `count` if they are fewer, as counters: planes of S + 2^(bits-1),
   which is 0 where there is no channel. counters: 32 words, of which the first `bits` count.
   A square of 32 x 32 bits is transposed: halves of words are swapped, then quarters, ... */
GXNOR_SHARED void gxnor_sums_word(const int32_t *sums, int32_t count, uint32_t *counters, int32_t bits)
{
    const uint32_t half = (uint32_t)1 << (bits - 1);
    uint32_t mask = 0xFFFFu, size;
    int32_t k;

    GXNOR_ROLLED
    for (k = 0; k < 32; k++) {
        uint32_t value = k < count ? (uint32_t)sums[k] + half : 0u;
        GXNOR_HIDDEN(value);
        counters[k] = value;
    }
    GXNOR_ROLLED
    for (size = 16; size; size >>= 1) {
        uint32_t i;
        GXNOR_ROLLED
        for (i = 0; i < 32; i = ((i | size) + 1) & ~size) {
            const uint32_t swap = ((counters[i] >> size) ^ counters[i | size]) & mask;
            counters[i] ^= swap << size;
            counters[i | size] ^= swap;
        }
        mask ^= mask << (size >> 1);
    }
}

#endif
