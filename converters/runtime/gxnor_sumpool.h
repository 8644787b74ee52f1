/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SUMPOOL_H
#define GXNOR_SUMPOOL_H

#include <stdint.h>

#include "gxnor_accumulate.h"
#include "gxnor_shared.h"
#include "gxnor_window_pixel.h"

/* Sum pooling of codes; padding adds 0. words: groups of 32 channels in a pixel.
   in_planes <= planes, which must be enough for the sums. */
static void gxnor_sumpool(const gxnor_window *w, const uint32_t *in, int32_t in_planes,
                          int32_t words, uint32_t *out, int32_t planes)
{
    const int32_t places = w->height * w->width;
    int32_t y, x, k, n;

    GXNOR_ROLLED
    for (y = 0; y < w->out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < w->out_width; x++) {
            int32_t i = 0, j = 0;
            GXNOR_ROLLED
            for (n = 0; n < places; n++) {
                const int32_t pixel = gxnor_window_pixel(w, y, x, i, j);
                const uint32_t inside = (uint32_t)(pixel < 0) - 1u;
                const uint32_t keep = (uint32_t)(n == 0) - 1u;
                const uint32_t *source = in + (pixel < 0 ? 0 : pixel * words * in_planes);
                GXNOR_ROLLED
                for (k = 0; k < words; k++) {
                    gxnor_accumulate(source + k * in_planes, in_planes, inside, 0,
                                     out + k * planes, planes, keep);
                }
                if (++j == w->width) {
                    j = 0;
                    i++;
                }
            }
            out += words * planes;
        }
    }
}

#endif
