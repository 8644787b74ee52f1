/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_PASS_H
#define GXNOR_DENSE_PASS_H

#include "gxnor_list_pixels.h"
#include "gxnor_plan_pass.h"
#include "gxnor_run_pass.h"

/* Adds the products of `words` words of input, of which bit `level` of the magnitudes counts, to
   the counters of all tiles. weights: the rows of these words in the first tile. list: room for
   d->room entries. Others: gxnor_run_pass. */
static void gxnor_dense_pass(const gxnor_dense *d, const uint32_t *x, int32_t words, int32_t level,
                             uint32_t start, int32_t stage, const gxnor_lanes *weights, gxnor_entry *list,
                             gxnor_lanes *planes)
{
    gxnor_entry *const end = list + d->room;
    gxnor_list both;
    gxnor_pass pass;

    both.plus = list;
    both.minus = end;
    gxnor_list_pixels(&both, d, x, words, level);
    gxnor_plan_pass(&pass, list, (int32_t)(both.plus - list), both.minus, (int32_t)(end - both.minus), 0);
    gxnor_run_pass(&pass, (uintptr_t)weights, d->tiles, d->tile_rows, start, stage, d->bits, planes);
}

#endif
