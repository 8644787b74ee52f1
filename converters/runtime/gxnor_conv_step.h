/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_STEP_H
#define GXNOR_CONV_STEP_H

#include "gxnor_conv_count.h"
#include "gxnor_list_strip.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_step_tiles.h"

/* Convolution of codes, then a ternary step.
   lists: for each place c->room + 2 * c->columns + 2. counters: c->tiles times c->bits, for each pixel
   of a strip if the input has more than one level. Others: gxnor_conv_count, gxnor_step_tiles. */
static void gxnor_conv_step(const gxnor_conv_tiles *c, const uint32_t *in,
                            const gxnor_lanes GXNOR_ROM *weights,
                            const gxnor_lanes GXNOR_ROM *thresholds, gxnor_entry *lists,
                            gxnor_lanes *counters, uint32_t *out)
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
                        gxnor_step_tiles(planes, c->bits, thresholds, c->filters, c->tiles, out);
                        out += 2 * ((c->filters + 31) / 32);
                    }
                }
            }
        }
    }
}

#endif
