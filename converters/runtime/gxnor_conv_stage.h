/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_STAGE_H
#define GXNOR_CONV_STAGE_H

#include "gxnor_conv_pass.h"

/* The passes of weight 2^stage, level + digit = stage, of the window whose first column is `first`
   of the strip. With `start` not 0 the counters begin at that. */
static void gxnor_conv_stage(const gxnor_conv_tiles *c, const gxnor_entry *lists, int32_t first, int32_t stage,
                             uint32_t start, const gxnor_lanes *weights, gxnor_lanes *planes)
{
    const int32_t width = c->window.dilation_x > 1 ? 1 : c->window.width;
    int32_t digit, j;

    for (digit = 0; digit < c->digits; digit++) {
        const int32_t level = stage - digit;
        const gxnor_entry *list = lists + level * GXNOR_PLACES * (c->room + 2 * c->columns + 2);
        for (j = 0; j < c->window.width && level >= 0 && level < c->levels; j += width) {
            gxnor_conv_pass(c, list, first + j * c->window.dilation_x, width, j, start, weights, planes);
            start = 0;
        }
        weights += GXNOR_GROUP * c->tiles * c->tile_groups;
    }
}

#endif
