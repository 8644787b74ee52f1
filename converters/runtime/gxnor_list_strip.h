/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_STRIP_H
#define GXNOR_LIST_STRIP_H

#include "gxnor_list_column.h"
#include "gxnor_start_lists.h"

/* Lists the input columns under the strip of output pixels from (y, x) on. An entry counts as if
   each column had rows of its own, so that the columns of a window are one slice of the list.
   list: for each place of a group c->room entries, and then for each column and the end the numbers
   of entries before it to add and to subtract. Returns how many output pixels the strip has. */
static int32_t gxnor_list_strip(const gxnor_conv_tiles *c, const uint32_t *in, int32_t y, int32_t x, int32_t level,
                             gxnor_entry *list)
{
    const int32_t size = c->room + 2 * c->columns + 2, left = c->window.out_width - x;
    int32_t column = x * c->window.stride_x - c->window.pad_left;
    gxnor_lists lists;
    int32_t k, at;

    lists.run = (uint32_t)c->run;
    lists.first = GXNOR_LIST_STEP;
    gxnor_start_lists(&lists, list, c->room, size);
    GXNOR_ROLLED
    for (k = 0; k <= c->columns; k++) {
        GXNOR_ROLLED
        for (at = 0; at < GXNOR_PLACES; at++) {
            gxnor_entry *const from = list + at * size, *const end = from + c->room;
            end[2 * k] = (gxnor_entry)(lists.at[at].plus - from);
            end[2 * k + 1] = (gxnor_entry)(end - lists.at[at].minus);
        }
        if (k < c->columns && column >= 0 && column < c->window.in_width) {
            gxnor_list_column(&lists, c, in, y, column, level);
        }
        column++;
        lists.first += lists.run * GXNOR_LIST_STEP;
    }
    return left < c->strip ? left : c->strip;
}

#endif
