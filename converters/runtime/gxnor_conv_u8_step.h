/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_CONV_U8_STEP_H
#define GXNOR_CONV_U8_STEP_H

#include <stdint.h>

#include "gxnor_block_u8.h"
#include "gxnor_column_u8.h"
#include "gxnor_table_u8.h"

static void gxnor_conv_u8_step(const gxnor_conv_u8 *c, const uint8_t *in, const uint8_t *weights,
                               const uint32_t *steps, uint32_t *scratch, uint32_t *out)
{
    const gxnor_window *w = &c->window;
    const int32_t taps = w->height * c->channels;
    const int32_t groups = (taps + 2) / 3;
    const int32_t words = 2 * ((c->filters + 31) / 32);
    const int32_t blocks = (c->filters + 7) / 8;
    uint32_t *const tables = scratch + 3 * groups;
    uint32_t *const end = tables + 27 * groups * w->width;
    int32_t x, y, j, o;

    scratch[3 * groups - 2] = 0;
    scratch[3 * groups - 1] = 0;
    for (y = 0; y < w->out_height; y += 2) {
        uint32_t *next = tables;
        int32_t fresh = w->width;
        const int32_t row = y + 1 < w->out_height ? w->out_width * words : 0;
        for (x = 0; x < w->out_width; x++) {
            const uint8_t *p = weights;
            const uint32_t *s = steps;
            for (j = w->width - fresh; j < w->width; j++) {
                const uint32_t *column = scratch;
                gxnor_column_u8(c, in, y * w->stride_y - w->pad_top,
                                x * w->stride_x + j * w->dilation_x - w->pad_left, scratch);
                for (o = 0; o < groups; o++) {
                    gxnor_table_u8(column, next);
                    column += 3;
                    next += 27;
                }
                if (next == end) {
                    next = tables;
                }
            }
            fresh = w->dilation_x == 1 && w->stride_x < w->width ? w->stride_x : w->width;
            for (o = 0; o < blocks; o += 4) {
                uint32_t bits[2], half[2] = {0, 0};
                int32_t k;
                bits[0] = bits[1] = 0;
                for (k = 0; k < 4 && o + k < blocks; k++) {
                    if (k == 2) {
                        half[0] = bits[0];
                        half[1] = bits[1];
                        bits[0] = bits[1] = 0;
                    }
                    p = gxnor_block_u8(tables, next, end, p, s, bits);
                    s += 16;
                }
                if (k & 1) {
                    bits[0] >>= 8;
                    bits[1] >>= 8;
                }
                if (k <= 2) {
                    half[0] = bits[0];
                    half[1] = bits[1];
                    bits[0] = bits[1] = 0;
                }
                half[0] |= half[1];
                bits[0] |= bits[1];
                out[row] = half[0] >> 16 | (bits[0] & 0xffff0000u);
                out[row + 1] = half[1] >> 16 | (bits[1] & 0xffff0000u);
                out[0] = (half[0] & 0xffffu) | bits[0] << 16;
                out[1] = (half[1] & 0xffffu) | bits[1] << 16;
                out += 2;
            }
        }
        out += row;
    }
}

#endif
