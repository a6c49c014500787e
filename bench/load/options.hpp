// What the generator is told: `load --port 8001 --connections 16 --seconds 0.8 --body request.bin …`.
#pragma once
#include <string>
#include <vector>

struct Options {
  std::string host = "127.0.0.1";
  int port = 0;
  int connections = 1;
  double seconds = 1.0;      // measured time
  double warmup_seconds = 0.2;
  long requests = 0;         // stop after so many (0: by time alone)
  bool tls = false;
  bool http1 = false;        // HTTP/1.1 POST instead of a gRPC call
  bool deadlines = false;    // gRPC: a grpc-timeout that differs per call
  bool wait = false;         // after warming up print "ready" and wait for a line
  std::string path;
  std::string content_type = "application/grpc";
  std::vector<std::string> headers;  // HTTP/1.1: further lines "name: value"
  std::vector<std::string> bodies;   // request messages, taken in turn
  int reply_sizes = 1;               // how many sizes good replies have, each kind of answer its own
  std::string save_reply;            // file for the first reply's message
};

// Ends the process with a message when an argument is unknown or a file cannot be read.
Options read_options(int count, char** arguments);
