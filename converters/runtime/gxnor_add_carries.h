/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_CARRIES_H
#define GXNOR_ADD_CARRIES_H

#include "gxnor_add_eight.h"
#include "gxnor_counters.h"
#include "gxnor_shared.h"

/* Adds the 16 carries of weight 16 to the counters; a carry out of the last plane is dropped, as
   the counters are modulo 2^bits. */
GXNOR_HOT GXNOR_SHARED void gxnor_add_carries(gxnor_counters *c)
{
    gxnor_lanes *plane = c->plane + 4, *end = c->plane + c->bits;
    gxnor_lanes a = plane[0], b = plane[1], d = plane[2], e = plane[3], t, u;

    t = gxnor_add_eight(&a, &b, &d, c->carry);
    u = gxnor_add_eight(&a, &b, &d, c->carry + 8);
    t = gxnor_full_add(&e, t, u);
    plane[0] = a;
    plane[1] = b;
    plane[2] = d;
    plane[3] = e;
    GXNOR_ROLLED
    for (plane += 4; plane < end; plane++) {
        const gxnor_lanes old = *plane;
        *plane = old ^ t;
        t &= old;
    }
    c->carries = 0;
}

#endif
