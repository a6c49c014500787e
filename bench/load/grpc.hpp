// Unary gRPC calls over HTTP/2, one at a time on a connection.
#pragma once
#include "hpack.hpp"
#include "options.hpp"
#include "protocol.hpp"

class Grpc : public Protocol {
 public:
  Grpc(const Options& options, unsigned seed);
  std::string greeting() override;
  std::string request(const std::string& body) override;
  Found receive(std::string& data, std::string& answer) override;
  const std::string& message() const override { return message_; }

 private:
  Found on_frame(int kind, int flags, unsigned stream, std::string_view payload, std::string& answer);

  std::vector<Field> fields_;
  bool deadlines_;
  unsigned counter_;  // of deadlines: each differs from the one before
  HeaderEncoder headers_;
  unsigned stream_ = 0;
  std::string body_;     // of the reply that is coming
  std::string message_;  // of the last complete one
};
