/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_STEPS_PIXEL_H
#define GXNOR_STEPS_PIXEL_H

#include <stdint.h>

#include "gxnor_lanes.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_steps_words.h"
#include "gxnor_sums_word.h"

/* A step of any number of thresholds of a pixel's sums, 32 channels at once. counters: 32 words, of
   which it takes `bits`. thresholds: for each word a table [steps][bits], see gxnor_steps_words.
   out: `planes` words for each 32 channels. Returns where the next pixel begins. */
GXNOR_INLINE uint32_t *gxnor_steps_pixel(const int32_t *sums, int32_t channels, uint32_t *counters,
                                         int32_t bits, const uint32_t GXNOR_ROM *thresholds,
                                         int32_t steps, int32_t low, uint32_t *out, int32_t planes)
{
    int32_t k;

    GXNOR_ROLLED
    for (k = 0; k < channels; k += 32) {
        gxnor_sums_word(sums + k, channels - k, counters, bits);
        gxnor_steps_words(counters, bits, thresholds, steps, low, out, planes);
        thresholds += steps * bits;
        out += planes;
    }
    return out;
}

#endif
