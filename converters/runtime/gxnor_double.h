/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DOUBLE_H
#define GXNOR_DOUBLE_H

#include "gxnor_all.h"
#include "gxnor_counters.h"

/* Doubles the counters, modulo 2^bits. No carries may be left. */
static void gxnor_double(gxnor_counters *c)
{
    gxnor_lanes low = gxnor_all(0);
    int32_t k;

    for (k = 0; k < c->bits; k++) {
        const gxnor_lanes old = c->plane[k];
        c->plane[k] = low;
        low = old;
    }
}

#endif
