#pragma once
#include <cstdint>
#include <cstring>

namespace tflite {

struct Model {
  uint32_t version() const { return 3; }
};

// Only a file that is aligned and says TFL3 is a model here.
inline const Model* GetModel(const void* buffer) {
  static const Model model;
  const bool aligned = reinterpret_cast<uintptr_t>(buffer) % 16 == 0;
  return aligned && std::memcmp(static_cast<const char*>(buffer) + 4, "TFL3", 4) == 0 ? &model : nullptr;
}

}  // namespace tflite
