/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_GATHER_H
#define GXNOR_GATHER_H

#include <stdint.h>

#include "gxnor_conv.h"
#include "gxnor_window_pixel.h"

/* Copies the pixels of codes under the window of output pixel (y, x) to `patch`, side by
   side; padding is 0. A group reads the words its channels lie in, from the first such word, or
   from an earlier one if c->take words would not fit; the weights of other channels in them are 0.
   The mask instead of a branch keeps compilers from turning the copy into calls of memcpy and
   memset, which a bare-metal program may not have. */
static void gxnor_gather(const gxnor_conv *c, const uint32_t *in, int32_t planes, int32_t y,
                         int32_t x, int32_t group, uint32_t *patch)
{
    const int32_t word = planes * ((group * c->group_inputs) / 32);
    const int32_t last = c->in_step - c->take;
    const int32_t first = word < last ? word : last;
    int32_t i, j, k;

    for (i = 0; i < c->window.height; i++) {
        for (j = 0; j < c->window.width; j++) {
            const int32_t pixel = gxnor_window_pixel(&c->window, y, x, i, j);
            const uint32_t mask = (uint32_t)(pixel < 0) - 1u;
            const uint32_t *source = in + (pixel < 0 ? 0 : pixel * c->in_step) + first;
            for (k = 0; k < c->take; k++) {
                *patch++ = source[k] & mask;
            }
        }
    }
}

#endif
