/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_STEPS_H
#define GXNOR_STEPS_H

#include "gxnor_all.h"
#include "gxnor_counters.h"
#include "gxnor_put.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Step of counters S + 2^(bits - 1) to low + the number of thresholds reached, written as the
   `planes` planes, 9 at most, of tile `tile`. thresholds: for each of `steps`, `bits` words, the
   complements of the bits of t + 2^(bits - 1); compared as in gxnor_step. */
static void gxnor_steps(const gxnor_counters *c, const gxnor_lanes GXNOR_ROM *thresholds, int32_t steps,
                        int32_t low, uint32_t *out, int32_t planes, int32_t words, int32_t tile)
{
    gxnor_lanes code[9];
    int32_t k, b;

    GXNOR_ROLLED
    for (b = 0; b < planes; b++) {
        code[b] = gxnor_all(((uint32_t)low >> b) & 1u);
    }
    GXNOR_ROLLED
    for (k = 0; k < steps; k++) {
        gxnor_lanes reached = gxnor_all(1);
        GXNOR_ROLLED
        for (b = 0; b < c->bits; b++) {
            const gxnor_lanes s = c->plane[b], t = *thresholds++;
            reached = (s & t) | (reached & (s | t));
        }
        GXNOR_ROLLED
        for (b = 0; b < planes; b++) {
            const gxnor_lanes old = code[b];
            code[b] = old ^ reached;
            reached &= old;
        }
    }
    GXNOR_ROLLED
    for (b = 0; b < planes; b++) {
        gxnor_put(out + b, planes, words, tile, code[b]);
    }
}

#endif
