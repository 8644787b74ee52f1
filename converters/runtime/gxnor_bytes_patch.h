/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BYTES_PATCH_H
#define GXNOR_BYTES_PATCH_H

#include <stdint.h>

#include "gxnor_bytes.h"
#include "gxnor_lanes.h"
#include "gxnor_shared.h"
#include "gxnor_window_pixel.h"

/* The values under the window of output pixel (y, x), row by row, 0 outside of the image:
   -255..255, c->taps of them. */
static void gxnor_bytes_patch(const gxnor_bytes *c, const uint8_t *in, int32_t y, int32_t x,
                              int16_t *patch)
{
    const int16_t *const end = patch + c->taps;
    int32_t i, j, k;

    GXNOR_ROLLED
    for (i = 0; i < c->window.height; i++) {
        GXNOR_ROLLED
        for (j = 0; j < c->window.width; j++) {
            const int32_t pixel = gxnor_window_pixel(&c->window, y, x, i, j);
            const uint8_t *source = in + (pixel < 0 ? 0 : pixel) * c->channels;
            uint32_t inside = (uint32_t)(pixel < 0) - 1u;
            GXNOR_HIDDEN(inside);
            GXNOR_ROLLED
            for (k = 0; k < c->channels; k++) {
                const uint32_t value = (source[k] ^ (uint32_t)c->flip) - (uint32_t)c->zero;
                *patch++ = (int16_t)(value & inside);
            }
        }
    }
    GXNOR_ROLLED
    while (patch < end) {
        uint32_t none = 0;
        GXNOR_HIDDEN(none);
        *patch++ = (int16_t)none;
    }
}

#endif
