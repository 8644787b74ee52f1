/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_STEPS_WORDS_H
#define GXNOR_STEPS_WORDS_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Step of 32 counters to low + the number of thresholds reached (S >= t), in `planes` planes.
   counters: `bits` planes of U = S + 2^(bits-1). thresholds: for each of `steps`, `bits` words
   ~(plane of T) from the least, T = t + 2^(bits-1); compared as in gxnor_step_words. */
static void gxnor_steps_words(const uint32_t *counters, int32_t bits,
                              const uint32_t GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                              uint32_t *out, int32_t planes)
{
    int32_t b, k;

    GXNOR_ROLLED
    for (b = 0; b < planes; b++) {
        out[b] = 0u - (((uint32_t)low >> b) & 1u);
    }
    GXNOR_ROLLED
    for (k = 0; k < steps; k++) {
        uint32_t reached = UINT32_MAX;
        GXNOR_ROLLED
        for (b = 0; b < bits; b++) {
            const uint32_t u = counters[b], t = *thresholds++;
            reached = (u & t) | (reached & (u | t));
        }
        GXNOR_ROLLED
        for (b = 0; b < planes; b++) {
            const uint32_t old = out[b];
            out[b] = old ^ reached;
            reached &= old;
        }
    }
}

#endif
