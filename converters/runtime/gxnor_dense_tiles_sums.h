/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_TILES_SUMS_H
#define GXNOR_DENSE_TILES_SUMS_H

#include "gxnor_dense_count.h"
#include "gxnor_rom.h"
#include "gxnor_sums_tiles.h"

/* Dense layer on codes that keeps its sums. Arguments: gxnor_dense_count. */
static void gxnor_dense_tiles_sums(const gxnor_dense *d, const uint32_t *x,
                                   const gxnor_lanes GXNOR_ROM *weights, gxnor_entry *list,
                                   gxnor_lanes *counters, int32_t *sums)
{
    gxnor_dense_count(d, x, weights, list, counters);
    gxnor_sums_tiles(counters, d->bits, d->outputs, sums);
}

#endif
