/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_H
#define GXNOR_DENSE_H

#include <stdint.h>

/* The shape of a dense layer that is counted in tiles of GXNOR_LANES outputs.
   words: of 32 channels, of the whole input; pixel_words and pixel_rows: of one pixel of it, rows
   being channels. (A vector counts as pixels of 32 channels.)
   planes: of the input; levels: bits of the largest magnitude in it.
   chunk: words that are listed at once, whole pixels. run, last_run: groups of rows of a chunk, and
   of the last one if it is shorter, see gxnor_lists: each list has room for so many entries.
   chunk_groups, tile_groups: of a chunk and of a tile, where each chunk starts with a group that
   adds nothing. digits: of the weights; bits: of the counters. */
typedef struct {
    int32_t words, pixel_words, pixel_rows;
    int32_t planes, levels;
    int32_t chunk, run, last_run, chunk_groups, tile_groups;
    int32_t digits, tiles, outputs, bits;
} gxnor_dense;

#endif
