/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_COLUMN_H
#define GXNOR_LIST_COLUMN_H

#include "gxnor_conv_tiles.h"
#include "gxnor_list_codes.h"

/* Lists one input column under the windows of output row y. */
static void gxnor_list_column(gxnor_lists *lists, const gxnor_conv_tiles *c, const uint32_t *in, int32_t y,
                              int32_t column, int32_t level)
{
    int32_t line = y * c->window.stride_y - c->window.pad_top;
    uint32_t first = 0;
    int32_t i, w;

    GXNOR_ROLLED
    for (i = 0; i < c->window.height; i++) {
        if (line >= 0 && line < c->window.in_height) {
            const uint32_t *x = in + (line * c->window.in_width + column) * c->words * c->planes;
            uint32_t row = first;
            GXNOR_ROLLED
            for (w = 0; w < c->words; w++) {
                gxnor_list_codes(lists, x, c->planes, level, row);
                row += 32;
                x += c->planes;
            }
        }
        line += c->window.dilation_y;
        first += (uint32_t)c->channels;
    }
}

#endif
