/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_SUMS_H
#define GXNOR_MAXPOOL_SUMS_H

#include <stdint.h>

#include "gxnor_shared.h"
#include "gxnor_window_pixel.h"

/* Max pooling of sums; padding does not count. `out` may be `in` if the window has no
   padding before the image: then no pixel is read after it is overwritten. */
static void gxnor_maxpool_sums(const gxnor_window *w, const int32_t *in, int32_t channels,
                               int32_t *out)
{
    int32_t y, x, c, i, j;

    GXNOR_ROLLED
    for (y = 0; y < w->out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < w->out_width; x++) {
            GXNOR_ROLLED
            for (c = 0; c < channels; c++) {
                int32_t best = INT32_MIN;
                GXNOR_ROLLED
                for (i = 0; i < w->height; i++) {
                    GXNOR_ROLLED
                    for (j = 0; j < w->width; j++) {
                        const int32_t pixel = gxnor_window_pixel(w, y, x, i, j);
                        if (pixel >= 0) {
                            const int32_t sum = in[pixel * channels + c];
                            best = sum > best ? sum : best;
                        }
                    }
                }
                *out++ = best;
            }
        }
    }
}

#endif
