/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_CODES_PIXEL_H
#define GXNOR_CONV_CODES_PIXEL_H

#include <stdint.h>

#include "gxnor_dot_codes.h"
#include "gxnor_gather.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* The sums of all filters of a convolution of codes at output pixel (y, x).
   weights: a row of c->row times `digits` pairs {pos, neg} for each filter, see gxnor_dot_codes.
   patch: planes * c->row words of scratch. */
static void gxnor_conv_codes_pixel(const gxnor_conv *c, const uint32_t *in, int32_t planes,
                                   const uint32_t GXNOR_ROM *weights, int32_t digits, int32_t y,
                                   int32_t x, uint32_t *patch, int32_t *sums)
{
    int32_t group = 0;
    int32_t o;

    GXNOR_ROLLED
    for (o = 0; o < c->filters; o++) {
        if (o == group * c->group_filters) {
            gxnor_gather(c, in, planes, y, x, group++, patch);
        }
        sums[o] = gxnor_dot_codes(patch, planes, weights, digits, c->row);
        weights += 2 * digits * c->row;
    }
}

#endif
