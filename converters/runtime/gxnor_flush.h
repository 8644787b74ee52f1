/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_FLUSH_H
#define GXNOR_FLUSH_H

#include "gxnor_add_carries.h"

/* Adds the carries that are left, so that the planes alone hold the counters. */
static void gxnor_flush(gxnor_counters *c)
{
    const gxnor_lanes none = c->plane[0] ^ c->plane[0];
    int32_t k;

    if (c->carries > 0) {
        GXNOR_ROLLED
        for (k = c->carries; k < 16; k++) {
            c->carry[k] = none;
        }
        gxnor_add_carries(c);
    }
}

#endif
