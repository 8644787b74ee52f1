/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_PAIR_U8_H
#define GXNOR_PAIR_U8_H

#include <stdint.h>

#include "gxnor_block_u8.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* All filters at two output pixels, which are written as trits to `out` (the upper pixel)
   and `below`; if both are the same place, the upper pixel stays. Other arguments as in
   gxnor_block_u8. A full word has shifted out whatever was before; one of fewer than four
   blocks of filters is shifted by what is missing. */
static void gxnor_pair_u8(const uint32_t *tables, const uint32_t *first, const uint32_t *end,
                          const volatile uint8_t GXNOR_ROM *weights, const uint32_t GXNOR_ROM *steps,
                          int32_t filters, uint32_t *out, uint32_t *below)
{
    uint32_t upper = 0, upper_negative = 0, lower = 0, lower_negative = 0;
    int32_t o;

    GXNOR_ROLLED
    for (o = 0; o < filters; o += 8) {
        uint32_t bits[2];
        weights = gxnor_block_u8(tables, first, end, weights, steps, bits);
        steps += 16;
        upper = upper >> 8 | (bits[0] << 16 & 0xff000000u);
        upper_negative = upper_negative >> 8 | (bits[1] << 16 & 0xff000000u);
        lower = lower >> 8 | (bits[0] & 0xff000000u);
        lower_negative = lower_negative >> 8 | (bits[1] & 0xff000000u);
        if ((o & 24) == 24 || o + 8 >= filters) {
            const int32_t rest = 24 - (o & 24);
            *below++ = lower >> rest;
            *below++ = lower_negative >> rest;
            *out++ = upper >> rest;
            *out++ = upper_negative >> rest;
        }
    }
}

#endif
