/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_U8_H
#define GXNOR_MAXPOOL_U8_H

#include <stdint.h>

#include "gxnor_window_pixel.h"

/* Max pooling of input bytes; padding does not count.
   int8 codes are read with flip 0x80, as q + 128, which keeps their order. */
static void gxnor_maxpool_u8(const gxnor_window *w, const uint8_t *in, uint8_t flip,
                             int32_t channels, uint8_t *out)
{
    int32_t y, x, c, i, j;

    for (y = 0; y < w->out_height; y++) {
        for (x = 0; x < w->out_width; x++) {
            for (c = 0; c < channels; c++) {
                uint8_t best = 0;
                for (i = 0; i < w->height; i++) {
                    for (j = 0; j < w->width; j++) {
                        const int32_t pixel = gxnor_window_pixel(w, y, x, i, j);
                        if (pixel >= 0) {
                            const uint8_t code = (uint8_t)(in[pixel * channels + c] ^ flip);
                            best = code > best ? code : best;
                        }
                    }
                }
                *out++ = best;
            }
        }
    }
}

#endif
