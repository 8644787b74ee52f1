/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_ROW_H
#define GXNOR_ADD_ROW_H

#include "gxnor_lanes.h"

/* Adds w + 1 = 2 [w = 1] + [w = 0] of every lane to the plane `ones`; returns the carry.
   place: address of the row {w = 1, w = 0}. Both are never set at once, so their carries
   exclude each other too, and three operations do. */
GXNOR_INLINE gxnor_lanes gxnor_add_row(gxnor_lanes *ones, uintptr_t place)
{
    const gxnor_lanes *row = (const gxnor_lanes *)place;
    gxnor_lanes plus, zero, carry;

    GXNOR_PLACE(row);
    plus = row[0];
    zero = row[1];
#if defined(__thumb2__) && !defined(__clang__) && GXNOR_LANES == 32
    __asm__("" : "+r"(plus), "+r"(zero)); /* lets GCC load both with one LDRD */
#endif
    carry = plus | (*ones & zero);
    *ones ^= zero;
    return carry;
}

#endif
