#include "mps/device.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fork.h"
#include "mps/mps_engine.h"

namespace mpsmnist::mps {
namespace {

struct Family {
  const char* name;
  NSInteger number;  // of MTLGPUFamily, whose newest values older SDKs lack
};

constexpr Family kFamilies[] = {
    {"Apple5", 1005},  {"Apple6", 1006}, {"Apple7", 1007},  {"Apple8", 1008}, {"Apple9", 1009},
    {"Apple10", 1010}, {"Mac2", 2002},   {"Common3", 3003}, {"Metal3", 5001}, {"Metal4", 5002},
};

/// A GPU, and what speaks against it.
struct Candidate {
  id<MTLDevice> gpu;
  std::string refused;      ///< why it cannot be used at all
  std::string passed_over;  ///< why "auto" does not take it
};

/// The GPU to use, nil if there is none, and what is to be said of the others.
struct Choice {
  Candidate best;
  std::string others;
};

std::string joined(const std::string& list, const std::string& item, const char* separator) {
  return list + (list.empty() ? "" : separator) + item;
}

std::string families_of(id<MTLDevice> gpu) {
  std::string names;
  for (const Family& family : kFamilies) {
    if ([gpu supportsFamily:static_cast<MTLGPUFamily>(family.number)]) names = joined(names, family.name, ", ");
  }
  return names.empty() ? "none known" : names;
}

std::string named(id<MTLDevice> gpu) { return "the GPU \"" + text_of(gpu.name) + "\""; }

Candidate judged(id<MTLDevice> gpu) {
  const std::string name = named(gpu);
  // The engine reads and writes GPU buffers in place, so the GPU must share the host's memory.
  if (!gpu.hasUnifiedMemory) {
    return {gpu,
            name + " has memory of its own, and device \"mps\" needs one that shares the host's, as on Apple silicon",
            ""};
  }
  // Apple7 is the M1's. Intel's GPUs have no Apple family, and a virtual machine's has older ones.
  if (![gpu supportsFamily:MTLGPUFamilyApple7]) {
    return {gpu, "",
            name + " is not one of Apple silicon (its families: " + families_of(gpu) +
                "): a virtual machine's or Intel's, which is used only when device \"mps\" is asked for by name"};
  }
  return {gpu, "", ""};
}

/// The default GPU first: Metal has none for a process without a window server, as under ssh or launchd.
std::vector<Candidate> candidates() {
  std::vector<Candidate> found;
  const auto add = [&](id<MTLDevice> gpu) {
    const auto known = [gpu](const Candidate& each) { return each.gpu.registryID == gpu.registryID; };
    if (std::none_of(found.begin(), found.end(), known)) found.push_back(judged(gpu));
  };
  if (id<MTLDevice> preferred = MTLCreateSystemDefaultDevice()) add(preferred);
  for (id<MTLDevice> gpu in MTLCopyAllDevices()) add(gpu);
  return found;
}

std::string why_not(const Candidate& other, const Candidate& best) {
  if (!other.refused.empty()) return other.refused;
  if (!other.passed_over.empty() && best.passed_over.empty()) return other.passed_over;
  return named(other.gpu) + " comes after the one taken";
}

Choice choose_gpu() {
  const std::vector<Candidate> all = candidates();
  Choice choice;
  for (const Candidate& each : all) {
    if (!each.refused.empty()) continue;
    if (choice.best.gpu == nil || (each.passed_over.empty() && !choice.best.passed_over.empty())) choice.best = each;
  }
  for (const Candidate& each : all) {
    if (each.gpu != choice.best.gpu) choice.others = joined(choice.others, why_not(each, choice.best), "; ");
  }
  if (choice.best.gpu == nil) {
    choice.best.refused = choice.others.empty() ? "Metal found no GPU on this machine" : choice.others;
  }
  return choice;
}

/// Why Metal must not even be asked; empty if it may.
std::string objection_of_process() {
  static const std::uint64_t forks = fork_count();  // when this process, or its parent, first used Metal
  return fork_count() == forks ? "" : "Metal cannot be used in a forked child: start processes by spawning them";
}

std::vector<Fact> facts_of(const Choice& choice) {
  if (choice.best.gpu == nil) return {{"unavailable", choice.best.refused}};
  id<MTLDevice> gpu = choice.best.gpu;
  std::vector<Fact> facts = {{"gpu", text_of(gpu.name)},
                             {"families", families_of(gpu)},
                             {"unified_memory", "yes"},
                             {"working_set_bytes", std::to_string(gpu.recommendedMaxWorkingSetSize)}};
  if (!choice.best.passed_over.empty()) facts.emplace_back("passed_over", choice.best.passed_over);
  if (!choice.others.empty()) facts.emplace_back("other_gpus", choice.others);
  NSBundle* framework = [NSBundle bundleForClass:[MPSGraph class]];
  if (NSString* version = [framework objectForInfoDictionaryKey:@"CFBundleVersion"]) {
    facts.emplace_back("mpsgraph", text_of(version));
  }
  return facts;
}

}  // namespace

Availability availability() {
  if (const std::string objection = objection_of_process(); !objection.empty()) {
    return {.unavailable = objection, .passed_over = ""};
  }
  try {
    return with_autorelease_pool([]() -> Availability {
      const Choice choice = choose_gpu();
      return {.unavailable = choice.best.refused, .passed_over = choice.best.passed_over};
    });
  } catch (const DeviceError& error) {  // an exception of Metal's
    return {.unavailable = error.what(), .passed_over = ""};
  }
}

std::vector<Fact> describe() {
  if (const std::string objection = objection_of_process(); !objection.empty()) return {{"unavailable", objection}};
  try {
    return with_autorelease_pool([] { return facts_of(choose_gpu()); });
  } catch (const DeviceError& error) {
    return {{"unavailable", error.what()}};
  }
}

Device open_device() {
  const Choice choice = choose_gpu();
  if (choice.best.gpu == nil) {
    throw DeviceError("[mps device] " + choice.best.refused);
  }
  Device device;
  device.metal = choice.best.gpu;
  device.queue = require([device.metal newCommandQueue], "[mps device] Metal returned no command queue");
  device.graph = require([MPSGraphDevice deviceWithMTLDevice:device.metal], "[mps device] MPSGraph refused the GPU");
  device.counters = std::make_shared<Counters>();
  return device;
}

}  // namespace mpsmnist::mps
