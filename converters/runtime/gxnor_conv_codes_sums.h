/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_CODES_SUMS_H
#define GXNOR_CONV_CODES_SUMS_H

#include <stdint.h>

#include "gxnor_conv_codes_pixel.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Convolution of codes of any planes, in any groups, that keeps its sums.
   weights, patch: as in gxnor_conv_codes_pixel. sums: one for each filter and pixel. */
static void gxnor_conv_codes_sums(const gxnor_conv *c, const uint32_t *in, int32_t planes,
                                  const uint32_t GXNOR_ROM *weights, int32_t digits, uint32_t *patch,
                                  int32_t *sums)
{
    int32_t y, x;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x++) {
            gxnor_conv_codes_pixel(c, in, planes, weights, digits, y, x, patch, sums);
            sums += c->filters;
        }
    }
}

#endif
