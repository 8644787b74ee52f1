/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_STAGE_H
#define GXNOR_DENSE_STAGE_H

#include "gxnor_dense_pass.h"

/* The passes of weight 2^stage: level + digit = stage, for all chunks of the input. With `start`
   not 0 the counters begin at that. */
static void gxnor_dense_stage(const gxnor_dense *d, const uint32_t *x, int32_t stage, uint32_t start,
                              const gxnor_lanes *weights, gxnor_entry *list, gxnor_lanes *planes)
{
    int32_t digit, first;

    for (digit = 0; digit < d->digits; digit++) {
        const int32_t level = stage - digit;
        const gxnor_lanes *rows = weights;
        for (first = 0; first < d->words && level >= 0 && level < d->levels; first += d->chunk) {
            const int32_t left = d->words - first, words = left < d->chunk ? left : d->chunk;
            gxnor_dense_pass(d, x + first * d->planes, words, level, start, rows, list, planes);
            rows += GXNOR_GROUP * d->chunk_groups;
            start = 0;
        }
        weights += GXNOR_GROUP * d->tiles * d->tile_groups;
    }
}

#endif
