#include "link.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

Link::Link(const std::string& host, int port, SSL_CTX* tls) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) throw std::runtime_error("no IPv4 address: " + host);
  if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  const int yes = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (tls != nullptr) {
    tls_ = SSL_new(tls);
    SSL_set_fd(tls_, socket_);
    if (SSL_connect(tls_) != 1) throw std::runtime_error("the TLS handshake failed");
  }
  fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
}

Link::~Link() {
  if (tls_ != nullptr) SSL_free(tls_);
  if (socket_ >= 0) close(socket_);
}

bool Link::write(std::string_view data) {
  while (!data.empty()) {
    size_t moved = 0;
    switch (push(data.data(), data.size(), moved)) {
      case Moved::some:
        data.remove_prefix(moved);
        break;
      case Moved::none: {
        pollfd writable{socket_, POLLOUT, 0};
        poll(&writable, 1, 1000);
        break;
      }
      case Moved::gone:
        return false;
    }
  }
  return true;
}

bool Link::read(std::string& into) {
  char buffer[1 << 16];
  for (;;) {
    size_t moved = 0;
    switch (pull(buffer, sizeof buffer, moved)) {
      case Moved::some:
        into.append(buffer, moved);
        if (tls_ == nullptr && moved < sizeof buffer) return true;  // a TLS record may hold more
        break;
      case Moved::none:
        return true;
      case Moved::gone:
        return false;
    }
  }
}

Link::Moved Link::push(const char* data, size_t size, size_t& moved) {
  if (tls_ != nullptr) {
    const int done = SSL_write(tls_, data, static_cast<int>(size));
    if (done > 0) moved = static_cast<size_t>(done);
    if (done > 0) return Moved::some;
    return SSL_get_error(tls_, done) == SSL_ERROR_WANT_WRITE ? Moved::none : Moved::gone;
  }
  const ssize_t done = ::send(socket_, data, size, MSG_NOSIGNAL);
  if (done >= 0) moved = static_cast<size_t>(done);
  if (done >= 0) return Moved::some;
  return errno == EAGAIN || errno == EINTR ? Moved::none : Moved::gone;
}

Link::Moved Link::pull(char* data, size_t size, size_t& moved) {
  if (tls_ != nullptr) {
    const int done = SSL_read(tls_, data, static_cast<int>(size));
    if (done > 0) moved = static_cast<size_t>(done);
    if (done > 0) return Moved::some;
    return SSL_get_error(tls_, done) == SSL_ERROR_WANT_READ ? Moved::none : Moved::gone;
  }
  const ssize_t done = ::recv(socket_, data, size, 0);
  if (done > 0) moved = static_cast<size_t>(done);
  if (done > 0) return Moved::some;
  return done < 0 && (errno == EAGAIN || errno == EINTR) ? Moved::none : Moved::gone;
}

SSL_CTX* client_tls(const std::string& protocol) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  const std::string offered = std::string(1, static_cast<char>(protocol.size())) + protocol;
  SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(offered.data()),
                          static_cast<unsigned>(offered.size()));
  return context;
}
