/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_CONSTANT_H
#define GXNOR_ADD_CONSTANT_H

#include "gxnor_all.h"
#include "gxnor_counters.h"
#include "gxnor_shared.h"

/* Adds `value` to the counters of all lanes, modulo 2^bits. No carries may be left. */
static void gxnor_add_constant(gxnor_counters *c, uint32_t value)
{
    gxnor_lanes carry = gxnor_all(0);
    int32_t k;

    GXNOR_ROLLED
    for (k = 0; k < c->bits; k++) {
        const gxnor_lanes old = c->plane[k], bit = gxnor_all(value & 1u);
        c->plane[k] = old ^ bit ^ carry;
        carry = (old & bit) | (carry & (old | bit));
        value >>= 1;
    }
}

#endif
