/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_PAD_H
#define GXNOR_PAD_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Zeros around an image: its pixel (0, 0) becomes (top, left) of a larger one.
   group: words of a pixel, words * planes. As in gxnor_gather, masks keep the copy from becoming
   calls of memcpy and memset. */
static void gxnor_pad(const uint32_t *in, int32_t in_height, int32_t in_width, int32_t top,
                      int32_t left, int32_t group, uint32_t *out, int32_t out_height,
                      int32_t out_width)
{
    int32_t y, x, k;

    GXNOR_ROLLED
    for (y = -top; y < out_height - top; y++) {
        GXNOR_ROLLED
        for (x = -left; x < out_width - left; x++) {
            const int32_t outside = y < 0 || y >= in_height || x < 0 || x >= in_width;
            const uint32_t mask = (uint32_t)outside - 1u;
            const uint32_t *source = in + (outside ? 0 : (y * in_width + x) * group);
            GXNOR_ROLLED
            for (k = 0; k < group; k++) {
                *out++ = source[k] & mask;
            }
        }
    }
}

#endif
