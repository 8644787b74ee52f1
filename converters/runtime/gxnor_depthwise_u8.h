/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_U8_H
#define GXNOR_DEPTHWISE_U8_H

#include <stdint.h>

#include "gxnor_bytes.h"
#include "gxnor_lanes.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_window_pixel.h"

/* The sums of all channels of a depthwise convolution of bytes, multiplier 1, at output pixel (y, x).
   weights: c->channels for each place of the window, row by row. sums: c->channels words. */
static void gxnor_depthwise_u8(const gxnor_bytes *c, const uint8_t *in, const int8_t GXNOR_ROM *weights,
                               int32_t y, int32_t x, int32_t *sums)
{
    const int32_t channels = c->channels, flip = c->flip, zero = c->zero;
    int32_t i, j, k;

    GXNOR_ROLLED
    for (k = 0; k < channels; k++) {
        int32_t none = 0;
        GXNOR_HIDDEN(none);
        sums[k] = none;
    }
    GXNOR_ROLLED
    for (i = 0; i < c->window.height; i++) {
        GXNOR_ROLLED
        for (j = 0; j < c->window.width; j++) {
            const int32_t pixel = gxnor_window_pixel(&c->window, y, x, i, j);
            const uint8_t *source = in + (pixel < 0 ? 0 : pixel) * channels;
            const uint8_t *const last = source + (pixel < 0 ? 0 : channels);
            const int8_t GXNOR_ROM *weight = weights;
            int32_t *sum = sums;
            GXNOR_ROLLED
            while (source != last) {
                GXNOR_PLACE(source);
                GXNOR_PLACE(weight);
                *sum++ += (((int32_t)*source++ ^ flip) - zero) * *weight++;
            }
            weights += channels;
        }
    }
}

#endif
