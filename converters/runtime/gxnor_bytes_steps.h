/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BYTES_STEPS_H
#define GXNOR_BYTES_STEPS_H

#include <stdint.h>

#include "gxnor_bytes_sums.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_steps_pixel.h"

/* A kernel on bytes by multiplication, then a step of any number of thresholds. patch, weights,
   sums: as in gxnor_bytes_sums. thresholds: for each word a table [steps][bits], see
   gxnor_steps_words. counters: 32 words. out: codes of `planes` planes. */
static void gxnor_bytes_steps(const gxnor_bytes *c, const uint8_t *in, const int8_t GXNOR_ROM *weights,
                              const uint32_t GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                              int16_t *patch, int32_t *sums, uint32_t *counters, uint32_t *out,
                              int32_t planes)
{
    int32_t y, x;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x++) {
            gxnor_bytes_sums(c, in, weights, y, x, patch, sums);
            out = gxnor_steps_pixel(sums, c->filters, counters, c->bits, thresholds, steps, low, out,
                                    planes);
        }
    }
}

#endif
