/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TO_FLOAT_H
#define GXNOR_TO_FLOAT_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Sums to floats, exact because |sum| < 2^24. */
static void gxnor_to_float(const int32_t *sums, int32_t size, float *x)
{
    int32_t i;

    GXNOR_ROLLED
    for (i = 0; i < size; i++) {
        x[i] = (float)sums[i];
    }
}

#endif
