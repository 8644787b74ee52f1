/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_BEGIN_H
#define GXNOR_BEGIN_H

#include "gxnor_add_constant.h"
#include "gxnor_fill.h"
#include "gxnor_shared.h"

/* Before rows are added: sets all counters to start + offset or, if `start` is 0, adds the offset
   to what they are. */
GXNOR_SHARED void gxnor_begin(gxnor_counters *c, uint32_t start, uint32_t offset)
{
    if (start) {
        gxnor_fill(c, start + offset);
    } else {
        gxnor_add_constant(c, offset);
    }
    c->carries = 0;
}

#endif
