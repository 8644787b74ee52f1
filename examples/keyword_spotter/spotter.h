/* Samples in, word out: log_mel.h and keywords.h in one call, in plain C99 (or C++11).
 *
 * How to use it: in one C or C++ file,
 *
 *     #define SPOTTER_IMPLEMENTATION
 *     #include "spotter.h"
 *
 * and in any other file only the #include.
 *
 * SPDX-License-Identifier: 0BSD
 */
#ifndef SPOTTER_H
#define SPOTTER_H

#ifdef SPOTTER_IMPLEMENTATION
#define LOG_MEL_IMPLEMENTATION
#define KEYWORDS_IMPLEMENTATION
#endif
#include "keywords.h"
#include "log_mel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room for the features, then for the network: they never work at once. */
#define SPOTTER_SCRATCH_BYTES \
    (KEYWORDS_SCRATCH_BYTES > 4 * LOG_MEL_FRAME ? KEYWORDS_SCRATCH_BYTES : 4 * LOG_MEL_FRAME)

/* The number of the word in a clip; its features and the logits of all words stay behind. */
int spotter_run(const int16_t pcm[LOG_MEL_SAMPLES], uint8_t features[KEYWORDS_INPUT_SIZE],
                float logits[KEYWORDS_OUTPUT_SIZE], uint32_t scratch[SPOTTER_SCRATCH_BYTES / 4]);

#ifdef __cplusplus
}
#endif
#endif /* SPOTTER_H */

#if defined(SPOTTER_IMPLEMENTATION) && !defined(SPOTTER_IMPLEMENTED)
#define SPOTTER_IMPLEMENTED

typedef char spotter_features_fit[KEYWORDS_INPUT_SIZE == LOG_MEL_FRAMES * LOG_MEL_BANDS ? 1 : -1];

int spotter_run(const int16_t pcm[LOG_MEL_SAMPLES], uint8_t features[KEYWORDS_INPUT_SIZE],
                float logits[KEYWORDS_OUTPUT_SIZE], uint32_t scratch[SPOTTER_SCRATCH_BYTES / 4])
{
    log_mel(pcm, features, (int32_t *)scratch);
    keywords_run(features, logits, scratch);
    return keywords_argmax(logits);
}

#endif /* SPOTTER_IMPLEMENTATION */
