#include "grpc.hpp"

namespace {

enum Kind { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoaway = 7, kWindowUpdate = 8 };
enum Flags { kAck = 1, kEndStream = 1, kEndHeaders = 4, kPadded = 8 };
constexpr size_t kFrameHead = 9, kMaxFrame = 16384, kPrefix = 5;
constexpr unsigned kLargestWindow = (1u << 31) - 1, kDefaultWindow = 65535;
constexpr unsigned kLongestMicroseconds = 19'000'000;

std::string big_endian(unsigned value, int bytes) {
  std::string out;
  for (int at = bytes - 1; at >= 0; --at) out += static_cast<char>(value >> (8 * at));
  return out;
}

unsigned read_big_endian(std::string_view data) {
  unsigned value = 0;
  for (const char one : data) value = value << 8 | static_cast<unsigned char>(one);
  return value;
}

std::string frame(Kind kind, int flags, unsigned stream, std::string_view payload) {
  std::string out = big_endian(static_cast<unsigned>(payload.size()), 3);
  out += static_cast<char>(kind);
  out += static_cast<char>(flags);
  out += big_endian(stream, 4);
  return out.append(payload);
}

}  // namespace

Grpc::Grpc(const Options& options, unsigned seed)
    : fields_{{":method", "POST"},
              {":scheme", options.tls ? "https" : "http"},
              {":path", options.path},
              {":authority", options.host + ":" + std::to_string(options.port)},
              {"content-type", options.content_type},
              {"user-agent", "grpc-go/1.60.0"},
              {"te", "trailers"}},
      deadlines_(options.deadlines),
      counter_(seed * 7919) {}

std::string Grpc::greeting() {
  const std::string no_push = big_endian(2, 2) + big_endian(0, 4);
  const std::string window = big_endian(4, 2) + big_endian(kLargestWindow, 4);
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, no_push + window) +
         frame(kWindowUpdate, 0, 0, big_endian(kLargestWindow - kDefaultWindow, 4));
}

std::string Grpc::request(const std::string& body) {
  stream_ = stream_ == 0 ? 1 : stream_ + 2;
  std::vector<Field> fields = fields_;
  if (deadlines_) fields.emplace_back("grpc-timeout", std::to_string(kLongestMicroseconds - counter_++ % 900'000) + "u");
  std::string out = frame(kHeaders, kEndHeaders, stream_, headers_.encode(fields));
  const std::string data = std::string(1, '\0') + big_endian(static_cast<unsigned>(body.size()), 4) + body;
  for (size_t at = 0; at < data.size(); at += kMaxFrame) {
    const bool last = at + kMaxFrame >= data.size();
    out += frame(kData, last ? kEndStream : 0, stream_, std::string_view(data).substr(at, kMaxFrame));
  }
  return out;
}

Protocol::Found Grpc::receive(std::string& data, std::string& answer) {
  size_t at = 0;
  Found found = Found::nothing;
  while (found == Found::nothing && data.size() - at >= kFrameHead) {
    const std::string_view head = std::string_view(data).substr(at, kFrameHead);
    const size_t length = read_big_endian(head.substr(0, 3));
    if (data.size() - at < kFrameHead + length) break;
    const auto payload = std::string_view(data).substr(at + kFrameHead, length);
    found = on_frame(head[3], head[4], read_big_endian(head.substr(5, 4)) & kLargestWindow, payload, answer);
    at += kFrameHead + length;
  }
  data.erase(0, at);
  return found;
}

Protocol::Found Grpc::on_frame(int kind, int flags, unsigned stream, std::string_view payload, std::string& answer) {
  if (kind == kSettings && !(flags & kAck)) answer += frame(kSettings, kAck, 0, "");
  if (kind == kPing && !(flags & kAck)) answer += frame(kPing, kAck, 0, payload);
  if (kind == kGoaway || kind == kReset) return Found::failure;
  if (stream != stream_ || (kind != kData && kind != kHeaders)) return Found::nothing;
  if (kind == kData) {
    if (flags & kPadded) payload = payload.substr(1, payload.size() - 1 - static_cast<unsigned char>(payload[0]));
    body_.append(payload);
  }
  if (!(flags & kEndStream)) return Found::nothing;
  // A unary call that failed has trailers and no message: no need to decode its grpc-status.
  const bool whole = body_.size() >= kPrefix && body_[0] == 0 &&
                     read_big_endian(std::string_view(body_).substr(1, 4)) == body_.size() - kPrefix;
  message_ = whole ? body_.substr(kPrefix) : "";
  body_.clear();
  return whole ? Found::reply : Found::failure;
}
