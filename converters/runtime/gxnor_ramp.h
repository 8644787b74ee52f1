/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RAMP_H
#define GXNOR_RAMP_H

#include <stdint.h>

/* Lines of a ReLU in steps: the sum S has the code
   max(0, min(top, floor((S * 2^fraction - offset) / slope))) in each channel.
   sum_bits: planes of the counters S + 2^(sum_bits-1). rest_bits: planes of remainders, two's
   complement, enough for S * 2^fraction - offset and for that less (2^code_bits - 1) * slope.
   slope_bits: planes of slopes; slope_bits + code_bits <= rest_bits + 1.
   code_bits: those of `top`. exceptions: codes that need a sum one larger. */
typedef struct {
    int32_t sum_bits, fraction;
    int32_t rest_bits, slope_bits, code_bits;
    int32_t top, exceptions;
} gxnor_ramp;

#endif
