/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_STEP_H
#define GXNOR_DENSE_STEP_H

#include "gxnor_dense_count.h"
#include "gxnor_rom.h"
#include "gxnor_step_tiles.h"

/* Dense layer on codes, then a ternary step. Arguments: gxnor_dense_count, gxnor_step_tiles. */
static void gxnor_dense_step(const gxnor_dense *d, const uint32_t *x,
                             const gxnor_lanes GXNOR_ROM *weights,
                             const gxnor_lanes GXNOR_ROM *thresholds, gxnor_entry *list,
                             gxnor_lanes *planes, uint32_t *out)
{
    gxnor_dense_count(d, x, weights, list, planes);
    gxnor_step_tiles(planes, d->bits, thresholds, d->outputs, d->tiles, out);
}

#endif
