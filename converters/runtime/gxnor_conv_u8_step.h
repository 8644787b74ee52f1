/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_U8_STEP_H
#define GXNOR_CONV_U8_STEP_H

#include <stdint.h>

#include "gxnor_column_u8.h"
#include "gxnor_pair_u8.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"
#include "gxnor_table_u8.h"

/* Convolution of bytes (the first layer) with trits, then a ternary step.
   weights: for each eight filters, each column of the window and each group of three of its
   taps, eight bytes: 4 * (9 * (i + 1) + 3 * (j + 1) + k + 1) for the weights i, j, k.
   steps: for each eight filters, eight starts and eight lasts (see gxnor_block_u8); the zero
   point is in them.
   scratch: (3 + 27 * window.width) * groups words.
   out: ceil(filters / 32) pairs {nonzero, negative} for each pixel.

   Two rows of the output are computed at once, pixel by pixel; a row that is left over is
   computed together with one that is thrown away. The tables of the window's columns lie in
   a ring: where the next window overlaps this one, they are used again. */
static void gxnor_conv_u8_step(const gxnor_conv_u8 *c, const uint8_t *in,
                               const uint8_t GXNOR_ROM *weights, const uint32_t GXNOR_ROM *steps,
                               uint32_t *scratch, uint32_t *out)
{
    const gxnor_window *w = &c->window;
    const int32_t overlap = w->dilation_x == 1 ? w->width - w->stride_x : 0;
    const int32_t words = 2 * ((c->filters + 31) >> 5);
    uint32_t *const tables = scratch + 3 * c->groups;
    uint32_t *const end = tables + 27 * c->groups * w->width;
    int32_t x, y, i, j;

    tables[-2] = 0; /* taps that fill up the last group */
    tables[-1] = 0;
    for (y = 0; y < w->out_height; y += 2) {
        const int32_t row = y + 1 < w->out_height ? w->out_width * words : 0;
        uint32_t *next = tables;
        for (x = 0; x < w->out_width; x++) {
            GXNOR_ROLLED
            for (j = x > 0 && overlap > 0 ? overlap : 0; j < w->width; j++) {
                const uint32_t *column = scratch;
                gxnor_column_u8(c, in, y * w->stride_y - w->pad_top,
                                x * w->stride_x + j * w->dilation_x - w->pad_left, scratch);
                GXNOR_ROLLED
                for (i = 0; i < c->groups; i++) {
                    gxnor_table_u8(column, next);
                    column += 3;
                    next += 27;
                }
                next = next == end ? tables : next;
            }
            gxnor_pair_u8(tables, next, end, weights, steps, c->filters, out, out + row);
            out += words;
        }
        out += row;
    }
}

#endif
