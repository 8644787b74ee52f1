/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_TILES_H
#define GXNOR_CONV_TILES_H

#include "gxnor_window.h"

/* The shape of a convolution whose filters are counted in tiles of GXNOR_LANES.
   words, channels: of an input pixel; planes: of the input; levels: bits of the largest magnitude
   in it. strip: output pixels in a row that share their lists; room: entries a list has room for;
   columns: input columns under a strip.
   run: groups of rows of a column of the window; tile_groups: of a tile, which are one that adds
   nothing, and then [x][y][channel], see gxnor_lists.
   digits: of the weights; bits: of the counters. */
typedef struct {
    gxnor_window window;
    int32_t words, channels, planes, levels;
    int32_t strip, room, columns;
    int32_t run, tile_groups;
    int32_t digits, tiles, filters, bits;
} gxnor_conv_tiles;

#endif
