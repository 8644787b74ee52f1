/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SLICE_H
#define GXNOR_SLICE_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Input bytes to codes: value = (byte ^ flip) - zero. flip: 0, or 0x80 for int8 codes, which
   are then read as q + 128. zero: the byte (flipped) that means 0. `planes` must be enough for
   all values. */
static void gxnor_slice(const uint8_t *in, uint32_t flip, uint32_t zero, int32_t channels,
                        int32_t pixels, uint32_t *out, int32_t planes)
{
    int32_t p, c, b;

    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        GXNOR_ROLLED
        for (c = 0; c < channels; c++) {
            uint32_t value = (*in++ ^ flip) - zero;
            if ((c & 31) == 0) {
                GXNOR_ROLLED
                for (b = 0; b < planes; b++) {
                    *out++ = value & 1u;
                    value >>= 1;
                }
            } else {
                uint32_t *group = out - planes;
                GXNOR_ROLLED
                for (b = 0; b < planes; b++) {
                    group[b] |= (value & 1u) << (c & 31);
                    value >>= 1;
                }
            }
        }
    }
}

#endif
