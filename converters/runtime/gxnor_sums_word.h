/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SUMS_WORD_H
#define GXNOR_SUMS_WORD_H

#include <stdint.h>

#include "gxnor_shared.h"

/* The sums of 32 channels, or of `count` if they are fewer, as counters: `bits` planes of
   S + 2^(bits-1), which is 0 where there is no channel. */
static void gxnor_sums_word(const int32_t *sums, int32_t count, uint32_t *counters, int32_t bits)
{
    int32_t o, b;

    GXNOR_ROLLED
    for (o = 0; o < 32 && o < count; o++) {
        uint32_t value = (uint32_t)sums[o] + ((uint32_t)1 << (bits - 1));
        GXNOR_ROLLED
        for (b = 0; b < bits; b++) {
            counters[b] = (o ? counters[b] : 0u) | (value & 1u) << o;
            value >>= 1;
        }
    }
}

#endif
