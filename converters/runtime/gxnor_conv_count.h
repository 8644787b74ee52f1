/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_COUNT_H
#define GXNOR_CONV_COUNT_H

#include "gxnor_conv_stage.h"
#include "gxnor_double.h"

/* Counts the sums of all filters under one window, as gxnor_dense_count. first: its first column
   in the strip. lists: of gxnor_list_strip, for each level. planes: c->tiles times c->bits. */
static void gxnor_conv_count(const gxnor_conv_tiles *c, const gxnor_entry *lists, int32_t first,
                             const gxnor_lanes *weights, gxnor_lanes *planes)
{
    int32_t stage = c->levels + c->digits - 2;
    uint32_t start = (uint32_t)1 << (c->bits - 1 - stage); /* doubled `stage` times it is 2^(bits - 1) */
    gxnor_counters counters;
    int32_t tile;

    counters.bits = c->bits;
    for (;;) {
        gxnor_conv_stage(c, lists, first, stage, start, weights, planes);
        if (stage-- == 0) {
            break;
        }
        start = 0;
        for (tile = 0; tile < c->tiles; tile++) {
            counters.plane = planes + tile * c->bits;
            gxnor_double(&counters);
        }
    }
}

#endif
