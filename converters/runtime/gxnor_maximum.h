/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_MAXIMUM_H
#define GXNOR_MAXIMUM_H

#include <stdint.h>

#include "gxnor_shared.h"

/* best = max(best, x) for 32 channels of codes; where a bit of `always` is set, best = x.
   Two's complement compares from the least plane, and the other way round in the sign plane. */
static void gxnor_maximum(const uint32_t *x, uint32_t *best, int32_t planes, uint32_t always)
{
    uint32_t take = 0;
    int32_t b;

    GXNOR_ROLLED
    for (b = 0; b < planes; b++) {
        const uint32_t differ = x[b] ^ best[b];
        take = (take & ~differ) | (x[b] & differ);
    }
    /* Where the sign planes differ, the last step took the negative one. */
    take ^= x[planes - 1] ^ best[planes - 1];
    take |= always;
    GXNOR_ROLLED
    for (b = 0; b < planes; b++) {
        best[b] = (best[b] & ~take) | (x[b] & take);
    }
}

#endif
