/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_PLAN_PASS_H
#define GXNOR_PLAN_PASS_H

#include "gxnor_pass.h"
#include "gxnor_take.h"

/* Prepares a pass over `plus` entries from `up` on, to add, and `minus` from `down` on, to
   subtract. none: the entry of the row that adds nothing. */
GXNOR_SHARED void gxnor_plan_pass(gxnor_pass *p, const gxnor_entry *up, int32_t plus,
                                  const gxnor_entry *down, int32_t minus, uint32_t none)
{
    gxnor_take(&p->plus, up, plus, none, p->spare);
    gxnor_take(&p->minus, down, minus, none, p->spare + 8);
    p->offset = (uint32_t)(minus - plus) - 16u * (uint32_t)((minus + 7) >> 3);
}

#endif
