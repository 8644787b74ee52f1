/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_NOISE_H
#define GXNOR_NOISE_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Fills `x` with the same `size` pseudo-random bytes every time: the top bytes of a
   linear congruential generator. Input of the self-test, not for secrets. */
static void gxnor_noise(uint8_t *x, int32_t size)
{
    uint32_t state = 1u;
    int32_t i;

    GXNOR_ROLLED
    for (i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (uint8_t)(state >> 24);
    }
}

#endif
