/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_COUNT_H
#define GXNOR_CONV_COUNT_H

#include "gxnor_conv_pass.h"
#include "gxnor_rom.h"

/* Counts the sums of all filters under one window, as far as bit `level` of the input's magnitudes
   goes, in passes as gxnor_dense_count; a window with gaps between its columns takes one for each
   column. Level 0 sets the counters first. first: its first column in the strip.
   list: of gxnor_list_strip. planes: c->tiles times c->bits. */
static void gxnor_conv_count(const gxnor_conv_tiles *c, const gxnor_entry *list, int32_t first,
                             int32_t level, const gxnor_lanes GXNOR_ROM *weights, gxnor_lanes *planes)
{
    const int32_t width = c->window.dilation_x > 1 ? 1 : c->window.width;
    uint32_t start = level ? 0 : (uint32_t)1 << (c->bits - 1);
    int32_t digit, j;

    for (digit = 0; digit < c->digits; digit++) {
        for (j = 0; j < c->window.width; j += width) {
            gxnor_conv_pass(c, list, first + j * c->window.dilation_x, width, j, start, level + digit,
                            weights, planes);
            start = 0;
        }
        weights += GXNOR_GROUP * c->tiles * c->tile_groups;
    }
}

#endif
