/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_STEPS_H
#define GXNOR_DENSE_STEPS_H

#include "gxnor_dense_count.h"
#include "gxnor_rom.h"
#include "gxnor_steps_tiles.h"

/* Dense layer on codes, then a step to codes of `planes` planes. Arguments: gxnor_dense_count,
   gxnor_steps_tiles. */
static void gxnor_dense_steps(const gxnor_dense *d, const uint32_t *x,
                              const gxnor_lanes GXNOR_ROM *weights,
                              const gxnor_lanes GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                              gxnor_entry *list, gxnor_lanes *counters, uint32_t *out, int32_t planes)
{
    gxnor_dense_count(d, x, weights, list, counters);
    gxnor_steps_tiles(counters, d->bits, thresholds, steps, low, d->outputs, d->tiles, out, planes);
}

#endif
