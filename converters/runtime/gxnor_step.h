/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_STEP_H
#define GXNOR_STEP_H

#include "gxnor_all.h"
#include "gxnor_counters.h"
#include "gxnor_put.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Ternary step of counters S + 2^(bits - 1): +1 if S >= t1, -1 if S < t0, else 0, written as the
   planes {nonzero, negative} of tile `tile`. thresholds: for each bit a pair, the complements of
   that bit of t1 + 2^(bits - 1) and of t0 + 2^(bits - 1). A sum reaches a threshold if adding the
   complement and 1 carries out of the last bit. */
GXNOR_HOT GXNOR_SHARED void gxnor_step(const gxnor_counters *c, const gxnor_lanes GXNOR_ROM *thresholds,
                                       uint32_t *out, int32_t words, int32_t tile)
{
    const gxnor_lanes *plane = c->plane, *end = c->plane + c->bits;
    gxnor_lanes high = gxnor_all(1), low = high;

    GXNOR_ROLLED
    while (plane < end) {
        const gxnor_lanes s = *plane++, t1 = thresholds[0], t0 = thresholds[1];
        high = (s & t1) | (high & (s | t1));
        low = (s & t0) | (low & (s | t0));
        thresholds += 2;
    }
    low = (gxnor_lanes)~low;
    gxnor_put(out, 2, words, tile, high | low);
    gxnor_put(out + 1, 2, words, tile, low);
}

#endif
