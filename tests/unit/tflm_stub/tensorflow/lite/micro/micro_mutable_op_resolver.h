#pragma once
#include <cstring>

#include "tensorflow/lite/c/common.h"

namespace tflite {

class MicroOpResolver {
 public:
  bool Has(const char* method) const {
    for (unsigned int i = 0; i < count_; i++) {
      if (std::strcmp(methods_[i], method) == 0) return true;
    }
    return false;
  }
  unsigned int count() const { return count_; }

 protected:
  // As in TFLM, an operator registered twice or beyond the capacity is an error.
  TfLiteStatus Register(const char* method, unsigned int capacity) {
    if (count_ >= capacity || Has(method)) return kTfLiteError;
    methods_[count_++] = method;
    return kTfLiteOk;
  }

 private:
  const char* methods_[64] = {};
  unsigned int count_ = 0;
};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
#define STUB_METHOD(name) \
  TfLiteStatus name() { return Register(#name, tOpCount); }
  STUB_METHOD(AddAdd)
  STUB_METHOD(AddArgMax)
  STUB_METHOD(AddCast)
  STUB_METHOD(AddConcatenation)
  STUB_METHOD(AddConv2D)
  STUB_METHOD(AddDecode)
  STUB_METHOD(AddDepthwiseConv2D)
  STUB_METHOD(AddDequantize)
  STUB_METHOD(AddFullyConnected)
  STUB_METHOD(AddMaxPool2D)
  STUB_METHOD(AddMul)
  STUB_METHOD(AddQuantize)
  STUB_METHOD(AddReshape)
#undef STUB_METHOD
};

}  // namespace tflite
