/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_SUMS_H
#define GXNOR_CONV_SUMS_H

#include <stdint.h>

#include "gxnor_dot.h"
#include "gxnor_gather.h"

/* Convolution of trits that keeps its sums.
   patch: 2 * c->row words. sums: one for each filter and pixel. */
static void gxnor_conv_sums(const gxnor_conv *c, const uint32_t *in, const uint32_t *weights,
                            uint32_t *patch, int32_t *sums)
{
    int32_t y, x, o;

    for (y = 0; y < c->window.out_height; y++) {
        for (x = 0; x < c->window.out_width; x++) {
            const uint32_t *row = weights;
            int32_t group = 0;
            for (o = 0; o < c->filters; o++) {
                if (o == group * c->group_filters) {
                    gxnor_gather(c, in, y, x, group++, patch);
                }
                *sums++ = gxnor_dot(patch, row, c->row);
                row += 2 * c->row;
            }
        }
    }
}

#endif
