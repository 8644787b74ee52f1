/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ROM_H
#define GXNOR_ROM_H

/* GXNOR_ROM: where the tables of weights, thresholds, scales and offsets lie, if pointers into it
   have a type of their own. On 8-bit AVR constants are copied to RAM unless the type says flash,
   which avr-gcc knows in GNU C (-std=gnu99, not -std=c99, not C++). Everywhere else it is nothing. */
#ifndef GXNOR_ROM
#if defined(__FLASH) && !defined(__STRICT_ANSI__) && !defined(__cplusplus)
#define GXNOR_ROM __flash
#else
#define GXNOR_ROM
#endif
#endif

#endif
