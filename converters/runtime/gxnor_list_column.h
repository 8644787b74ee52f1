/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_COLUMN_H
#define GXNOR_LIST_COLUMN_H

#include "gxnor_conv_tiles.h"
#include "gxnor_list_codes.h"

/* Lists one input column under the windows of output row y. place: the entry of its first row. */
static void gxnor_list_column(gxnor_list *list, const gxnor_conv_tiles *c, const uint32_t *in, int32_t y,
                              int32_t column, int32_t level, uint32_t place)
{
    int32_t row = y * c->window.stride_y - c->window.pad_top;
    int32_t i, w;

    GXNOR_ROLLED
    for (i = 0; i < c->window.height; i++) {
        if (row >= 0 && row < c->window.in_height) {
            const uint32_t *x = in + (row * c->window.in_width + column) * c->words * c->planes;
            uint32_t entry = place;
            GXNOR_ROLLED
            for (w = 0; w < c->words; w++) {
                gxnor_list_codes(list, x, c->planes, level, entry);
                entry += 32 * GXNOR_LIST_STEP;
                x += c->planes;
            }
        }
        row += c->window.dilation_y;
        place += (uint32_t)c->channels * GXNOR_LIST_STEP;
    }
}

#endif
