/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_STEP_TILES_H
#define GXNOR_STEP_TILES_H

#include "gxnor_rom.h"
#include "gxnor_step.h"

/* Ternary step of the counters of all tiles of a pixel: out becomes {nonzero, negative} for each
   32 channels. thresholds: 2 * bits for each tile, as gxnor_step takes them. */
static void gxnor_step_tiles(gxnor_lanes *planes, int32_t bits, const gxnor_lanes GXNOR_ROM *thresholds,
                             int32_t channels, int32_t tiles, uint32_t *out)
{
    gxnor_counters c;
    int32_t tile;

    c.bits = bits;
    GXNOR_ROLLED
    for (tile = 0; tile < tiles; tile++) {
        c.plane = planes + tile * bits;
        gxnor_step(&c, thresholds + 2 * tile * bits, out, (channels + 31) / 32, tile);
    }
}

#endif
