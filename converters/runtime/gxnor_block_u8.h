/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BLOCK_U8_H
#define GXNOR_BLOCK_U8_H

#include <stdint.h>

#include "gxnor_rolled.h"

/* The word `offset` bytes behind `table`: weights hold byte offsets, so that an address
   needs no shift. */
static uint32_t gxnor_entry_u8(const uint32_t *table, uint8_t offset)
{
    return *(const uint32_t *)(const void *)((const uint8_t *)table + offset);
}

static const uint8_t *gxnor_block_u8(const uint32_t *tables, const uint32_t *first,
                                     const uint32_t *end, const uint8_t *weights,
                                     const uint32_t *steps, uint32_t *bits)
{
    const uint32_t mask = 0x80008000u;
    uint32_t a0 = steps[0], a1 = steps[1], a2 = steps[2], a3 = steps[3];
    uint32_t a4 = steps[4], a5 = steps[5], a6 = steps[6], a7 = steps[7];
    const uint32_t *t = first;
    uint32_t p, n;

    for (;;) {
        GXNOR_ROLLED
        do {
            a0 += gxnor_entry_u8(t, weights[0]);
            a1 += gxnor_entry_u8(t, weights[1]);
            a2 += gxnor_entry_u8(t, weights[2]);
            a3 += gxnor_entry_u8(t, weights[3]);
            a4 += gxnor_entry_u8(t, weights[4]);
            a5 += gxnor_entry_u8(t, weights[5]);
            a6 += gxnor_entry_u8(t, weights[6]);
            a7 += gxnor_entry_u8(t, weights[7]);
            weights += 8;
            t += 27;
        } while (t != end);
        if (end == first || first == tables) {
            break;
        }
        t = tables;
        end = first;
    }
    p = a0 & mask;
    n = (steps[8] - a0) & mask;
    p = p >> 1 | (a1 & mask);
    n = n >> 1 | ((steps[9] - a1) & mask);
    p = p >> 1 | (a2 & mask);
    n = n >> 1 | ((steps[10] - a2) & mask);
    p = p >> 1 | (a3 & mask);
    n = n >> 1 | ((steps[11] - a3) & mask);
    p = p >> 1 | (a4 & mask);
    n = n >> 1 | ((steps[12] - a4) & mask);
    p = p >> 1 | (a5 & mask);
    n = n >> 1 | ((steps[13] - a5) & mask);
    p = p >> 1 | (a6 & mask);
    n = n >> 1 | ((steps[14] - a6) & mask);
    p = p >> 1 | (a7 & mask);
    n = n >> 1 | ((steps[15] - a7) & mask);
    bits[0] = p | n;
    bits[1] = n;
    return weights;
}

#endif
