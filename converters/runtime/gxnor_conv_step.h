/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_STEP_H
#define GXNOR_CONV_STEP_H

#include "gxnor_conv_count.h"
#include "gxnor_list_strip.h"
#include "gxnor_step_tiles.h"

/* Convolution of codes, then a ternary step.
   lists: for each level c->room + 2 * c->columns + 2. Others: gxnor_conv_count, gxnor_step_tiles. */
static void gxnor_conv_step(const gxnor_conv_tiles *c, const uint32_t *in, const gxnor_lanes *weights,
                            const gxnor_lanes *thresholds, uint16_t *lists, gxnor_lanes *planes,
                            uint32_t *out)
{
    const int32_t length = c->room + 2 * c->columns + 2;
    int32_t y, x, level, left;

    for (y = 0; y < c->window.out_height; y++) {
        for (x = 0; x < c->window.out_width; x += c->strip) {
            for (level = 0; level < c->levels; level++) {
                gxnor_list_strip(c, in, y, x, level, lists + level * length);
            }
            left = c->window.out_width - x;
            for (level = 0; level < c->strip && level < left; level++) {
                gxnor_conv_count(c, lists, level * c->window.stride_x, weights, planes);
                gxnor_step_tiles(planes, c->bits, thresholds, c->filters, c->tiles, out);
                out += 2 * ((c->filters + 31) / 32);
            }
        }
    }
}

#endif
