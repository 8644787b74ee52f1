/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ARGMAX_H
#define GXNOR_ARGMAX_H

#include <stdint.h>

#include "gxnor_shared.h"

/* The index of the first largest of `size` values. */
static int32_t gxnor_argmax(const float *x, int32_t size)
{
    int32_t best = 0;
    int32_t i;

    GXNOR_ROLLED
    for (i = 1; i < size; i++) {
        if (x[i] > x[best]) {
            best = i;
        }
    }
    return best;
}

#endif
