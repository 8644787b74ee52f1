/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DEPTHWISE_U8_QUANTIZE_H
#define GXNOR_DEPTHWISE_U8_QUANTIZE_H

#include <stdint.h>

#include "gxnor_depthwise_u8.h"
#include "gxnor_quantize.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Depthwise convolution of bytes, then a ReLU in steps. weights, sums: as in gxnor_depthwise_u8.
   lines: as in gxnor_quantize. out: a byte for each channel and pixel. */
static void gxnor_depthwise_u8_quantize(const gxnor_bytes *c, const uint8_t *in,
                                        const int8_t GXNOR_ROM *weights, const gxnor_levels *levels,
                                        const uint32_t GXNOR_ROM *lines, int32_t *sums, uint8_t *out)
{
    int32_t y, x;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x++) {
            gxnor_depthwise_u8(c, in, weights, y, x, sums);
            gxnor_quantize(levels, sums, c->channels, lines, out);
            out += c->channels;
        }
    }
}

#endif
