/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_CODES_STEP_H
#define GXNOR_CONV_CODES_STEP_H

#include <stdint.h>

#include "gxnor_conv_codes_pixel.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_sums_step.h"

/* Convolution of codes of any planes, in any groups, then a step of any number of thresholds.
   weights, patch: as in gxnor_conv_codes_pixel. thresholds: `steps` for each filter. sums:
   c->filters words of scratch. out: codes of out_planes planes. */
static void gxnor_conv_codes_step(const gxnor_conv *c, const uint32_t *in, int32_t planes,
                                  const uint32_t GXNOR_ROM *weights, int32_t digits,
                                  const int32_t GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                                  uint32_t *patch, int32_t *sums, uint32_t *out, int32_t out_planes)
{
    const int32_t group = ((c->filters + 31) / 32) * out_planes;
    int32_t y, x;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x++) {
            gxnor_conv_codes_pixel(c, in, planes, weights, digits, y, x, patch, sums);
            gxnor_sums_step(sums, c->filters, 1, thresholds, steps, low, out, out_planes);
            out += group;
        }
    }
}

#endif
