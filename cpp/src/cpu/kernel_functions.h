// The functions behind the table in kernels.h, as each instruction set declares them for itself.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

Conv0Forward conv0_forward;
Conv0WeightGradient conv0_weight_gradient;
Conv0Reduce conv0_reduce;

Conv1TransformWeights conv1_transform_weights;
Conv1Forward conv1_forward;
Conv1DataGradient conv1_data_gradient;
Conv1WeightGradient conv1_weight_gradient;

Fc0ListActive fc0_list_active;
Fc0Forward fc0_forward;
Fc0BackwardRows fc0_backward;
Fc0BackwardRows fc0_data_gradient;
Fc0BackwardRows fc0_weight_gradient;
Fc0Update fc0_update;

Fc1Forward fc1_forward;
Fc1DataGradient fc1_data_gradient;
Fc1WeightGradient fc1_weight_gradient;

Update update;
AllFinite all_finite;

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
