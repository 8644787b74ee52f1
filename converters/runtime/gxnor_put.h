/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_PUT_H
#define GXNOR_PUT_H

#include "gxnor_lanes.h"

/* Writes the lanes of tile `tile` to a plane of packed codes: out[0], out[planes], ... are its
   words of 32 channels, of which `words` exist. Tiles come in order from 0. */
GXNOR_INLINE void gxnor_put(uint32_t *out, int32_t planes, int32_t words, int32_t tile, gxnor_lanes x)
{
#if GXNOR_LANES == 8
    const uint32_t byte = (uint32_t)x << (8 * (tile & 3));
    uint32_t *word = out + (tile >> 2) * planes;
    *word = (tile & 3) ? *word | byte : byte;
    (void)words;
#elif GXNOR_LANES == 32
    GXNOR_HIDDEN(x);
    out[tile * planes] = x;
    (void)words;
#else
    const int32_t first = tile * (GXNOR_LANES / 32);
    int32_t k;
    for (k = 0; k < GXNOR_LANES / 32 && first + k < words; k++) {
        out[(first + k) * planes] = x[k];
    }
#endif
}

#endif
