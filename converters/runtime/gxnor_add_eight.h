/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_EIGHT_H
#define GXNOR_ADD_EIGHT_H

#include "gxnor_full_add.h"

/* Adds eight words to the planes of weight 1, 2 and 4; returns the carry, of weight 8. */
GXNOR_INLINE gxnor_lanes gxnor_add_eight(gxnor_lanes *ones, gxnor_lanes *twos, gxnor_lanes *fours,
                                         const gxnor_lanes *x)
{
    gxnor_lanes a, b, low;

    a = gxnor_full_add(ones, x[0], x[1]);
    b = gxnor_full_add(ones, x[2], x[3]);
    low = gxnor_full_add(twos, a, b);
    a = gxnor_full_add(ones, x[4], x[5]);
    b = gxnor_full_add(ones, x[6], x[7]);
    a = gxnor_full_add(twos, a, b);
    return gxnor_full_add(fours, low, a);
}

#endif
