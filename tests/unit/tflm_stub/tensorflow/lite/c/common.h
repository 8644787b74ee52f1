#pragma once
#include <cstddef>
#include <cstdint>

enum TfLiteStatus { kTfLiteOk, kTfLiteError };
enum TfLiteType {
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteUInt8 = 3,
  kTfLiteBool = 6,
  kTfLiteInt16 = 7,
  kTfLiteInt8 = 9
};

struct TfLiteTensor {
  TfLiteType type;
  union {
    void* data;
  } data;
  size_t bytes;
};
