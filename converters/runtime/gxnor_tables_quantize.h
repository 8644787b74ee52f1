/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLES_QUANTIZE_H
#define GXNOR_TABLES_QUANTIZE_H

#include <stdint.h>

#include "gxnor_quantize.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_tables_sums.h"

/* Convolution of bytes with trits, then a ReLU in steps. weights, scratch, sums: as in
   gxnor_tables_sums. lines: as in gxnor_quantize. out: a byte for each filter and pixel. */
static void gxnor_tables_quantize(const gxnor_tables *c, const uint8_t *in,
                                  const uint8_t GXNOR_ROM *weights, const gxnor_levels *levels,
                                  const uint32_t GXNOR_ROM *lines, uint32_t *scratch, int32_t *sums,
                                  uint8_t *out)
{
    const int32_t pixels = c->window.out_width * c->window.out_height;
    int32_t places[4];
    int32_t p;

    places[0] = 0;
    places[1] = 0;
    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        if ((p & 1) == 0) {
            gxnor_tables_sums(c, in, weights, places, scratch, sums);
        }
        gxnor_quantize(levels, sums + (p & 1) * c->room, c->filters, lines, out);
        out += c->filters;
    }
}

#endif
