// The floor: a network run in a loop, nothing else. Each line on standard input asks for a round of so many seconds and
// is answered by a line of JSON: runs, CPU time and latencies.
// Arguments: MODEL INPUT (the bytes of one row) DATATYPE (FP32, INT64) SIZE... (of one row, without the batch axis)
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "session.hpp"

namespace {

double seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) return 2;
  std::ifstream file(arguments[2], std::ios::binary);
  const std::string input{std::istreambuf_iterator<char>(file), {}};
  const bool is_float = std::string(arguments[3]) == "FP32";
  const auto type = is_float ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  std::vector<int64_t> shape{1};
  for (int at = 4; at < count; ++at) shape.push_back(std::stoll(arguments[at]));
  Session session(arguments[1]);
  std::puts("ready");
  std::fflush(stdout);
  double wanted = 0;
  while (std::cin >> wanted) {
    std::vector<double> runs;
    const double began = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    double before = began;
    while (before - began < wanted) {
      session.run(input.data(), input.size(), shape, type);
      const double after = seconds(CLOCK_MONOTONIC);
      runs.push_back(after - before);
      before = after;
    }
    const double used = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, took = before - began;
    std::sort(runs.begin(), runs.end());
    const auto at = [&](double share) { return runs[static_cast<size_t>(share * static_cast<double>(runs.size() - 1))] * 1e6; };
    const auto made = static_cast<double>(runs.size());
    std::printf("{\"cpu_us_per_request\": %.3f, \"p50_us\": %.3f, \"p99_us\": %.3f, \"rps\": %.1f, \"errors\": 0}\n",
                used / made * 1e6, at(0.5), at(0.99), made / took);
    std::fflush(stdout);
  }
  return 0;
}
