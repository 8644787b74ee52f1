/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_PIXELS_H
#define GXNOR_LIST_PIXELS_H

#include "gxnor_dense.h"
#include "gxnor_list_codes.h"

/* Lists `words` words of a dense layer's input, from a first pixel on whose rows follow the one
   that adds nothing. */
static void gxnor_list_pixels(gxnor_list *list, const gxnor_dense *d, const uint32_t *x, int32_t words,
                              int32_t level)
{
    uint32_t pixel = GXNOR_LIST_STEP;

    GXNOR_ROLLED
    while (words > 0) {
        uint32_t place = pixel;
        int32_t w;
        GXNOR_ROLLED
        for (w = 0; w < d->pixel_words; w++) {
            gxnor_list_codes(list, x, d->planes, level, place);
            place += 32 * GXNOR_LIST_STEP;
            x += d->planes;
        }
        words -= d->pixel_words;
        pixel += (uint32_t)d->pixel_rows * GXNOR_LIST_STEP;
    }
}

#endif
