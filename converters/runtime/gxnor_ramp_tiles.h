/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RAMP_TILES_H
#define GXNOR_RAMP_TILES_H

#include "gxnor_lanes.h"
#include "gxnor_ramp_word.h"
#include "gxnor_shared.h"
#include "gxnor_tile_word.h"

/* The codes of a pixel from the counters of its tiles. lines: for each word of 32 channels those of
   gxnor_ramp_word; then the exceptions. rest: r->rest_bits + r->sum_bits words of scratch. */
static void gxnor_ramp_tiles(const gxnor_ramp *r, const gxnor_lanes *counters, int32_t tiles,
                             int32_t channels, const uint32_t *lines, uint32_t *rest, uint32_t *out)
{
    const int32_t words = (channels + 31) / 32, step = r->rest_bits + r->slope_bits;
    int32_t k;

    GXNOR_ROLLED
    for (k = 0; k < words; k++) {
        const uint32_t *sums = gxnor_tile_word(counters, r->sum_bits, tiles, k, rest + r->rest_bits);
        gxnor_ramp_word(r, sums, lines + k * step, lines + words * step, 8192u * (uint32_t)k, rest, out);
        out += r->code_bits + 1;
    }
}

#endif
