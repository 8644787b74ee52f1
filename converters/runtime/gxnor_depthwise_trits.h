/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_TRITS_H
#define GXNOR_DEPTHWISE_TRITS_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* The counters of 32 channels of a depthwise convolution of trits with windows of up to 30
   places: 6 planes of U = S + 32, kept in registers.
   in: the word of the first pixel under the window; row_step, column_step: words between pixels.
   weights: pairs {nonzero, negative} of the place over it; row: words from one row to the next.
   A product is nonzero - 2 * (nonzero and negative), so U is counted up from 32 - 2 * pixels by
   nonzero + 2 * not (nonzero and negative), modulo 64; 2 <= U <= 62 in the end. */
static void gxnor_depthwise_trits(const uint32_t *in, int32_t row_step, int32_t column_step,
                                  int32_t rows, int32_t columns, const uint32_t GXNOR_ROM *weights,
                                  int32_t row, uint32_t *counters)
{
    const uint32_t start = 32u - 2u * (uint32_t)(rows * columns);
    uint32_t s0 = 0u, s1 = 0u - ((start >> 1) & 1u), s2 = 0u - ((start >> 2) & 1u);
    uint32_t s3 = 0u - ((start >> 3) & 1u), s4 = 0u - ((start >> 4) & 1u);
    uint32_t s5 = 0u - ((start >> 5) & 1u);
    int32_t i, j;

    GXNOR_ROLLED
    for (i = 0; i < rows; i++) {
        const uint32_t *x = in;
        const uint32_t GXNOR_ROM *w = weights;
        GXNOR_ROLLED
        for (j = 0; j < columns; j++) {
            const uint32_t nonzero = x[0] & w[0];
            const uint32_t minus = nonzero & (x[1] ^ w[1]);
            const uint32_t odd = s1 ^ ~minus;
            uint32_t carry = s0 & nonzero, next = (s1 & ~minus) | (carry & odd);
            s0 ^= nonzero;
            s1 = odd ^ carry;
            carry = s2 & next;
            s2 ^= next;
            next = s3 & carry;
            s3 ^= carry;
            carry = s4 & next;
            s4 ^= next;
            s5 ^= carry;
            x += column_step;
            w += 2;
        }
        in += row_step;
        weights += row;
    }
    counters[0] = s0;
    counters[1] = s1;
    counters[2] = s2;
    counters[3] = s3;
    counters[4] = s4;
    counters[5] = s5;
}

#endif
