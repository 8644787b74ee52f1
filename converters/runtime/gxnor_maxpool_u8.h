/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_U8_H
#define GXNOR_MAXPOOL_U8_H

#include <stdint.h>

#include "gxnor_shared.h"
#include "gxnor_window_pixel.h"

/* Max pooling of bytes; padding does not count, and every window must cover a pixel. `out` may be
   `in` if the window has no padding before the image: then no byte is read after it is overwritten. */
static void gxnor_maxpool_u8(const gxnor_window *w, const uint8_t *in, int32_t channels, uint8_t *out)
{
    int32_t y, x, i, j, k;

    GXNOR_ROLLED
    for (y = 0; y < w->out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < w->out_width; x++) {
            int32_t started = 0;
            GXNOR_ROLLED
            for (i = 0; i < w->height; i++) {
                GXNOR_ROLLED
                for (j = 0; j < w->width; j++) {
                    const int32_t pixel = gxnor_window_pixel(w, y, x, i, j);
                    const uint8_t *source = in + (pixel < 0 ? 0 : pixel * channels);
                    GXNOR_ROLLED
                    for (k = 0; pixel >= 0 && k < channels; k++) {
                        const uint8_t most = started ? out[k] : 0;
                        out[k] = source[k] > most ? source[k] : most;
                    }
                    started |= pixel >= 0;
                }
            }
            out += channels;
        }
    }
}

#endif
