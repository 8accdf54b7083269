#include "device.h"

#include "cpu/cpu_engine.h"
#include "mps/mps_engine.h"
#include "reject.h"

namespace mpsmnist {

std::vector<std::string> known_devices() { return {"mps", "cpu"}; }

std::vector<std::string> devices() {
  if (mps::unavailable_reason().empty()) return {"mps", "cpu"};
  return {"cpu"};
}

std::string resolve_device(const std::string& requested) {
  if (requested == "auto") return devices().front();
  if (requested == "mps" || requested == "cpu") return requested;
  reject("device: \"", requested, "\" is not known; expected \"auto\", \"mps\" or \"cpu\"");
}

std::unique_ptr<Engine> make_engine(const std::string& device, const EngineOptions& options) {
  if (device == "cpu") return cpu::make_engine(options);
  const std::string reason = mps::unavailable_reason();
  if (!reason.empty()) throw DeviceError("device \"mps\" is not available: " + reason + "; \"cpu\" is");
  return mps::make_engine(options);
}

}  // namespace mpsmnist
