/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BLOCK_U8_H
#define GXNOR_BLOCK_U8_H

#include <stdint.h>

#include "gxnor_entry_u8.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Eight filters at two output pixels, then a ternary step.
   tables: 27 words for each group of three taps, up to `end`, in a ring: that of the first
   weights is at `first`, in [tables, end). weights: eight bytes a group, the offsets of the
   filters' sums in its table. steps: eight starts of the sums, then eight words `last`.
   bits[0], bits[1]: bits 8 to 15 say that filter 0 to 7 is not 0 at the upper pixel, and
   negative; bits 24 to 31 the same of the lower pixel; all others are 0.
   Returns the weights of the next eight filters.

   A word is u + 65536 * v mod 2^32 for a number u of the upper and v of the lower pixel:
   whatever the halves borrow from each other on the way, the word of a total is right, and
   if 0 <= u, v < 65536 its halves are u and v. That holds for
   total = 32768 - t1 + sum and last - total = 32767 + t0 - sum, where -32768 <= sum - t < 32768
   for all sums and both thresholds t of a filter (the exporter sees to that; it is so if at
   most 128 weights of a filter are not 0, as the sums then lie in an interval of
   128 * 255 = 32640, and thresholds in it or one above). Bit 15 of a half then says
   sum >= t1, and sum < t0.
   In filters that do not exist all is 0: the weights, starts and lasts.

   `volatile` and the order, last filter first, keep compilers from loading weights ahead
   into registers that the sums need: of a Cortex-M's 13, these loops take 12. */
static const volatile uint8_t GXNOR_ROM *gxnor_block_u8(const uint32_t *tables, const uint32_t *first,
                                                        const uint32_t *end,
                                                        const volatile uint8_t GXNOR_ROM *weights,
                                                        const uint32_t GXNOR_ROM *steps, uint32_t *bits)
{
    const uint32_t mask = 0x80008000u;
    uint32_t a0 = steps[0], a1 = steps[1], a2 = steps[2], a3 = steps[3];
    uint32_t a4 = steps[4], a5 = steps[5], a6 = steps[6], a7 = steps[7];
    const uint32_t *t = first;
    uint32_t p, n;

    for (;;) {
        GXNOR_ROLLED
        do {
            a7 += gxnor_entry_u8(t, weights[7]);
            a6 += gxnor_entry_u8(t, weights[6]);
            a5 += gxnor_entry_u8(t, weights[5]);
            a4 += gxnor_entry_u8(t, weights[4]);
            a3 += gxnor_entry_u8(t, weights[3]);
            a2 += gxnor_entry_u8(t, weights[2]);
            a1 += gxnor_entry_u8(t, weights[1]);
            a0 += gxnor_entry_u8(t, weights[0]);
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
