// The functions behind the table in kernels.h, as each instruction set declares them for itself.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

void conv0_forward(const float* image, const float* weight, const float* bias, float* planes, uint8_t* codes);
void conv0_weight_gradient(const float* image, const float* pooled_gradient, const uint8_t* codes, float* partial);
void conv0_reduce(const float* partials, int64_t count, const Sink& weight, const Sink& bias);

void conv1_transform_weights(const float* weight, int part, float* forward, float* backward);
void conv1_forward(const float* planes, int images, const float* transformed, const float* weight, const float* bias,
                   float* scratch, float* pooled, uint8_t* codes);
void conv1_data_gradient(const float* pooled_gradient, const uint8_t* codes, int images, const float* transformed,
                         float* scratch, float* gradient);
void conv1_weight_gradient(const float* planes, const float* pooled_gradient, const uint8_t* codes, int64_t n,
                           int first, int last, float* scratch, const Sink& weight, const Sink& bias);

void fc0_list_active(const float* pooled, int images, int64_t group, const ActiveInputs& active);
void fc0_forward(const ActiveInputs& active, const float* weight, const float* bias, int64_t n, int panel,
                 int64_t first, int64_t last, float* hidden);
void fc0_backward(const float* pooled, const float* weight, const float* hidden_gradient, int64_t n, int row,
                  int next_row, float* scratch, float* pooled_gradient, const Sink& sink);

void fc1_forward(const float* hidden, const float* weight, const float* bias, int64_t n, int num_classes, int64_t first,
                 int64_t last, float* logits);
void fc1_data_gradient(const float* logit_gradient, const float* weight, const float* hidden, int64_t n,
                       int num_classes, int64_t first, int64_t last, float* hidden_gradient);
void fc1_weight_gradient(const float* logit_gradient, const float* hidden, const float* hidden_gradient, int64_t n,
                         int num_classes, int panel, const Sink& weight, const Sink& bias, const Sink& fc0_bias);

void update(const float* gradient, size_t count, const Sink& sink);
void fc0_update(const float* gradient, int row, const Sink& sink);
bool all_finite(const float* values, size_t count);

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
