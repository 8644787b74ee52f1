/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_STRIP_H
#define GXNOR_LIST_STRIP_H

#include "gxnor_list_column.h"

/* Lists the input columns under the strip of output pixels from (y, x) on. An entry counts as if
   each column had rows of its own, so that the columns of a window are one slice of the list.
   list: c->room entries, and then for each column and the end the numbers of entries before it to
   add and to subtract. */
static void gxnor_list_strip(const gxnor_conv_tiles *c, const uint32_t *in, int32_t y, int32_t x, int32_t level,
                             gxnor_entry *list)
{
    gxnor_entry *const end = list + c->room;
    gxnor_entry *starts = end;
    const uint32_t step = (uint32_t)(c->window.height * c->channels) * GXNOR_LIST_STEP;
    uint32_t place = GXNOR_LIST_STEP;
    int32_t column = x * c->window.stride_x - c->window.pad_left;
    gxnor_list both;
    int32_t k;

    both.plus = list;
    both.minus = end;
    GXNOR_ROLLED
    for (k = 0; k <= c->columns; k++) {
        *starts++ = (gxnor_entry)(both.plus - list);
        *starts++ = (gxnor_entry)(end - both.minus);
        if (k < c->columns && column >= 0 && column < c->window.in_width) {
            gxnor_list_column(&both, c, in, y, column, level, place);
        }
        column++;
        place += step;
    }
}

#endif
