/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BYTES_STEPS_H
#define GXNOR_BYTES_STEPS_H

#include <stdint.h>

#include "gxnor_bytes_sums.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_steps_words.h"
#include "gxnor_sums_word.h"

/* A kernel on bytes by multiplication, then a step of any number of thresholds. patch, weights,
   sums: as in gxnor_bytes_sums. thresholds: for each word a table [steps][bits], see
   gxnor_steps_words. counters: 32 words. out: codes of `planes` planes. */
static void gxnor_bytes_steps(const gxnor_bytes *c, const uint8_t *in, const int8_t GXNOR_ROM *weights,
                              const uint32_t GXNOR_ROM *thresholds, int32_t steps, int32_t low,
                              int16_t *patch, int32_t *sums, uint32_t *counters, uint32_t *out,
                              int32_t planes)
{
    const int32_t words = (c->filters + 31) / 32;
    int32_t y, x, k;

    GXNOR_ROLLED
    for (y = 0; y < c->window.out_height; y++) {
        GXNOR_ROLLED
        for (x = 0; x < c->window.out_width; x++) {
            gxnor_bytes_sums(c, in, weights, y, x, patch, sums);
            GXNOR_ROLLED
            for (k = 0; k < words; k++) {
                gxnor_sums_word(sums + 32 * k, c->filters - 32 * k, counters, c->bits);
                gxnor_steps_words(counters, c->bits, thresholds + k * steps * c->bits, steps, low,
                                  out, planes);
                out += planes;
            }
        }
    }
}

#endif
