/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SUMS_TILES_H
#define GXNOR_SUMS_TILES_H

#include "gxnor_lane.h"
#include "gxnor_shared.h"

/* The sums of all channels of a pixel as integers, from the counters S + 2^(bits - 1) of tiles. */
static void gxnor_sums_tiles(const gxnor_lanes *counters, int32_t bits, int32_t channels, int32_t *sums)
{
    int32_t o, b;

    GXNOR_ROLLED
    for (o = 0; o < channels; o++) {
        const int32_t lane = o & (GXNOR_LANES - 1);
        uint32_t count = 0;
        GXNOR_ROLLED
        for (b = 0; b < bits; b++) {
            count |= gxnor_lane(counters[b], lane) << b;
        }
        *sums++ = (int32_t)(count - ((uint32_t)1 << (bits - 1)));
        if (lane == GXNOR_LANES - 1) {
            counters += bits;
        }
    }
}

#endif
