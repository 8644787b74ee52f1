/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_PLAN_PASS_H
#define GXNOR_PLAN_PASS_H

#include "gxnor_pass.h"
#include "gxnor_take.h"

/* Prepares place `at` of a pass, all places in order: `plus` entries from `up` on, to add, and
   `minus` from `down` on, to subtract. none: the entry of the group that adds nothing. */
GXNOR_SHARED void gxnor_plan_pass(gxnor_pass *p, int32_t at, const gxnor_entry *up, int32_t plus,
                                  const gxnor_entry *down, int32_t minus, uint32_t none)
{
    const uint32_t offset = (uint32_t)(minus - plus) - 16u * (uint32_t)((minus + 7) >> 3);

    gxnor_take(&p->plus[at], up, plus, none, p->spare + 16 * at);
    gxnor_take(&p->minus[at], down, minus, none, p->spare + 16 * at + 8);
    p->offset = at ? p->offset + offset : offset;
}

#endif
