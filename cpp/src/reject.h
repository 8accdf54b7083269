// One way to refuse an argument: an ArgumentError, or a kind of it, whose text is put together from strings and
// numbers.
#pragma once

#include <cstdio>
#include <string>
#include <type_traits>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

/// Throws the error with the parts joined; numbers are written as %g or in full when they are integers.
template <typename Refusal = ArgumentError, typename... Parts>
[[noreturn]] void reject(const Parts&... parts) {
  std::string text;
  const auto append = [&text](const auto& part) {
    using Part = std::decay_t<decltype(part)>;
    if constexpr (std::is_floating_point_v<Part>) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%g", static_cast<double>(part));
      text += digits;
    } else if constexpr (std::is_arithmetic_v<Part>) {
      text += std::to_string(part);
    } else {
      text += part;
    }
  };
  (append(parts), ...);
  throw Refusal(text);
}

}  // namespace mpsmnist
