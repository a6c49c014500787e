#include "hpack.hpp"

namespace {

constexpr size_t kTableBytes = 4096, kEntryBytes = 32, kStaticEntries = 61;
constexpr int kIndexed = 0x80, kIndexedBits = 7, kInserted = 0x40, kInsertedBits = 6;

// The entries of the static table that a gRPC request needs, by index (RFC 7541, appendix A).
const std::pair<size_t, Field> kStatic[] = {{1, {":authority", ""}},    {3, {":method", "POST"}}, {4, {":path", "/"}},
                                            {6, {":scheme", "http"}},   {7, {":scheme", "https"}}, {31, {"content-type", ""}},
                                            {58, {"user-agent", ""}}};

std::string number(int first, int bits, size_t value) {
  const size_t most = (size_t{1} << bits) - 1;
  if (value < most) return std::string(1, static_cast<char>(first | static_cast<int>(value)));
  std::string out(1, static_cast<char>(first | static_cast<int>(most)));
  for (value -= most; value >= 128; value >>= 7) out += static_cast<char>((value & 127) | 128);
  return out + static_cast<char>(value);
}

std::string text(const std::string& value) { return number(0, 7, value.size()) + value; }

}  // namespace

std::string HeaderEncoder::encode(const std::vector<Field>& fields) {
  std::string block;
  for (const Field& field : fields) block += encode(field);
  return block;
}

std::string HeaderEncoder::encode(const Field& field) {
  size_t name = 0;
  for (const auto& [index, known] : kStatic) {
    if (known == field) return number(kIndexed, kIndexedBits, index);
    if (known.first == field.first && name == 0) name = index;
  }
  for (size_t at = 0; at < table_.size(); ++at) {
    if (table_[at] == field) return number(kIndexed, kIndexedBits, kStaticEntries + 1 + at);
    if (table_[at].first == field.first && name == 0) name = kStaticEntries + 1 + at;
  }
  std::string out = number(kInserted, kInsertedBits, name);
  if (name == 0) out += text(field.first);
  insert(field);
  return out + text(field.second);
}

void HeaderEncoder::insert(const Field& field) {
  table_bytes_ += field.first.size() + field.second.size() + kEntryBytes;
  table_.push_front(field);
  while (table_bytes_ > kTableBytes) {
    table_bytes_ -= table_.back().first.size() + table_.back().second.size() + kEntryBytes;
    table_.pop_back();
  }
}
