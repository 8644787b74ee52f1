/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_UNSLICE_U8_H
#define GXNOR_UNSLICE_U8_H

#include <stdint.h>

#include "gxnor_shared.h"
#include "gxnor_turn.h"

/* Codes to bytes: their values mod 256. in: `pixels` of ceil(channels / 32) groups of `planes`
   words, the last of which is the sign. Eight channels at once. */
static void gxnor_unslice_u8(const uint32_t *in, int32_t planes, int32_t channels, int32_t pixels,
                             uint8_t *out)
{
    int32_t p, c, b;

    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        GXNOR_ROLLED
        for (c = 0; c < channels; c += 8) {
            const uint32_t *const group = in + (c >> 5) * planes;
            uint32_t high = 0, low = 0;
            GXNOR_ROLLED
            for (b = 7; b >= 4; b--) {
                high = high << 8 | ((group[b < planes ? b : planes - 1] >> (c & 24)) & 0xffu);
                low = low << 8 | ((group[b - 4 < planes ? b - 4 : planes - 1] >> (c & 24)) & 0xffu);
            }
            gxnor_turn(&low, &high);
            GXNOR_ROLLED
            for (b = c; b < channels && b < c + 8; b++) {
                *out++ = (uint8_t)low;
                low = b == c + 3 ? high : low >> 8;
            }
        }
        in += ((channels + 31) >> 5) * planes;
    }
}

#endif
