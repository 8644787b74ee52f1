#pragma once
#include <cstring>

#include "case.h"
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, uint8_t* arena, size_t size)
      : model_(model), resolver_(resolver), arena_(arena), size_(size) {}

  TfLiteStatus AllocateTensors() {
    if (model_ == nullptr || size_ < stub::kArena || reinterpret_cast<uintptr_t>(arena_) % 16 != 0) {
      return kTfLiteError;
    }
    for (const char* method : stub::kMethods) {
      if (!resolver_.Has(method)) return kTfLiteError;
    }
    if (resolver_.count() != sizeof(stub::kMethods) / sizeof(stub::kMethods[0])) return kTfLiteError;
    // Both in one place, as TFLM may do: an input not filled again is gone.
    const bool placed = Place(stub::kInputs, inputs_) && Place(stub::kOutputs, outputs_);
    return placed ? kTfLiteOk : kTfLiteError;
  }

  TfLiteTensor* input(size_t index) { return index < kInputs ? &inputs_[index] : nullptr; }
  TfLiteTensor* output(size_t index) { return index < kOutputs ? &outputs_[index] : nullptr; }

  // Gives the outputs of the test whose inputs these are; of none, it fails.
  TfLiteStatus Invoke() {
    for (size_t test = 0; test < sizeof(stub::kFed) / sizeof(stub::kFed[0]); test++) {
      const unsigned char* fed = stub::kFed[test];
      bool equal = true;
      for (const TfLiteTensor& input : inputs_) {
        equal = equal && std::memcmp(input.data.data, fed, input.bytes) == 0;
        fed += input.bytes;
      }
      if (!equal) continue;
      const unsigned char* made = stub::kMade[test];
      for (const TfLiteTensor& output : outputs_) {
        std::memcpy(output.data.data, made, output.bytes);
        made += output.bytes;
      }
      return kTfLiteOk;
    }
    return kTfLiteError;
  }

  size_t arena_used_bytes() const { return stub::kArena; }

 private:
  static constexpr size_t kInputs = sizeof(stub::kInputs) / sizeof(stub::kInputs[0]);
  static constexpr size_t kOutputs = sizeof(stub::kOutputs) / sizeof(stub::kOutputs[0]);

  // One after the other from the start of the arena, each aligned to 16.
  template <size_t count>
  bool Place(const stub::Tensor (&wanted)[count], TfLiteTensor (&tensors)[count]) {
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
      tensors[i] = {wanted[i].type, {arena_ + used}, wanted[i].bytes};
      used += (wanted[i].bytes + 15) / 16 * 16;
    }
    return used <= size_;
  }

  const Model* model_;
  const MicroOpResolver& resolver_;
  uint8_t* arena_;
  size_t size_;
  TfLiteTensor inputs_[kInputs] = {};
  TfLiteTensor outputs_[kOutputs] = {};
};

}  // namespace tflite
