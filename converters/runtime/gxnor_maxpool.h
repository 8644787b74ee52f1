/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_H
#define GXNOR_MAXPOOL_H

#include <stdint.h>

#include "gxnor_window_pixel.h"

/* Max pooling of trits: +1 where any is +1, -1 where all are -1; padding does not count.
   words: pairs {pos, neg} in a pixel. `out` may be `in` if the window has no padding
   before the image: then no pixel is read after it is overwritten. */
static void gxnor_maxpool(const gxnor_window *w, const uint32_t *in, int32_t words, uint32_t *out)
{
    int32_t y, x, k, i, j;

    for (y = 0; y < w->out_height; y++) {
        for (x = 0; x < w->out_width; x++) {
            for (k = 0; k < words; k++) {
                uint32_t pos = 0, neg = UINT32_MAX;
                for (i = 0; i < w->height; i++) {
                    for (j = 0; j < w->width; j++) {
                        const int32_t pixel = gxnor_window_pixel(w, y, x, i, j);
                        if (pixel >= 0) {
                            pos |= in[2 * (pixel * words + k)];
                            neg &= in[2 * (pixel * words + k) + 1];
                        }
                    }
                }
                *out++ = pos;
                *out++ = neg;
            }
        }
    }
}

#endif
