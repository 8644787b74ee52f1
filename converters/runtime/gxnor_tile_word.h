/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TILE_WORD_H
#define GXNOR_TILE_WORD_H

#include "gxnor_lanes.h"
#include "gxnor_shared.h"

/* The counters of channels 32 * word .. 32 * word + 31 as `bits` words: those of the tile, if it is as
   wide, else put in `room`; channels of tiles that do not exist are 0. */
static const uint32_t *gxnor_tile_word(const gxnor_lanes *counters, int32_t bits, int32_t tiles,
                                       int32_t word, uint32_t *room)
{
#if GXNOR_LANES == 32
    (void)tiles;
    (void)room;
    return counters + word * bits;
#else
    int32_t b;

    GXNOR_ROLLED
    for (b = 0; b < bits; b++) {
#if GXNOR_LANES == 8
        uint32_t found = 0;
        int32_t k;
        GXNOR_ROLLED
        for (k = 0; k < 4 && 4 * word + k < tiles; k++) {
            found |= (uint32_t)counters[(4 * word + k) * bits + b] << (8 * k);
        }
#else
        uint32_t found = counters[word / (GXNOR_LANES / 32) * bits + b][word % (GXNOR_LANES / 32)];
        (void)tiles;
#endif
        GXNOR_HIDDEN(found);
        room[b] = found;
    }
    return room;
#endif
}

#endif
