// Plain scalar versions of every kernel, for tests: float for the same arithmetic without vectors, double as the truth.
// They work on the natural layouts (NHWC, HWIO) and share nothing with the kernels but the network's dimensions.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mpsmnist::cpu::reference {

/// A 5x5 SAME convolution of one (side, side, in) image, HWIO weights.
template <typename Real>
struct Convolution {
  int side;
  std::size_t in;
  std::size_t out;

  std::size_t tap(int ky, int kx) const { return static_cast<std::size_t>(ky * 5 + kx) * in * out; }
  std::size_t pixel(int y, int x, std::size_t channels) const {
    return static_cast<std::size_t>(y * side + x) * channels;
  }

  /// Calls visit(output pixel, input pixel, tap offset) for every product of positions inside the image.
  template <typename Visit>
  void for_each_tap(Visit visit) const {
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        for (int ky = 0; ky < 5; ++ky) {
          for (int kx = 0; kx < 5; ++kx) {
            const int from_y = y + ky - 2;
            const int from_x = x + kx - 2;
            if (from_y < 0 || from_y >= side || from_x < 0 || from_x >= side) continue;
            visit(pixel(y, x, out), pixel(from_y, from_x, in), tap(ky, kx));
          }
        }
      }
    }
  }

  /// (side, side, out), bias added.
  std::vector<Real> forward(const std::vector<Real>& input, const std::vector<Real>& weight,
                            const std::vector<Real>& bias) const {
    std::vector<Real> output(static_cast<std::size_t>(side * side) * out);
    for (std::size_t i = 0; i < output.size(); ++i) output[i] = bias[i % out];
    for_each_tap([&](std::size_t to, std::size_t from, std::size_t taps) {
      for (std::size_t i = 0; i < in; ++i) {
        for (std::size_t o = 0; o < out; ++o) output[to + o] += input[from + i] * weight[taps + i * out + o];
      }
    });
    return output;
  }

  std::vector<Real> input_gradient(const std::vector<Real>& gradient, const std::vector<Real>& weight) const {
    std::vector<Real> result(static_cast<std::size_t>(side * side) * in);
    for_each_tap([&](std::size_t to, std::size_t from, std::size_t taps) {
      for (std::size_t i = 0; i < in; ++i) {
        for (std::size_t o = 0; o < out; ++o) result[from + i] += gradient[to + o] * weight[taps + i * out + o];
      }
    });
    return result;
  }

  std::vector<Real> weight_gradient(const std::vector<Real>& gradient, const std::vector<Real>& input) const {
    std::vector<Real> result(25 * in * out);
    for_each_tap([&](std::size_t to, std::size_t from, std::size_t taps) {
      for (std::size_t i = 0; i < in; ++i) {
        for (std::size_t o = 0; o < out; ++o) result[taps + i * out + o] += gradient[to + o] * input[from + i];
      }
    });
    return result;
  }
};

/// ReLU, then 2x2 max-pool; ties go to the first maximum in row-major order.
template <typename Real>
struct Pooled {
  std::vector<Real> values;         ///< (side/2, side/2, channels)
  std::vector<std::uint8_t> codes;  ///< the winner of each window, 0..3; 4 where ReLU let nothing through
};

template <typename Real>
Pooled<Real> relu_and_pool(const std::vector<Real>& input, int side, int channels) {
  Pooled<Real> result;
  for (int y = 0; y < side; y += 2) {
    for (int x = 0; x < side; x += 2) {
      for (int c = 0; c < channels; ++c) {
        Real best = 0;
        std::uint8_t code = 4;
        for (int i = 0; i < 4; ++i) {
          const Real value = input[static_cast<std::size_t>(((y + i / 2) * side + x + i % 2) * channels + c)];
          if (value > best) {
            best = value;
            code = static_cast<std::uint8_t>(i);
          }
        }
        result.values.push_back(best);
        result.codes.push_back(code);
      }
    }
  }
  return result;
}

/// The gradient of relu_and_pool's input, (side, side, channels).
template <typename Real>
std::vector<Real> unpool(const std::vector<Real>& gradient, const std::vector<std::uint8_t>& codes, int side,
                         int channels) {
  std::vector<Real> result(static_cast<std::size_t>(side * side * channels));
  for (int cell = 0; cell < side * side / 4; ++cell) {
    const int y = cell / (side / 2) * 2;
    const int x = cell % (side / 2) * 2;
    for (int c = 0; c < channels; ++c) {
      const auto at = static_cast<std::size_t>(cell * channels + c);
      const int code = codes[at];
      if (code == 4) continue;
      result[static_cast<std::size_t>(((y + code / 2) * side + x + code % 2) * channels + c)] = gradient[at];
    }
  }
  return result;
}

/// x (n, in) * weight (in, out) + bias.
template <typename Real>
std::vector<Real> dense(const std::vector<Real>& x, const std::vector<Real>& weight, const std::vector<Real>& bias,
                        std::size_t n) {
  const std::size_t out = bias.size();
  const std::size_t in = weight.size() / out;
  std::vector<Real> y(n * out);
  for (std::size_t b = 0; b < n; ++b) {
    for (std::size_t o = 0; o < out; ++o) y[b * out + o] = bias[o];
    for (std::size_t i = 0; i < in; ++i) {
      for (std::size_t o = 0; o < out; ++o) y[b * out + o] += x[b * in + i] * weight[i * out + o];
    }
  }
  return y;
}

/// gradient (n, out) * weight^T: (n, in).
template <typename Real>
std::vector<Real> dense_input_gradient(const std::vector<Real>& gradient, const std::vector<Real>& weight,
                                       std::size_t n) {
  const std::size_t out = gradient.size() / n;
  const std::size_t in = weight.size() / out;
  std::vector<Real> result(n * in);
  for (std::size_t b = 0; b < n; ++b) {
    for (std::size_t i = 0; i < in; ++i) {
      for (std::size_t o = 0; o < out; ++o) result[b * in + i] += gradient[b * out + o] * weight[i * out + o];
    }
  }
  return result;
}

/// x^T * gradient: (in, out).
template <typename Real>
std::vector<Real> dense_weight_gradient(const std::vector<Real>& gradient, const std::vector<Real>& x, std::size_t n) {
  const std::size_t out = gradient.size() / n;
  const std::size_t in = x.size() / n;
  std::vector<Real> result(in * out);
  for (std::size_t b = 0; b < n; ++b) {
    for (std::size_t i = 0; i < in; ++i) {
      for (std::size_t o = 0; o < out; ++o) result[i * out + o] += x[b * in + i] * gradient[b * out + o];
    }
  }
  return result;
}

/// v <- momentum*v + g; w <- w - learning_rate*v.
template <typename Real>
void update(std::vector<Real>& weight, std::vector<Real>& velocity, const std::vector<Real>& gradient,
            Real learning_rate, Real momentum) {
  for (std::size_t i = 0; i < weight.size(); ++i) {
    velocity[i] = momentum * velocity[i] + gradient[i];
    weight[i] -= learning_rate * velocity[i];
  }
}

}  // namespace mpsmnist::cpu::reference
