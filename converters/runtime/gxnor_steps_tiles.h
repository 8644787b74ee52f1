/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_STEPS_TILES_H
#define GXNOR_STEPS_TILES_H

#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_steps.h"

/* Step of the counters of all tiles of a pixel to codes of `planes` planes. thresholds: `steps`
   times `bits` for each tile, as gxnor_steps takes them. */
static void gxnor_steps_tiles(gxnor_lanes *counters, int32_t bits,
                              const gxnor_lanes GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                              int32_t channels, int32_t tiles, uint32_t *out, int32_t planes)
{
    gxnor_counters c;
    int32_t tile;

    c.bits = bits;
    GXNOR_ROLLED
    for (tile = 0; tile < tiles; tile++) {
        c.plane = counters + tile * bits;
        gxnor_steps(&c, thresholds + tile * steps * bits, steps, low, out, planes, (channels + 31) / 32,
                    tile);
    }
}

#endif
