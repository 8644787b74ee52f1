/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_COUNT_H
#define GXNOR_DENSE_COUNT_H

#include "gxnor_dense_pass.h"
#include "gxnor_rom.h"

/* Counts all sums of a dense layer: the counters of a tile become S + 2^(bits - 1).
   With x = sum of 2^level x_level and w = sum of 2^digit w_digit, each pair of a level and a digit
   is a pass that counts from plane level + digit on; nearly always there is only one.
   x: d->words times d->planes words. weights: rows {w = 1, w = 0}, for each digit, tile and
   chunk. list: room for d->run entries of each place. planes: d->tiles times d->bits. */
static void gxnor_dense_count(const gxnor_dense *d, const uint32_t *x,
                              const gxnor_lanes GXNOR_ROM *weights, gxnor_entry *list,
                              gxnor_lanes *planes)
{
    uint32_t start = (uint32_t)1 << (d->bits - 1);
    int32_t digit, level, first;

    GXNOR_ROLLED
    for (digit = 0; digit < d->digits; digit++) {
        GXNOR_ROLLED
        for (level = 0; level < d->levels; level++) {
            const gxnor_lanes GXNOR_ROM *rows = weights;
            GXNOR_ROLLED
            for (first = 0; first < d->words; first += d->chunk) {
                const int32_t left = d->words - first, words = left < d->chunk ? left : d->chunk;
                gxnor_dense_pass(d, x + first * d->planes, words, level, start, level + digit, rows, list,
                                 planes);
                rows += GXNOR_GROUP * d->chunk_groups;
                start = 0;
            }
        }
        weights += GXNOR_GROUP * d->tiles * d->tile_groups;
    }
}

#endif
