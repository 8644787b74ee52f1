/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LEVELS_H
#define GXNOR_LEVELS_H

#include <stdint.h>

/* A ReLU in steps of sums, channel by channel: its largest code, and how many codes need a sum one
   larger than their line says. The lines are a table, see gxnor_quantize. */
typedef struct {
    int32_t top, exceptions;
} gxnor_levels;

#endif
