// Header compression as grpc-go does it: every field goes into the dynamic table, whatever it holds (RFC 7541).
#pragma once
#include <deque>
#include <string>
#include <utility>
#include <vector>

using Field = std::pair<std::string, std::string>;

class HeaderEncoder {
 public:
  std::string encode(const std::vector<Field>& fields);

 private:
  std::string encode(const Field& field);
  void insert(const Field& field);

  std::deque<Field> table_;  // newest first
  size_t table_bytes_ = 0;
};
