/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DENSE_STEP_H
#define GXNOR_DENSE_STEP_H

#include <stdint.h>

#include "gxnor_dot.h"
#include "gxnor_put_trit.h"

/* Dense layer on trits, then a ternary step.
   x: `words` pairs {pos, neg}. weights: a row of `words` pairs for each output.
   thresholds: two for each output. out: ceil(outputs / 32) pairs. */
static void gxnor_dense_step(const uint32_t *x, int32_t words, const uint32_t *weights,
                             const int32_t *thresholds, int32_t outputs, uint32_t *out)
{
    int32_t o;

    for (o = 0; o < outputs; o++) {
        gxnor_put_trit(out, o, gxnor_dot(x, weights, words), thresholds + 2 * o);
        weights += 2 * words;
    }
}

#endif
