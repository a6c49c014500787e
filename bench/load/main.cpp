// A closed loop: each connection sends its next request when its reply has come, until the time is over. Warms up,
// measures, and prints one line of JSON: requests, errors, seconds, latencies and how busy the generator itself was.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <set>
#include <vector>

#include "grpc.hpp"
#include "http1.hpp"
#include "link.hpp"
#include "options.hpp"

namespace {

constexpr double kSilence = 15.0;  // a reply that takes longer never comes

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](timeval time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

struct Connection {
  std::unique_ptr<Link> link;
  std::unique_ptr<Protocol> protocol;
  std::string received;
  double sent_at = 0;
  bool busy = false;
  bool dead = false;
};

struct Counted {
  std::vector<double> latencies;
  long errors = 0;
  double seconds = 0;
  double cpu = 0;
};

class Loop {
 public:
  explicit Loop(const Options& options) : options_(options), poll_(epoll_create1(EPOLL_CLOEXEC)) {
    SSL_CTX* tls = options.tls ? client_tls(options.http1 ? "http/1.1" : "h2") : nullptr;
    connections_.resize(static_cast<size_t>(options.connections));
    for (size_t at = 0; at < connections_.size(); ++at) {
      Connection& one = connections_[at];
      one.link = std::make_unique<Link>(options.host, options.port, tls);
      if (options.http1) one.protocol = std::make_unique<Http1>(options);
      else one.protocol = std::make_unique<Grpc>(options, static_cast<unsigned>(at));
      one.link->write(one.protocol->greeting());
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &one;
      epoll_ctl(poll_, EPOLL_CTL_ADD, one.link->socket(), &event);
    }
  }

  // Requests for so long (or so many), then the replies that are still under way.
  Counted run(double seconds, long requests) {
    Counted counted;
    const double began = now(), cpu = cpu_seconds();
    ends_ = began + seconds;
    left_ = requests > 0 ? requests : -1;
    for (Connection& one : connections_) send(one, counted);
    double heard = now();
    while (waiting_ > 0) {
      epoll_event events[128];
      const int count = epoll_wait(poll_, events, 128, 1000);
      for (int at = 0; at < count; ++at) receive(*static_cast<Connection*>(events[at].data.ptr), counted);
      if (count > 0) heard = now();
      if (now() - heard > kSilence) {
        counted.errors += waiting_;
        break;
      }
    }
    counted.seconds = now() - began;
    counted.cpu = cpu_seconds() - cpu;
    return counted;
  }

 private:
  void send(Connection& one, Counted& counted) {
    if (one.dead || left_ == 0 || now() >= ends_) return;
    if (left_ > 0) --left_;
    const std::string data = one.protocol->request(options_.bodies[next_body_++ % options_.bodies.size()]);
    one.sent_at = now();
    one.busy = true;
    ++waiting_;
    if (!one.link->write(data)) lose(one, counted);
  }

  void receive(Connection& one, Counted& counted) {
    if (one.dead) return;
    const bool open = one.link->read(one.received);
    std::string answer;
    Protocol::Found found;
    while ((found = one.protocol->receive(one.received, answer)) != Protocol::Found::nothing) {
      finish(one, found, counted);
    }
    if (!answer.empty()) one.link->write(answer);
    if (!open) lose(one, counted);
  }

  void finish(Connection& one, Protocol::Found found, Counted& counted) {
    if (!one.busy) return;
    one.busy = false;
    --waiting_;
    const std::string& message = one.protocol->message();
    if (sizes_.empty()) keep(message);
    // Requests are of one form, so a message of another size is another kind of answer. Numbers in JSON vary in length.
    if (static_cast<int>(sizes_.size()) < options_.reply_sizes) sizes_.insert(message.size());
    const bool fits = options_.http1 || sizes_.count(message.size()) > 0;
    if (found == Protocol::Found::reply && fits)
      counted.latencies.push_back(now() - one.sent_at);
    else
      ++counted.errors;
    send(one, counted);
  }

  void keep(const std::string& message) {
    if (!options_.save_reply.empty()) std::ofstream(options_.save_reply, std::ios::binary) << message;
  }

  void lose(Connection& one, Counted& counted) {
    one.dead = true;
    epoll_ctl(poll_, EPOLL_CTL_DEL, one.link->socket(), nullptr);
    if (one.busy) --waiting_;
    one.busy = false;
    ++counted.errors;
  }

  const Options& options_;
  int poll_;
  std::vector<Connection> connections_;
  double ends_ = 0;
  long left_ = -1, waiting_ = 0;
  std::set<std::size_t> sizes_;  // of good replies
  size_t next_body_ = 0;
};

double percentile(const std::vector<double>& ordered, double share) {
  if (ordered.empty()) return 0;
  return ordered[std::min(ordered.size() - 1, static_cast<size_t>(share * static_cast<double>(ordered.size())))] * 1e6;
}

}  // namespace

int main(int count, char** arguments) try {
  const Options options = read_options(count, arguments);
  Loop loop(options);
  if (options.warmup_seconds > 0) loop.run(options.warmup_seconds, 0);
  if (options.wait) {
    std::puts("ready");
    std::fflush(stdout);
    if (std::getchar() == EOF) return 3;
  }
  Counted counted = loop.run(options.seconds, options.requests);
  std::sort(counted.latencies.begin(), counted.latencies.end());
  std::printf(
      "{\"requests\": %zu, \"errors\": %ld, \"seconds\": %.6f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
      "\"client_cpu_share\": %.3f}\n",
      counted.latencies.size(), counted.errors, counted.seconds, percentile(counted.latencies, 0.5),
      percentile(counted.latencies, 0.99), counted.cpu / counted.seconds);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "load: %s\n", error.what());
  return 1;
}
