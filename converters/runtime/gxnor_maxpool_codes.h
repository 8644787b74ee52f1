/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXPOOL_CODES_H
#define GXNOR_MAXPOOL_CODES_H

#include <stdint.h>

#include "gxnor_maximum.h"
#include "gxnor_shared.h"
#include "gxnor_window_pixel.h"

/* Max pooling of codes of any number of planes; padding does not count, and every window
   must cover a pixel. words: groups of 32 channels in a pixel. `out` may be `in` if the window
   has no padding before the image: then no pixel is read after it is overwritten. */
static void gxnor_maxpool_codes(const gxnor_window *w, const uint32_t *in, int32_t planes,
                                int32_t words, uint32_t *out)
{
    const int32_t group = words * planes;
    int32_t y, x, i, j, k;

    GXNOR_ROLLED
    for (y = 0; y < w->out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < w->out_width; x++) {
            uint32_t always = UINT32_MAX;
            GXNOR_ROLLED
            for (i = 0; i < w->height; i++) {
                GXNOR_ROLLED
                for (j = 0; j < w->width; j++) {
                    const int32_t pixel = gxnor_window_pixel(w, y, x, i, j);
                    if (pixel >= 0) {
                        GXNOR_ROLLED
                        for (k = 0; k < group; k += planes) {
                            gxnor_maximum(in + pixel * group + k, out + k, planes, always);
                        }
                        always = 0;
                    }
                }
            }
            out += group;
        }
    }
}

#endif
