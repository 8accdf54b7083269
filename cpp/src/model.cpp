#include "model.h"

#include <functional>
#include <numeric>

#include "reject.h"

namespace mpsmnist {

namespace {

constexpr int kMinClasses = 2;
constexpr int kMaxClasses = 100'000;

}  // namespace

std::vector<Parameter> model_parameters(std::int64_t num_classes) {
  if (num_classes < kMinClasses || num_classes > kMaxClasses) {
    reject("num_classes: ", num_classes, "; expected ", kMinClasses, " to ", kMaxClasses);
  }
  std::vector<Parameter> parameters = {
      {"conv0.weight", {kKernelSide, kKernelSide, 1, kConv0Channels}},
      {"conv0.bias", {kConv0Channels}},
      {"conv1.weight", {kKernelSide, kKernelSide, kConv0Channels, kConv1Channels}},
      {"conv1.bias", {kConv1Channels}},
      {"fc0.weight", {kFlat, kHidden}},
      {"fc0.bias", {kHidden}},
      {"fc1.weight", {kHidden, num_classes}},
      {"fc1.bias", {num_classes}},
  };
  std::int64_t offset = 0;
  for (Parameter& parameter : parameters) {
    parameter.size =
        std::accumulate(parameter.shape.begin(), parameter.shape.end(), std::int64_t{1}, std::multiplies<>());
    parameter.offset = offset;
    offset += parameter.size;
  }
  return parameters;
}

std::int64_t total_size(const std::vector<Parameter>& parameters) {
  return parameters.back().offset + parameters.back().size;
}

}  // namespace mpsmnist
