/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_LEVELS_H
#define GXNOR_LIST_LEVELS_H

#include "gxnor_list_strip.h"

/* The lists of a strip for all levels, one after the other. Returns how many output pixels the
   strip has. */
static int32_t gxnor_list_levels(const gxnor_conv_tiles *c, const uint32_t *in, int32_t y, int32_t x,
                                 gxnor_entry *lists)
{
    const int32_t left = c->window.out_width - x;
    int32_t level;

    for (level = 0; level < c->levels; level++) {
        gxnor_list_strip(c, in, y, x, level, lists);
        lists += GXNOR_PLACES * (c->room + 2 * c->columns + 2);
    }
    return left < c->strip ? left : c->strip;
}

#endif
