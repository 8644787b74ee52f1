/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_UNSLICE_H
#define GXNOR_UNSLICE_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Codes to integers. in: `pixels` of ceil(channels / 32) groups of `planes` words. */
static void gxnor_unslice(const uint32_t *in, int32_t planes, int32_t channels, int32_t pixels,
                          int32_t *out)
{
    int32_t p, c, b;

    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        GXNOR_ROLLED
        for (c = 0; c < channels; c++) {
            const uint32_t *group = in + (c >> 5) * planes;
            const int32_t bit = c & 31;
            int32_t value = -(int32_t)((group[planes - 1] >> bit) & 1u);
            GXNOR_ROLLED
            for (b = planes - 2; b >= 0; b--) {
                value = 2 * value + (int32_t)((group[b] >> bit) & 1u);
            }
            *out++ = value;
        }
        in += ((channels + 31) >> 5) * planes;
    }
}

#endif
