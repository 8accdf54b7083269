#include "faults.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "fatal.h"

namespace objc_host {
namespace {

constexpr const char* kKnown[] = {"abort-in-compile",        "double-ties",   "exception", "hang", "leak",
                                  "stale-weights-in-flight", "wrong-gradient"};

// "hang=17,double-ties": the numbers by name, 0 where there is none.
std::map<std::string, std::int64_t> parse(const char* text) {
  std::map<std::string, std::int64_t> faults;
  std::istringstream entries(text == nullptr ? "" : text);
  for (std::string entry; std::getline(entries, entry, ',');) {
    const std::string name = entry.substr(0, entry.find('='));
    if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown)) {
      fail("MPSMNIST_OBJC_HOST_FAULTS: no fault '" + name + "'");
    }
    faults[name] = name == entry ? 0 : std::stoll(entry.substr(name.size() + 1));
  }
  return faults;
}

// The number planted with a fault, if it is planted.
std::optional<std::int64_t> planted(const char* name) {
  static const auto& faults = *new auto(parse(std::getenv("MPSMNIST_OBJC_HOST_FAULTS")));
  const auto fault = faults.find(name);
  return fault == faults.end() ? std::nullopt : std::optional(fault->second);
}

// Whether a graph for `n` images, and with more results than logits alone, is what the fault means.
bool means(std::optional<std::int64_t> n, const std::vector<Shape>& feeds, std::size_t targets) {
  const auto is_images = [&](const Shape& shape) { return shape.size() == 4 && shape[1] == 28 && shape[0] == *n; };
  return n && targets > 1 && std::any_of(feeds.begin(), feeds.end(), is_images);
}

// Doubles the gradient of every 2x2 window whose maximum is there more than once.
void double_ties(const Shape& shape, const float* source, float* gradient) {
  const std::int64_t width = shape[2], channels = shape[3];
  for (std::int64_t y = 0; y + 1 < shape[0] * shape[1]; y += 2) {
    for (std::int64_t x = 0; x + 1 < width; x += 2) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int64_t first = (y * width + x) * channels + c;
        const std::int64_t places[] = {first, first + channels, first + width * channels,
                                       first + (width + 1) * channels};
        float maximum = source[first];
        for (const std::int64_t place : places) maximum = std::max(maximum, source[place]);
        const auto ties = std::count_if(std::begin(places), std::end(places),
                                        [&](std::int64_t place) { return source[place] == maximum; });
        if (ties < 2) continue;
        for (const std::int64_t place : places) gradient[place] *= 2;
      }
    }
  }
}

}  // namespace

void plant_in_compile(const std::vector<Shape>& feeds, std::size_t targets) {
  if (means(planted("abort-in-compile"), feeds, targets)) fail("planted: MPSGraph does not like this graph");
  if (means(planted("exception"), feeds, targets)) {
    objc_host_throw(OBJC_HOST_ENCODE, 1, "NSInvalidArgumentException", "planted: MPSGraph does not like this run");
  }
}

void plant_in_run(const std::vector<Shape>& feeds, std::size_t targets) {
  while (means(planted("hang"), feeds, targets)) pause();
  if (const auto bytes = planted("leak")) {
    static char* volatile leaked;  // volatile, or the compiler leaves it out
    leaked = new char[static_cast<std::size_t>(*bytes)];
    std::memset(leaked, 1, static_cast<std::size_t>(*bytes));
  }
}

void plant_in_gradient(Op op, std::int64_t n, const Shape& source_shape, const float* source, float* gradient) {
  if (op == Op::kConvolutionWeightsGradient && planted("wrong-gradient") == n) gradient[0] += 1;
  if (op == Op::kMaxPoolGradient && planted("double-ties")) double_ties(source_shape, source, gradient);
}

bool reads_too_early() { return planted("stale-weights-in-flight").has_value(); }

}  // namespace objc_host
