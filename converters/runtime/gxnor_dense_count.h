/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_COUNT_H
#define GXNOR_DENSE_COUNT_H

#include "gxnor_dense_stage.h"
#include "gxnor_double.h"

/* Counts all sums of a dense layer: the counters of a tile become S + 2^(bits - 1).
   With x = sum of 2^level x_level and w = sum of 2^digit w_digit, S is made by Horner's rule from
   the highest stage = level + digit down; nearly always there is only one.
   x: d->words times d->planes words. weights: rows {w = 1, w = 0}, for each digit, tile and
   chunk. list: room for d->run entries of each place. planes: d->tiles times d->bits. */
static void gxnor_dense_count(const gxnor_dense *d, const uint32_t *x, const gxnor_lanes *weights,
                              gxnor_entry *list, gxnor_lanes *planes)
{
    int32_t stage = d->levels + d->digits - 2;
    uint32_t start = 1u << (d->bits - 1 - stage); /* doubled `stage` times it is 2^(bits - 1) */
    gxnor_counters c;
    int32_t tile;

    c.bits = d->bits;
    for (;;) {
        gxnor_dense_stage(d, x, stage, start, weights, list, planes);
        if (stage-- == 0) {
            break;
        }
        start = 0;
        for (tile = 0; tile < d->tiles; tile++) {
            c.plane = planes + tile * d->bits;
            gxnor_double(&c);
        }
    }
}

#endif
