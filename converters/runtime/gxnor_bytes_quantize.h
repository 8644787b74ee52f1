/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BYTES_QUANTIZE_H
#define GXNOR_BYTES_QUANTIZE_H

#include <stdint.h>

#include "gxnor_bytes_sums.h"
#include "gxnor_quantize.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* A kernel on bytes by multiplication, then a ReLU in steps. patch, weights, sums: as in
   gxnor_bytes_sums. lines: as in gxnor_quantize. out: a byte for each filter and pixel. */
static void gxnor_bytes_quantize(const gxnor_bytes *c, const uint8_t *in, const int8_t GXNOR_ROM *weights,
                                 const gxnor_levels *levels, const uint32_t GXNOR_ROM *lines,
                                 int16_t *patch, int32_t *sums, uint8_t *out)
{
    int32_t y, x;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x++) {
            gxnor_bytes_sums(c, in, weights, y, x, patch, sums);
            gxnor_quantize(levels, sums, c->filters, lines, out);
            out += c->filters;
        }
    }
}

#endif
