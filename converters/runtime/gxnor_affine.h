/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_AFFINE_H
#define GXNOR_AFFINE_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* x = x * scale + offset in place, channel by channel, `pixels` times.
   The product is rounded to float before the sum, on every machine alike: a value kept
   in a volatile float cannot take part in a fused multiply-add, nor stay in a wider register. */
static void gxnor_affine(float *x, const float GXNOR_ROM *scale, const float GXNOR_ROM *offset,
                         int32_t channels, int32_t pixels)
{
    int32_t p, c;

    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        GXNOR_ROLLED
        for (c = 0; c < channels; c++) {
            volatile float value = *x * scale[c];
            value = value + offset[c];
            *x++ = value;
        }
    }
}

#endif
