/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_STEPS_H
#define GXNOR_CONV_STEPS_H

#include "gxnor_conv_count.h"
#include "gxnor_list_strip.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_steps_tiles.h"

/* Convolution of codes, then a step to codes of `out_planes` planes. Arguments: gxnor_conv_step,
   gxnor_steps_tiles. */
static void gxnor_conv_steps(const gxnor_conv_tiles *c, const uint32_t *in,
                             const gxnor_lanes GXNOR_ROM *weights,
                             const gxnor_lanes GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                             gxnor_entry *lists, gxnor_lanes *counters, uint32_t *out,
                             int32_t out_planes)
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
                        gxnor_steps_tiles(planes, c->bits, thresholds, steps, low, c->filters, c->tiles, out,
                                      out_planes);
                        out += out_planes * ((c->filters + 31) / 32);
                    }
                }
            }
        }
    }
}

#endif
