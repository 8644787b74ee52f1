/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SUMS_STEP_H
#define GXNOR_SUMS_STEP_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Step of sums to low + the number of thresholds reached (sum >= t), as codes of `planes` planes.
   thresholds: `steps` for each channel. out: ceil(channels / 32) groups a pixel. */
static void gxnor_sums_step(const int32_t *sums, int32_t channels, int32_t pixels,
                            const int32_t GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                            uint32_t *out, int32_t planes)
{
    int32_t p, c, k;

    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        const int32_t GXNOR_ROM *threshold = thresholds;
        GXNOR_ROLLED
        for (c = 0; c < channels; c++) {
            const uint32_t below = ((uint32_t)1 << (c & 31)) - 1u;
            uint32_t value = (uint32_t)low;
            GXNOR_ROLLED
            for (k = 0; k < steps; k++) {
                value += (uint32_t)(*sums >= *threshold++);
            }
            GXNOR_ROLLED
            for (k = 0; k < planes; k++) {
                out[k] = (out[k] & below) | ((value & 1u) << (c & 31));
                value >>= 1;
            }
            out += (c & 31) == 31 || c == channels - 1 ? planes : 0;
            sums++;
        }
    }
}

#endif
