/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_TILES_SUMS_H
#define GXNOR_CONV_TILES_SUMS_H

#include "gxnor_conv_count.h"
#include "gxnor_list_strip.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_sums_tiles.h"

/* Convolution of codes that keeps its sums. Arguments: gxnor_conv_step. */
static void gxnor_conv_tiles_sums(const gxnor_conv_tiles *c, const uint32_t *in,
                                  const gxnor_lanes GXNOR_ROM *weights, gxnor_entry *lists,
                                  gxnor_lanes *counters, int32_t *sums)
{
    const int32_t step = c->levels > 1 ? c->tiles * c->bits : 0;
    int32_t y, x, k, level;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x += c->strip) {
            GXNOR_ROLLED
            for (level = 0; level < c->levels; level++) {
                const int32_t pixels = gxnor_list_strip(c, in, y, x, level, lists);
                GXNOR_ROLLED
                for (k = 0; k < pixels; k++) {
                    gxnor_lanes *const planes = counters + k * step;
                    gxnor_conv_count(c, lists, k * c->window.stride_x, level, weights, planes);
                    if (level == c->levels - 1) {
                        gxnor_sums_tiles(planes, c->bits, c->filters, sums);
                        sums += c->filters;
                    }
                }
            }
        }
    }
}

#endif
