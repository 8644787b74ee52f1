/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_GATHER_U8_H
#define GXNOR_GATHER_U8_H

#include <stdint.h>

#include "gxnor_conv.h"

/* Copies the bytes of a group's channels under the window of output pixel (y, x) to
   `patch`, side by side, flipped to 0..255; padding is the byte that means 0. As in
   gxnor_gather, masks keep the copy from becoming a call of memcpy. */
static void gxnor_gather_u8(const gxnor_conv *c, const uint8_t *in, int32_t y, int32_t x,
                            int32_t group, uint8_t *patch)
{
    const int32_t first = group * c->group_inputs;
    int32_t i, j, k;

    for (i = 0; i < c->window.height; i++) {
        for (j = 0; j < c->window.width; j++) {
            const int32_t pixel = gxnor_window_pixel(&c->window, y, x, i, j);
            const uint32_t mask = (uint32_t)(pixel < 0) - 1u;
            const uint8_t *source = in + (pixel < 0 ? 0 : pixel * c->in_step) + first;
            for (k = 0; k < c->take; k++) {
                const uint32_t code = (uint32_t)source[k] ^ c->flip;
                *patch++ = (uint8_t)((code & mask) | (c->zero & ~mask));
            }
        }
    }
}

#endif
