/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_STEP_WORDS_H
#define GXNOR_STEP_WORDS_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Ternary step of 32 counters: +1 if S >= t1, -1 if S < t0, else 0; t0 <= t1.
   counters: `bits` planes of U = S + 2^(bits-1). thresholds: `bits` pairs {~plane of T1, ~plane of
   T0} from the least, T = t + 2^(bits-1). out: {nonzero, negative}.
   U >= T is the carry out of U + ~T + 1: the majority of u, ~t and the carry, plane by plane. */
static void gxnor_step_words(const uint32_t *counters, int32_t bits,
                             const uint32_t GXNOR_ROM *thresholds, uint32_t *out)
{
    uint32_t high = UINT32_MAX, low = UINT32_MAX;
    int32_t b;

    GXNOR_ROLLED
    for (b = 0; b < bits; b++) {
        const uint32_t u = counters[b], t1 = thresholds[0], t0 = thresholds[1];
        high = (u & t1) | (high & (u | t1));
        low = (u & t0) | (low & (u | t0));
        thresholds += 2;
    }
    out[0] = high | ~low;
    out[1] = ~low;
}

#endif
