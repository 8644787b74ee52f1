/* Log-mel features of sound in integer arithmetic, in plain C99 (or C++11).
 *
 * Computes, bit for bit, what log_mel.py does: it is the definition. Samples are int16 at 16 kHz; a
 * frame of LOG_MEL_FRAME of them gives LOG_MEL_BANDS bytes, each eight times the logarithm to base 2
 * of the energy in a band, less LOG_MEL_OFFSET; of a clip the mean of each band is taken off. No float,
 * no malloc, no libc, no writable static data. 64-bit products: one instruction each on Cortex-M3 and larger, a function on Cortex-M0.
 *
 * How to use it: in one C or C++ file,
 *
 *     #define LOG_MEL_IMPLEMENTATION
 *     #include "log_mel.h"
 *
 * and in any other file only the #include. log_mel does a whole clip; a device that listens all
 * the time calls log_mel_frame every LOG_MEL_HOP samples, keeps the last LOG_MEL_FRAMES rows, and
 * centers a copy of them.
 *
 * SPDX-License-Identifier: 0BSD
 */
#ifndef LOG_MEL_H
#define LOG_MEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "log_mel_sizes.h"

/* The features of one frame. Nothing in the scratch need survive between calls. */
void log_mel_frame(const int16_t pcm[LOG_MEL_FRAME], uint8_t features[LOG_MEL_BANDS],
                   int32_t scratch[LOG_MEL_FRAME]);

/* Puts each code of a clip in relation to the mean of its band: code - mean + 128. */
void log_mel_center(uint8_t features[LOG_MEL_FRAMES * LOG_MEL_BANDS]);

/* The features of a clip: frame by frame, then centered. */
void log_mel(const int16_t pcm[LOG_MEL_SAMPLES], uint8_t features[LOG_MEL_FRAMES * LOG_MEL_BANDS],
             int32_t scratch[LOG_MEL_FRAME]);

#ifdef __cplusplus
}
#endif
#endif /* LOG_MEL_H */

#if defined(LOG_MEL_IMPLEMENTATION) && !defined(LOG_MEL_IMPLEMENTED)
#define LOG_MEL_IMPLEMENTED

/* The standard leaves >> of a negative number to the compiler: here it must round down. */
typedef char log_mel_shifts_round_down[(-3 >> 1) == -2 ? 1 : -1];

#define LOG_MEL_HALF (LOG_MEL_FRAME / 2)

#include "log_mel_tables.h"

/* re + i im times exp(-2 pi i k / 512). |re + i im| < 2^27, so a product is less than 2^42. */
static void log_mel_turn(int32_t *re, int32_t *im, int32_t k)
{
    const int64_t a = *re, b = *im;
    const int32_t sine = log_mel_sine[k], cosine = log_mel_sine[k + 128];

    *re = (int32_t)((a * cosine + b * sine + 8192) >> 14);
    *im = (int32_t)((b * cosine - a * sine + 8192) >> 14);
}

/* The windowed samples 2n + i (2n + 1), each at its place with the bits reversed. A sample is at
   most 2^15 and the window 2^15, so what is left is at most 2^18; all together at most 2^26. */
static void log_mel_load(const int16_t *pcm, int32_t *re, int32_t *im)
{
    int32_t n, bit, place = 0;

    for (n = 0; n < LOG_MEL_HALF; n++) {
        const int32_t first = 2 * n, last = LOG_MEL_FRAME - 1 - first;
        re[place] = ((int32_t)pcm[first] * log_mel_window[first < last ? first : last] + 2048) >> 12;
        im[place] = ((int32_t)pcm[first + 1] * log_mel_window[first < last ? first + 1 : last - 1] + 2048) >> 12;
        for (bit = LOG_MEL_HALF / 2; place & bit; bit >>= 1) {
            place ^= bit;
        }
        place |= bit;
    }
}

/* FFT of radix 2. No number in it is larger than the sum of all that went in, 2^26. */
static void log_mel_transform(int32_t *re, int32_t *im)
{
    int32_t size, start, k;

    for (size = 1; size < LOG_MEL_HALF; size *= 2) {
        for (k = 0; k < size; k++) {
            for (start = k; start < LOG_MEL_HALF; start += 2 * size) {
                int32_t *const a_re = re + start, *const a_im = im + start;
                int32_t b_re = a_re[size], b_im = a_im[size];
                log_mel_turn(&b_re, &b_im, k * (LOG_MEL_HALF / size));
                a_re[size] = *a_re - b_re;
                a_im[size] = *a_im - b_im;
                *a_re += b_re;
                *a_im += b_im;
            }
        }
    }
}

/* |2 X|^2 of bin k, 1..255, of the real samples; less than 2^55. */
static uint64_t log_mel_power(const int32_t *re, const int32_t *im, int32_t k)
{
    const int32_t back = LOG_MEL_HALF - k;
    int32_t odd_re = im[k] + im[back], odd_im = re[back] - re[k];
    int64_t x, y;

    log_mel_turn(&odd_re, &odd_im, k);
    x = re[k] + re[back] + odd_re;
    y = im[k] - im[back] + odd_im;
    return (uint64_t)(x * x + y * y);
}

/* 8 log2(energy) - LOG_MEL_OFFSET as a byte. */
static uint8_t log_mel_logarithm(uint64_t energy)
{
    int32_t exponent = 0, bits, code;

    for (bits = 32; bits > 0; bits /= 2) {
        if (energy >> exponent >> bits) {
            exponent += bits;
        }
    }
    code = 8 * exponent - LOG_MEL_OFFSET;
    if (exponent >= 5) {
        code += log_mel_log[(energy >> (exponent - 5)) & 31u];
    }
    return (uint8_t)(code < 0 ? 0 : code > 255 ? 255 : code);
}

void log_mel_frame(const int16_t pcm[LOG_MEL_FRAME], uint8_t features[LOG_MEL_BANDS],
                   int32_t scratch[LOG_MEL_FRAME])
{
    int32_t *const re = scratch, *const im = scratch + LOG_MEL_HALF;
    const uint8_t *band = log_mel_band, *rise = log_mel_rise;
    /* Energy of `here` and of the band above. The powers of all bins, by Parseval's theorem, are at
       most 2^53.6 together, so with weights up to 2^8 these are less than 2^62. */
    uint64_t low = 0, high = 0;
    int32_t here = 0, k;

    log_mel_load(pcm, re, im);
    log_mel_transform(re, im);
    for (k = LOG_MEL_FIRST; here <= LOG_MEL_BANDS; k++) {
        for (; here < *band; here++) {
            if (here > 0) {
                *features++ = log_mel_logarithm(low);
            }
            low = high;
            high = 0;
        }
        if (here <= LOG_MEL_BANDS) {
            const uint64_t power = log_mel_power(re, im, k);
            low += power * (256u - *rise);
            high += power * *rise;
        }
        band++;
        rise++;
    }
}

void log_mel_center(uint8_t features[LOG_MEL_FRAMES * LOG_MEL_BANDS])
{
    int32_t band, k;

    for (band = 0; band < LOG_MEL_BANDS; band++) {
        int32_t sum = LOG_MEL_FRAMES / 2;
        for (k = band; k < LOG_MEL_FRAMES * LOG_MEL_BANDS; k += LOG_MEL_BANDS) {
            sum += features[k];
        }
        for (k = band; k < LOG_MEL_FRAMES * LOG_MEL_BANDS; k += LOG_MEL_BANDS) {
            const int32_t code = features[k] - sum / LOG_MEL_FRAMES + 128;
            features[k] = (uint8_t)(code < 0 ? 0 : code > 255 ? 255 : code);
        }
    }
}

void log_mel(const int16_t pcm[LOG_MEL_SAMPLES], uint8_t features[LOG_MEL_FRAMES * LOG_MEL_BANDS],
             int32_t scratch[LOG_MEL_FRAME])
{
    int32_t frame;

    for (frame = 0; frame < LOG_MEL_FRAMES; frame++) {
        log_mel_frame(pcm, features + frame * LOG_MEL_BANDS, scratch);
        pcm += LOG_MEL_HOP;
    }
    log_mel_center(features);
}

#endif /* LOG_MEL_IMPLEMENTATION */
