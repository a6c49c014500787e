// HTTP/1.1 POSTs with keep-alive, one at a time on a connection.
#pragma once
#include "options.hpp"
#include "protocol.hpp"

class Http1 : public Protocol {
 public:
  explicit Http1(const Options& options);
  std::string greeting() override { return ""; }
  std::string request(const std::string& body) override;
  Found receive(std::string& data, std::string& answer) override;
  const std::string& message() const override { return message_; }

 private:
  std::string head_;
  std::string message_;
};
