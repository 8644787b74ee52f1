/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLES_STEPS_H
#define GXNOR_TABLES_STEPS_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_steps_pixel.h"
#include "gxnor_tables_sums.h"

/* Convolution of bytes with trits, then a step of any number of thresholds. weights, scratch, sums:
   as in gxnor_tables_sums. thresholds: for each word a table [steps][bits], see gxnor_steps_words.
   counters: 32 words. out: codes of `planes` planes. */
static void gxnor_tables_steps(const gxnor_tables *c, const uint8_t *in, const uint8_t GXNOR_ROM *weights,
                               const uint32_t GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                               uint32_t *scratch, int32_t *sums, uint32_t *counters, uint32_t *out,
                               int32_t planes)
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
        out = gxnor_steps_pixel(sums + (p & 1) * c->room, c->filters, counters, c->bits, thresholds,
                                steps, low, out, planes);
    }
}

#endif
