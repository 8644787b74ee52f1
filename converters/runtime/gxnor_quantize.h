/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_QUANTIZE_H
#define GXNOR_QUANTIZE_H

#include <stdint.h>

#include "gxnor_levels.h"
#include "gxnor_quantize_except.h"
#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* The codes of a ReLU in steps, one byte each, of the sums of a pixel.
   lines: for each channel four words {start, phase, slope | shift << 24, 2^37 / slope}; then the
   exceptions. A sum below `start` has code 0, any other
   min(top, floor(((sum - start) * 2^shift + phase) / slope)), less one if it is an exception.
   2^21 <= slope < 2^22 and top < 256, so that top * slope < 2^30, where the dividend may stop.
   The quotient of 16 bits of it is right or one too small: what it lacks is less than 2^-6 for the
   bits left out and 2^-6 for the rounding of 2^37 / slope. */
GXNOR_SHARED void gxnor_quantize(const gxnor_levels *q, const int32_t *sums, int32_t channels,
                                 const uint32_t GXNOR_ROM *lines, uint8_t *out)
{
    const uint32_t GXNOR_ROM *const exceptions = lines + 4 * channels;
    const int32_t count = q->exceptions;
    const uint32_t top = (uint32_t)q->top;
    int32_t c;

    GXNOR_ROLLED
    for (c = 0; c < channels; c++) {
        const int32_t above = sums[c] - (int32_t)lines[0];
        uint32_t code = 0;
        if (above >= 0) {
            const uint32_t slope = lines[2] & 0xffffffu, shift = lines[2] >> 24;
            const uint32_t most = (uint32_t)0x40000000 >> shift;
            uint32_t rest = (uint32_t)above < most ? (uint32_t)above : most;
            rest = (rest << shift) + lines[1];
            code = ((rest >> 15) * lines[3]) >> 22;
            rest -= code * slope;
            if (rest >= slope) {
                rest -= slope;
                code++;
            }
            if (code > top) {
                code = top;
            } else if (count && rest >> shift == 0) {
                code -= gxnor_quantize_except(exceptions, count, 256u * (uint32_t)c + code);
            }
        }
        *out++ = (uint8_t)code;
        lines += 4;
    }
}

#endif
