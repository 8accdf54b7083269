#include "device.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "cpu/cpu_engine.h"
#include "model.h"
#include "mps/mps_engine.h"
#include "reject.h"

namespace mpsmnist {
namespace {

/// Where Apple's GPUs go wrong without an error:
/// - products whose inner dimension exceeds 32,766, on M1 and M2 (pytorch#195163). It is n in the gradients of the
///   weights of fc0 and fc1, and C in the gradient of what goes into fc1.
/// - gradients of convolutions at n = 65,536 (pytorch#96225).
/// - arrays of 2^32 bytes, an assertion that aborts (pytorch#143859): conv0's outputs from n = 42,800 on.
/// So n is the largest power of two below all three, as predictions are padded to powers of two. One more depends on n
/// and C at once:
/// - products (m,k) x (k,n) with 4 (m + 2 k) n >= 2^31 have bands of NaNs, on M1 and M2 (JuliaGPU/Metal.jl#381).
constexpr DeviceLimits kMpsLimits = {
    .max_batch_size = 16'384, .max_classes = 32'766, .max_product_bytes = (std::int64_t{1} << 31) - 1};
constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
constexpr DeviceLimits kNoLimits = {.max_batch_size = kAny, .max_classes = kAny, .max_product_bytes = kAny};

struct Device {
  const char* name;
  DeviceLimits limits;
  Availability (*availability)();
  std::vector<Fact> (*describe)();
  std::unique_ptr<Engine> (*make)(const EngineOptions&);
};

/// Every device, best first. The last one is available everywhere.
constexpr Device kDevices[] = {
    {"mps", kMpsLimits, mps::availability, mps::describe, mps::make_engine},
    {"cpu", kNoLimits, [] { return Availability(); }, cpu::describe, cpu::make_engine},
};

const Device& device_named(const std::string& name) {
  const auto* device =
      std::find_if(std::begin(kDevices), std::end(kDevices), [&](const Device& d) { return d.name == name; });
  if (device != std::end(kDevices)) return *device;
  throw DeviceError("device \"" + name + "\" is not known");  // a name that resolve_device() did not return
}

/// `"a", "b" or "c"`, for messages.
std::string listed(const std::vector<std::string>& names, const std::string& conjunction) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 < names.size() ? ", " : " " + conjunction + " ";
    text += "\"" + names[i] + "\"";
  }
  return text;
}

}  // namespace

std::vector<std::string> known_devices() {
  std::vector<std::string> names;
  for (const Device& device : kDevices) names.emplace_back(device.name);
  return names;
}

std::vector<std::string> devices() {
  std::vector<std::string> names, passed_over;
  for (const Device& device : kDevices) {
    const Availability availability = device.availability();
    if (!availability.unavailable.empty()) continue;
    (availability.passed_over.empty() ? names : passed_over).emplace_back(device.name);
  }
  names.insert(names.end(), passed_over.begin(), passed_over.end());
  return names;
}

std::vector<DeviceDescription> describe_devices() {
  std::vector<DeviceDescription> descriptions;
  for (const Device& device : kDevices) descriptions.push_back({device.name, device.describe()});
  return descriptions;
}

std::string resolve_device(const std::string& requested) {
  if (requested == "auto") return devices().front();
  std::vector<std::string> expected = known_devices();
  if (std::find(expected.begin(), expected.end(), requested) != expected.end()) return requested;
  expected.insert(expected.begin(), "auto");
  reject("device: \"", requested, "\" is not known; expected ", listed(expected, "or"));
}

/// The product that reaches max_product_bytes first is the gradient of fc1's weights, (1024,n) x (n,C). fc1's logits,
/// (n,1024) x (1024,C), are larger for n < 1024 alone, and then far below it with any C in range; so are all others.
std::int64_t DeviceLimits::largest_batch(int num_classes) const {
  const std::int64_t rows = max_product_bytes / static_cast<std::int64_t>(sizeof(float)) / num_classes;  // 1024 + 2 n
  return std::min(max_batch_size, (rows - kHidden) / 2);
}

DeviceLimits device_limits(const std::string& name) { return device_named(name).limits; }

std::unique_ptr<Engine> make_engine(const std::string& name, const EngineOptions& options) {
  const Device& device = device_named(name);
  const std::string reason = device.availability().unavailable;
  if (reason.empty()) return device.make(options);
  throw DeviceError("device \"" + name + "\" is not available: " + reason + "; available: " + listed(devices(), "and"));
}

}  // namespace mpsmnist
