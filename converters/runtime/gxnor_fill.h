/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_FILL_H
#define GXNOR_FILL_H

#include "gxnor_all.h"
#include "gxnor_counters.h"
#include "gxnor_shared.h"

/* Sets the counters of all lanes to `value`, modulo 2^bits. */
static void gxnor_fill(gxnor_counters *c, uint32_t value)
{
    int32_t k;

    GXNOR_ROLLED
    for (k = 0; k < c->bits; k++) {
        c->plane[k] = gxnor_all(value & 1u);
        value >>= 1;
    }
}

#endif
