/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_CODES_H
#define GXNOR_LIST_CODES_H

#include "gxnor_list_rows.h"

/* Lists the codes of 32 channels whose magnitude has bit `level`. x: their `planes` planes.
   row: that of the first channel in its column.
   Trits are the short case: level 0, {nonzero, negative}. */
GXNOR_SHARED void gxnor_list_codes(gxnor_lists *lists, const uint32_t *x, int32_t planes, int32_t level,
                                   uint32_t row)
{
    const uint32_t sign = x[planes - 1];
    uint32_t bit = x[0], carry = sign;
    int32_t k;

    /* Magnitude = (code ^ sign) + [sign]; its bit 0 is that of the code. */
    GXNOR_ROLLED
    for (k = 1; k <= level; k++) {
        carry &= x[k - 1] ^ sign;
        bit = x[k] ^ sign ^ carry;
    }
    gxnor_list_rows(lists, bit & ~sign, bit & sign, row);
}

#endif
