/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_COUNT_H
#define GXNOR_CONV_COUNT_H

#include "gxnor_conv_pass.h"
#include "gxnor_rom.h"

/* Counts the sums of all filters under one window, in passes as gxnor_dense_count; a window with
   gaps between its columns takes one for each column. first: its first column in the strip.
   lists: of gxnor_list_strip, for each level. planes: c->tiles times c->bits. */
static void gxnor_conv_count(const gxnor_conv_tiles *c, const gxnor_entry *lists, int32_t first,
                             const gxnor_lanes GXNOR_ROM *weights, gxnor_lanes *planes)
{
    const int32_t width = c->window.dilation_x > 1 ? 1 : c->window.width;
    uint32_t start = (uint32_t)1 << (c->bits - 1);
    int32_t digit, level, j;

    for (digit = 0; digit < c->digits; digit++) {
        const gxnor_entry *list = lists;
        for (level = 0; level < c->levels; level++) {
            for (j = 0; j < c->window.width; j += width) {
                gxnor_conv_pass(c, list, first + j * c->window.dilation_x, width, j, start, level + digit,
                                weights, planes);
                start = 0;
            }
            list += GXNOR_PLACES * (c->room + 2 * c->columns + 2);
        }
        weights += GXNOR_GROUP * c->tiles * c->tile_groups;
    }
}

#endif
