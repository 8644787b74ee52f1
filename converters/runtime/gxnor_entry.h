/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ENTRY_H
#define GXNOR_ENTRY_H

#include <stdint.h>

/* An entry of a list of rows. Lists lie in the scratch, whose type is uint32_t: compilers that
   tell types apart must not do so here. */
#if defined(__GNUC__)
typedef uint16_t __attribute__((may_alias)) gxnor_entry;
#else
typedef uint16_t gxnor_entry;
#endif

#endif
