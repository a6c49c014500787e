// What a connection speaks: it makes requests, and finds the ends of replies in the bytes that come. No I/O.
#pragma once
#include <string>
#include <string_view>

class Protocol {
 public:
  enum class Found { nothing, reply, failure };

  virtual ~Protocol() = default;
  // Sent once, before the first request.
  virtual std::string greeting() = 0;
  virtual std::string request(const std::string& body) = 0;
  // Takes one reply (or what there is of it) off the front of `data`; `answer` is to be sent back at once.
  virtual Found receive(std::string& data, std::string& answer) = 0;
  // The message of the reply found last.
  virtual const std::string& message() const = 0;
};
