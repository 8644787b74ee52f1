/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_U8_STEP_H
#define GXNOR_CONV_U8_STEP_H

#include <stdint.h>

#include "gxnor_pair_u8.h"
#include "gxnor_column_u8.h"
#include "gxnor_table_u8.h"

static void gxnor_conv_u8_step(const gxnor_conv_u8 *c, const uint8_t *in, const uint8_t *weights,
                               const uint32_t *steps, uint32_t *scratch, uint32_t *out)
{
    const gxnor_window *w = &c->window;
    uint32_t *const tables = scratch + 3 * c->groups;
    uint32_t *const end = tables + 27 * c->groups * w->width;
    const int32_t reused = w->dilation_x == 1 && w->stride_x < w->width ? w->width - w->stride_x : 0;
    int32_t x, y, j, o;

    const int32_t words = 2 * ((c->filters + 31) >> 5);

    tables[-2] = 0;
    tables[-1] = 0;
    for (y = 0; y < w->out_height; y += 2) {
        uint32_t *next = tables;
        const int32_t row = y + 1 < w->out_height ? w->out_width * words : 0;
        for (x = 0; x < w->out_width; x++) {
            GXNOR_ROLLED
            for (j = x == 0 ? 0 : reused; j < w->width; j++) {
                const uint32_t *column = scratch;
                gxnor_column_u8(c, in, y * w->stride_y - w->pad_top,
                                x * w->stride_x + j * w->dilation_x - w->pad_left, scratch);
                GXNOR_ROLLED
                for (o = 0; o < c->groups; o++) {
                    gxnor_table_u8(column, next);
                    column += 3;
                    next += 27;
                }
                if (next == end) {
                    next = tables;
                }
            }
            gxnor_pair_u8(tables, next, end, weights, steps, c->filters, out, out + row);
            out += words;
        }
        out += row;
    }
}

#endif
