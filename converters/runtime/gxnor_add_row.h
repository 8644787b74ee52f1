/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_ROW_H
#define GXNOR_ADD_ROW_H

#include "gxnor_lanes.h"
#include "gxnor_rom.h"

/* Adds w + 1 = 2 [w = 1] + [w = 0] of every lane to the plane `ones`; returns the carry.
   place: address of the row's group. at: the row's place in it, a constant.

   w = 1 and w = 0 are never set at once, so their carries exclude each other too, and three
   operations do.

   A group of one row is {w = 1, w = 0}. In a group of three rows A, B, C the 27 values of a lane
   take 27 of 32 codes: five words a, p, b, q, c, of which a, b, c say that w = 1 if w is not 0, and
       A = 0: p & (b | ~q)    B = 0: q & (c | p)    C = 0: p ^ ((p | q) & (a | ~c)).
   All 0 is -1 in all three rows. Three words cannot do for a row: each of its values would have a
   multiple of 4 of the 32 codes, and needs 9. Of the codes whose signs are words, a search through
   all formulas of up to four operations a row found none with fewer than these 2 + 2 + 4. */
GXNOR_INLINE gxnor_lanes gxnor_add_row(gxnor_lanes *ones, uintptr_t place, int32_t at)
{
    const gxnor_lanes GXNOR_ROM *row = (const gxnor_lanes GXNOR_ROM *)place;
    gxnor_lanes plus, zero, carry;
#if GXNOR_PLACES == 1
    GXNOR_PLACE(row);
    plus = row[0];
    zero = row[1];
    GXNOR_LOAD(plus, zero);
    (void)at;
#else
    gxnor_lanes x, y;

    GXNOR_AFTER(row, *ones);
    if (at == 0) {
        plus = row[0];
        zero = row[1];
        x = row[2];
        y = row[3];
        GXNOR_LOAD(plus, zero);
        GXNOR_LOAD(x, y);
        zero &= ~(y & ~x);
    } else if (at == 1) {
        zero = row[1];
        plus = row[2];
        x = row[3];
        y = row[4];
        GXNOR_LOAD(zero, plus);
        GXNOR_LOAD(x, y);
        zero = x & (y | zero);
    } else {
        x = row[0];
        zero = row[1];
        y = row[3];
        plus = row[4];
        GXNOR_LOAD(x, zero);
        GXNOR_LOAD(y, plus);
        zero ^= (zero | y) & ~(plus & ~x);
    }
    plus &= ~zero;
#endif
    carry = plus | (*ones & zero);
    *ones ^= zero;
    return carry;
}

#endif
