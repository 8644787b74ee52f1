/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_U8_SUMS_H
#define GXNOR_CONV_U8_SUMS_H

#include <stdint.h>

#include "gxnor_dot_u8.h"
#include "gxnor_gather_u8.h"

/* Convolution of bytes that keeps its sums.
   starts: -zero_point * (sum of the filter), so that the sums are those of q - zero_point.
   patch: c->row bytes. sums: one for each filter and pixel. */
static void gxnor_conv_u8_sums(const gxnor_conv *c, const uint8_t *in, const uint32_t *weights,
                               const int32_t *starts, uint8_t *patch, int32_t *sums)
{
    int32_t y, x, o;

    for (y = 0; y < c->window.out_height; y++) {
        for (x = 0; x < c->window.out_width; x++) {
            const uint32_t *row = weights;
            int32_t group = 0;
            for (o = 0; o < c->filters; o++) {
                if (o == group * c->group_filters) {
                    gxnor_gather_u8(c, in, y, x, group++, patch);
                }
                *sums++ = starts[o] + gxnor_dot_u8(patch, row, c->row);
                row += 2 * ((c->row + 31) / 32);
            }
        }
    }
}

#endif
