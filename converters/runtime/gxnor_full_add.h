/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_FULL_ADD_H
#define GXNOR_FULL_ADD_H

#include "gxnor_lanes.h"

/* Adds two bits to `sum` in every lane; returns the carry: sum + a + b = 2 carry + new sum. */
GXNOR_INLINE gxnor_lanes gxnor_full_add(gxnor_lanes *sum, gxnor_lanes a, gxnor_lanes b)
{
    const gxnor_lanes either = a ^ b;
    const gxnor_lanes carry = (a & b) | (either & *sum);

    *sum ^= either;
    GXNOR_NOW(*sum);
    return carry;
}

#endif
