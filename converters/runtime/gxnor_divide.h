/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DIVIDE_H
#define GXNOR_DIVIDE_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Averages of sums: one division each, rounded to float on every machine alike (see gxnor_affine). */
static void gxnor_divide(const int32_t *sums, int32_t size, int32_t divisor, float *x)
{
    int32_t i;

    GXNOR_ROLLED
    for (i = 0; i < size; i++) {
        volatile float value = (float)sums[i] / (float)divisor;
        x[i] = value;
    }
}

#endif
