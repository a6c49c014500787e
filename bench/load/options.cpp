#include "options.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

namespace {

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "load: %s\n", why.c_str());
  std::exit(2);
}

std::string read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) refuse("cannot read " + name);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

}  // namespace

Options read_options(int count, char** arguments) {
  Options options;
  const std::map<std::string, bool*> flags = {{"--tls", &options.tls},
                                              {"--http1", &options.http1},
                                              {"--deadlines", &options.deadlines},
                                              {"--wait", &options.wait}};
  const std::map<std::string, std::function<void(const std::string&)>> values = {
      {"--host", [&](auto& text) { options.host = text; }},
      {"--port", [&](auto& text) { options.port = std::stoi(text); }},
      {"--connections", [&](auto& text) { options.connections = std::stoi(text); }},
      {"--seconds", [&](auto& text) { options.seconds = std::stod(text); }},
      {"--warmup", [&](auto& text) { options.warmup_seconds = std::stod(text); }},
      {"--requests", [&](auto& text) { options.requests = std::stol(text); }},
      {"--path", [&](auto& text) { options.path = text; }},
      {"--content-type", [&](auto& text) { options.content_type = text; }},
      {"--header", [&](auto& text) { options.headers.push_back(text); }},
      {"--body", [&](auto& text) { options.bodies.push_back(read_file(text)); }},
      {"--reply-sizes", [&](auto& text) { options.reply_sizes = std::stoi(text); }},
      {"--save-reply", [&](auto& text) { options.save_reply = text; }},
  };
  for (int at = 1; at < count; ++at) {
    const std::string name = arguments[at];
    if (auto flag = flags.find(name); flag != flags.end()) {
      *flag->second = true;
    } else if (auto value = values.find(name); value != values.end() && at + 1 < count) {
      value->second(arguments[++at]);
    } else {
      refuse("unknown or incomplete argument " + name);
    }
  }
  if (options.port == 0 || options.path.empty() || options.bodies.empty() || options.connections < 1)
    refuse("--port, --path, --body and at least one connection are needed");
  return options;
}
