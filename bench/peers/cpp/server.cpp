// A plain C++ servicer: gRPC's blocking service, protobuf, one run of ONNX Runtime. PORT KIND MODEL [CERTIFICATE KEY]
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "open_inference.grpc.pb.h"
#include "session.hpp"

namespace {

class Service final : public inference::GRPCInferenceService::Service {
 public:
  explicit Service(const char* model) : session_(model) {}

  grpc::Status ModelInfer(grpc::ServerContext*, const inference::ModelInferRequest* request,
                          inference::ModelInferResponse* reply) override {
    if (request->inputs_size() != 1 || request->raw_input_contents_size() != 1)
      return {grpc::StatusCode::INVALID_ARGUMENT, "one input with raw contents is expected"};
    const auto& input = request->inputs(0);
    const std::string& raw = request->raw_input_contents(0);
    const std::vector<int64_t> shape(input.shape().begin(), input.shape().end());
    const auto type = input.datatype() == "FP32"    ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
                      : input.datatype() == "UINT8" ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
                                                    : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    const Ort::Value logits = session_.run(raw.data(), raw.size(), shape, type);
    const auto information = logits.GetTensorTypeAndShapeInfo();
    reply->set_model_name(request->model_name());
    reply->set_model_version("1");
    reply->set_id(request->id());
    auto* output = reply->add_outputs();
    output->set_name("logits");
    output->set_datatype("FP32");
    for (const int64_t size : information.GetShape()) output->add_shape(size);
    reply->add_raw_output_contents(logits.GetTensorRawData(), information.GetElementCount() * sizeof(float));
    return grpc::Status::OK;
  }

 private:
  Session session_;
};

std::string read(const char* name) {
  std::ifstream file(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::shared_ptr<grpc::ServerCredentials> credentials(int count, char** arguments) {
  if (count < 6) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({read(arguments[5]), read(arguments[4])});
  return grpc::SslServerCredentials(options);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) return 2;
  Service service(arguments[3]);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(std::string("127.0.0.1:") + arguments[1], credentials(count, arguments));
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (!server) return 1;
  server->Wait();
  return 0;
}
