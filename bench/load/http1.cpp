#include "http1.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

namespace {

// The value of a header in the lower-cased `head`; empty without it.
std::string header(const std::string& head, const std::string& name) {
  const size_t at = head.find("\r\n" + name + ":");
  if (at == std::string::npos) return "";
  const size_t start = head.find_first_not_of(' ', at + name.size() + 3);
  return head.substr(start, head.find("\r\n", start) - start);
}

// Where a chunked body that starts at `at` ends, its content in `into`; nothing while it is incomplete.
std::optional<size_t> read_chunks(const std::string& data, size_t at, std::string& into) {
  for (;;) {
    const size_t line = data.find("\r\n", at);
    if (line == std::string::npos) return std::nullopt;
    const size_t size = std::stoul(data.substr(at, line - at), nullptr, 16);
    at = line + 2;
    if (data.size() < at + size + 2) return std::nullopt;
    into.append(data, at, size);
    at += size + 2;
    if (size == 0) return at;
  }
}

}  // namespace

Http1::Http1(const Options& options)
    : head_("POST " + options.path + " HTTP/1.1\r\nHost: " + options.host + ":" + std::to_string(options.port) +
            "\r\nContent-Type: " + options.content_type + "\r\n") {
  for (const std::string& line : options.headers) head_ += line + "\r\n";
}

std::string Http1::request(const std::string& body) {
  return head_ + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

Protocol::Found Http1::receive(std::string& data, std::string&) {
  const size_t end = data.find("\r\n\r\n");
  if (end == std::string::npos) return Found::nothing;
  std::string head = data.substr(0, end + 2);
  std::transform(head.begin(), head.end(), head.begin(), [](unsigned char one) { return std::tolower(one); });
  const size_t start = end + 4;
  std::string body;
  size_t after = 0;
  if (header(head, "transfer-encoding") == "chunked") {
    const auto ends = read_chunks(data, start, body);
    if (!ends) return Found::nothing;
    after = *ends;
  } else {
    const std::string length = header(head, "content-length");
    after = start + (length.empty() ? 0 : std::stoul(length));
    if (data.size() < after) return Found::nothing;
    body = data.substr(start, after - start);
  }
  data.erase(0, after);
  message_ = body;
  return head.rfind("http/1.1 200", 0) == 0 ? Found::reply : Found::failure;
}
