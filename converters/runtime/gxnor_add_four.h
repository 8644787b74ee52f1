/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_FOUR_H
#define GXNOR_ADD_FOUR_H

#include "gxnor_add_row.h"
#include "gxnor_entry.h"
#include "gxnor_full_add.h"

/* Adds the rows of four entries of a list to the planes of weight 1, 2 and 4; returns the carry,
   of weight 8. rows: the address that entries count from. at: see gxnor_add_row. */
GXNOR_INLINE gxnor_lanes gxnor_add_four(gxnor_lanes *ones, gxnor_lanes *twos, gxnor_lanes *fours,
                                        const gxnor_entry *list, uintptr_t rows, int32_t at)
{
    gxnor_lanes a, b, low;

    a = gxnor_add_row(ones, rows + (uintptr_t)list[0] * GXNOR_LIST_UNIT, at);
    b = gxnor_add_row(ones, rows + (uintptr_t)list[1] * GXNOR_LIST_UNIT, at);
    low = gxnor_full_add(twos, a, b);
    a = gxnor_add_row(ones, rows + (uintptr_t)list[2] * GXNOR_LIST_UNIT, at);
    b = gxnor_add_row(ones, rows + (uintptr_t)list[3] * GXNOR_LIST_UNIT, at);
    a = gxnor_full_add(twos, a, b);
    return gxnor_full_add(fours, low, a);
}

#endif
