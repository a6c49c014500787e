// A network of ONNX Runtime on one thread: one run for one request, by the C API (its C++ header adds no work).
#pragma once
#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <vector>

class Session {
 public:
  explicit Session(const char* model) : session_(environment(), model, options()) {}

  // Logits of one batch; `data` is row-major, of `type`, and not copied.
  Ort::Value run(const void* data, size_t size, const std::vector<int64_t>& shape, ONNXTensorElementDataType type) {
    // The API takes inputs as mutable and leaves them alone.
    Ort::Value input = Ort::Value::CreateTensor(memory_, const_cast<void*>(data), size, shape.data(), shape.size(), type);
    Ort::Value output{nullptr};
    session_.Run(Ort::RunOptions{nullptr}, kInputs, &input, 1, kOutputs, &output, 1);
    return output;
  }

 private:
  static constexpr const char* kInputs[] = {"input"};
  static constexpr const char* kOutputs[] = {"logits"};

  static Ort::Env& environment() {
    static Ort::Env made(ORT_LOGGING_LEVEL_ERROR, "bench");
    return made;
  }

  static Ort::SessionOptions options() {
    Ort::SessionOptions made;
    made.SetIntraOpNumThreads(1);
    made.SetInterOpNumThreads(1);
    return made;
  }

  Ort::Session session_;
  Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
};
