/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RESHAPE_H
#define GXNOR_RESHAPE_H

#include <stdint.h>

#include "gxnor_run.h"
#include "gxnor_shared.h"

/* The same `size` codes, channel fastest, from pixels of in_channels to pixels of out_channels,
   which both divide `size`. Moves at once the channels that lie in one word here and there.
   (Where both are multiples of 32 the words are the same ones: no call is needed.)
   `out` must not overlap. */
static void gxnor_reshape(const uint32_t *in, int32_t in_channels, uint32_t *out,
                          int32_t out_channels, int32_t planes, int32_t size)
{
    int32_t from = 0, to = 0; /* channels done of this pixel */
    int32_t b;

    GXNOR_ROLLED
    while (size > 0) {
        const int32_t down = from & 31, up = to & 31;
        const int32_t here = gxnor_run(from, in_channels), there = gxnor_run(to, out_channels);
        const int32_t run = here < there ? here : there;
        const uint32_t mask = UINT32_MAX >> (32 - run), below = ((uint32_t)1 << up) - 1u;
        GXNOR_ROLLED
        for (b = 0; b < planes; b++) {
            out[b] = (out[b] & below) | (((in[b] >> down) & mask) << up);
        }
        from += run;
        to += run;
        in += run == here ? planes : 0;
        out += run == there ? planes : 0;
        from = from == in_channels ? 0 : from;
        to = to == out_channels ? 0 : to;
        size -= run;
    }
}

#endif
