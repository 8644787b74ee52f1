/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SLICE_U8_H
#define GXNOR_SLICE_U8_H

#include <stdint.h>

#include "gxnor_shared.h"
#include "gxnor_slice_rows.h"
#include "gxnor_turn.h"

/* Bytes to codes of `planes` planes: a byte is the value mod 256, which is -128..127 if `negative`,
   else 0..255. Eight channels at once. */
static void gxnor_slice_u8(const uint8_t *in, int32_t negative, int32_t channels, int32_t pixels,
                           uint32_t *out, int32_t planes)
{
    int32_t p, c, b;

    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        GXNOR_ROLLED
        for (c = 0; c < channels; c += 8) {
            uint32_t low = 0, high = 0;
            GXNOR_ROLLED
            for (b = 8; b > 0; b--) {
                low = low >> 8 | high << 24;
                high >>= 8;
                if (c + 8 - b < channels) {
                    high |= (uint32_t)*in++ << 24;
                }
            }
            gxnor_turn(&low, &high);
            gxnor_slice_rows(low, high, negative, c & 24, out, planes);
            out += (c & 24) == 24 || c + 8 >= channels ? planes : 0;
        }
    }
}

#endif
