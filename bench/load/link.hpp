// One connection: a TCP socket, in clear or under TLS with ALPN. Blocking until it is set up, then non-blocking.
#pragma once
#include <openssl/ssl.h>

#include <string>
#include <string_view>

class Link {
 public:
  // Connects and shakes hands. Throws std::runtime_error.
  Link(const std::string& host, int port, SSL_CTX* tls);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  int socket() const { return socket_; }
  // False when the peer has gone. What the socket does not take at once is waited for: requests are small.
  bool write(std::string_view data);
  // Appends what has come; false when the peer has gone.
  bool read(std::string& into);

 private:
  enum class Moved { some, none, gone };
  Moved push(const char* data, size_t size, size_t& moved);
  Moved pull(char* data, size_t size, size_t& moved);

  int socket_ = -1;
  SSL* tls_ = nullptr;
};

// A client's context that offers `protocol` by ALPN and trusts anybody: the certificate is the bench's own.
SSL_CTX* client_tls(const std::string& protocol);
