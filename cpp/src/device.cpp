#include "device.h"

#include <algorithm>
#include <iterator>

#include "cpu/cpu_engine.h"
#include "mps/mps_engine.h"
#include "reject.h"

namespace mpsmnist {
namespace {

struct Device {
  const char* name;
  Availability (*availability)();
  std::vector<Fact> (*describe)();
  std::unique_ptr<Engine> (*make)(const EngineOptions&);
};

/// Every device, best first. The last one is available everywhere.
constexpr Device kDevices[] = {
    {"mps", mps::availability, mps::describe, mps::make_engine},
    {"cpu", [] { return Availability(); }, cpu::describe, cpu::make_engine},
};

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

std::unique_ptr<Engine> make_engine(const std::string& name, const EngineOptions& options) {
  for (const Device& device : kDevices) {
    if (device.name != name) continue;
    const std::string reason = device.availability().unavailable;
    if (reason.empty()) return device.make(options);
    throw DeviceError("device \"" + name + "\" is not available: " + reason +
                      "; available: " + listed(devices(), "and"));
  }
  throw DeviceError("device \"" + name + "\" is not known");  // a name that resolve_device() did not return
}

}  // namespace mpsmnist
