#include "model.h"

#include <functional>
#include <numeric>

namespace mpsmnist {

std::vector<Parameter> model_parameters(int num_classes) {
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
