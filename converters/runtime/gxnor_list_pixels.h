/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_PIXELS_H
#define GXNOR_LIST_PIXELS_H

#include "gxnor_dense.h"
#include "gxnor_list_codes.h"

/* Lists `words` words of a dense layer's input, whole pixels. */
static void gxnor_list_pixels(gxnor_lists *lists, const gxnor_dense *d, const uint32_t *x, int32_t words,
                              int32_t level)
{
    uint32_t pixel = 0;

    GXNOR_ROLLED
    while (words > 0) {
        uint32_t row = pixel;
        int32_t w;
        GXNOR_ROLLED
        for (w = 0; w < d->pixel_words; w++) {
            gxnor_list_codes(lists, x, d->planes, level, row);
            row += 32;
            x += d->planes;
        }
        words -= d->pixel_words;
        pixel += (uint32_t)d->pixel_rows;
    }
}

#endif
