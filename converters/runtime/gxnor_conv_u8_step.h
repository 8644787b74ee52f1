/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_U8_STEP_H
#define GXNOR_CONV_U8_STEP_H

#include <stdint.h>

#include "gxnor_dot_u8.h"
#include "gxnor_gather_u8.h"
#include "gxnor_put_trit.h"

/* Convolution of bytes (the first layer), then a ternary step.
   thresholds: two for each filter, for sums of the bytes as they are: the zero point is
   in them. patch: c->row bytes. out: ceil(filters / 32) pairs {pos, neg} for each pixel. */
static void gxnor_conv_u8_step(const gxnor_conv *c, const uint8_t *in, const uint32_t *weights,
                               const int32_t *thresholds, uint8_t *patch, uint32_t *out)
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
                gxnor_put_trit(out, o, gxnor_dot_u8(patch, row, c->row), thresholds + 2 * o);
                row += 2 * ((c->row + 31) / 32);
            }
            out += 2 * ((c->filters + 31) / 32);
        }
    }
}

#endif
