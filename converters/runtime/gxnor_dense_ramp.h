/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_RAMP_H
#define GXNOR_DENSE_RAMP_H

#include "gxnor_dense_count.h"
#include "gxnor_ramp_tiles.h"
#include "gxnor_rom.h"

/* Dense layer on codes, then a ReLU in steps. Arguments: gxnor_dense_count, gxnor_ramp_tiles. */
static void gxnor_dense_ramp(const gxnor_dense *d, const uint32_t *x, const gxnor_lanes GXNOR_ROM *weights,
                             const gxnor_ramp *ramp, const uint32_t *lines, gxnor_entry *list,
                             gxnor_lanes *counters, uint32_t *rest, uint32_t *out)
{
    gxnor_dense_count(d, x, weights, list, counters);
    gxnor_ramp_tiles(ramp, counters, d->tiles, d->outputs, lines, rest, out);
}

#endif
