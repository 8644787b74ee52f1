/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CHANNELS_H
#define GXNOR_CHANNELS_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Copies the channels of every pixel to channels `to`, to + 1, ... of pixels of out_words
   groups: a part of a concatenation. in_planes <= planes: codes are extended by their sign.
   Parts must come in ascending order: in the words a part touches, bits below `to` are kept and
   those above its last channel cleared (they are 0 in `in`), so the part with to == 0 sets up
   its words. `out` must not overlap. */
static void gxnor_channels(const uint32_t *in, int32_t in_planes, int32_t channels, uint32_t *out,
                           int32_t planes, int32_t out_words, int32_t to, int32_t pixels)
{
    const int32_t words = (channels + 31) / 32, shift = to & 31;
    const int32_t more = (shift + channels + 31) / 32 > words;
    const uint32_t below = ((uint32_t)1 << shift) - 1u;
    int32_t p, b, k;

    out += (to >> 5) * planes;
    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        GXNOR_ROLLED
        for (b = 0; b < planes; b++) {
            const uint32_t *source = in + (b < in_planes ? b : in_planes - 1);
            uint32_t *target = out + b;
            uint32_t left = *target & below;
            GXNOR_ROLLED
            for (k = 0; k < words; k++) {
                *target = left | (*source << shift);
                left = (*source >> 1) >> (31 - shift); /* 0 if shift is 0 */
                source += in_planes;
                target += planes;
            }
            if (more) {
                *target = left;
            }
        }
        in += words * in_planes;
        out += out_words * planes;
    }
}

#endif
