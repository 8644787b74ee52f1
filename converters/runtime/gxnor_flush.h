/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_FLUSH_H
#define GXNOR_FLUSH_H

#include "gxnor_add_carries.h"
#include "gxnor_all.h"

/* Adds the carries that are left, so that the planes alone hold the counters. */
static void gxnor_flush(gxnor_counters *c)
{
    uint32_t zero = 0;
    int32_t k;

    GXNOR_HIDDEN(zero);
    if (c->carries > 0) {
        GXNOR_ROLLED
        for (k = c->carries; k < 16; k++) {
            c->carry[k] = gxnor_all(zero);
        }
        gxnor_add_carries(c);
    }
}

#endif
