#include "mode.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "fatal.h"

namespace objc_host {
namespace {

struct Choice {
  const char* name;
  std::array<const char*, 3> words;  // the default first
};

// In the order of Mode::Name, and their words in that of the enums.
constexpr std::array kChoices = {
    Choice{"ties", {"first", "last", "shared"}},
    Choice{"gradients", {"stated", "kept-rank", "unknown"}},
    Choice{"fast-math", {"present", "absent"}},
    Choice{"loss-rank", {"0", "1"}},
};

}  // namespace

Mode Mode::of_environment() {
  Mode mode;
  if (const char* words = std::getenv("MPSMNIST_OBJC_HOST_MODE")) mode.choose(words);
  return mode;
}

std::size_t Mode::index_of(const std::string& name) {
  static_assert(kChoices.size() == kNames);
  const auto choice = std::find_if(kChoices.begin(), kChoices.end(), [&](const Choice& c) { return name == c.name; });
  if (choice == kChoices.end()) fail("mode: no choice is called '" + name + "'");
  return static_cast<std::size_t>(choice - kChoices.begin());
}

void Mode::choose(const std::string& words) {
  std::istringstream stream(words);
  for (std::string pair; std::getline(stream, pair, ',');) {
    const std::size_t equals = pair.find('=');
    const std::size_t index = index_of(pair.substr(0, equals));
    const std::string given = equals == std::string::npos ? "" : pair.substr(equals + 1);
    const auto& known = kChoices[index].words;
    const auto word =
        std::find_if(known.begin(), known.end(), [&](const char* w) { return w != nullptr && given == w; });
    if (word == known.end()) fail("mode: '" + pair + "' is not known");
    chosen_[index] = static_cast<std::size_t>(word - known.begin());
  }
}

const char* Mode::word(const std::string& name) const {
  const std::size_t index = index_of(name);
  return kChoices[index].words[chosen_[index]];
}

}  // namespace objc_host
