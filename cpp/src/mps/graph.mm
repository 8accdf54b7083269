#include "mps/graph.h"

#include <algorithm>
#include <utility>

#include "model.h"

namespace mpsmnist::mps {
namespace {

using Tensors = std::vector<MPSGraphTensor*>;

NSString* op_name(const std::string& scope, const char* op) {
  return [NSString stringWithUTF8String:(scope + "/" + op).c_str()];
}

/// "conv0.weight" is "conv0/weight" among the operations.
std::string scope_of(const Parameter& parameter) {
  std::string scope = parameter.name;
  std::replace(scope.begin(), scope.end(), '.', '/');
  return scope;
}

MPSGraphConvolution2DOpDescriptor* same_convolution() {
  return require([MPSGraphConvolution2DOpDescriptor descriptorWithStrideInX:1
                                                                  strideInY:1
                                                            dilationRateInX:1
                                                            dilationRateInY:1
                                                                     groups:1
                                                               paddingStyle:MPSGraphPaddingStyleTF_SAME
                                                                 dataLayout:MPSGraphTensorNamedDataLayoutNHWC
                                                              weightsLayout:MPSGraphTensorNamedDataLayoutHWIO],
                 "[mps graph] MPSGraph refused the convolution's descriptor");
}

MPSGraphPooling2DOpDescriptor* halving_max_pooling() {
  return require([MPSGraphPooling2DOpDescriptor descriptorWithKernelWidth:2
                                                             kernelHeight:2
                                                                strideInX:2
                                                                strideInY:2
                                                             paddingStyle:MPSGraphPaddingStyleTF_VALID
                                                               dataLayout:MPSGraphTensorNamedDataLayoutNHWC],
                 "[mps graph] MPSGraph refused the pooling's descriptor");
}

/// Adds operations to one Graph. Every shape is static: n is a number, and no reshape leaves a dimension open.
class Builder {
 public:
  Builder(const EngineOptions& options, std::int64_t n) : options_(options), n_(n) {
    graph_.mps = [MPSGraph new];
    graph_.mps.options = MPSGraphOptionsNone;
  }

  MPSGraphTensor* feed(const std::string& name, const std::string& scope, const Shape& shape) {
    MPSGraphTensor* tensor = [graph_.mps placeholderWithShape:to_mps_shape(shape)
                                                     dataType:MPSDataTypeFloat32
                                                         name:[NSString stringWithUTF8String:scope.c_str()]];
    graph_.feeds.push_back({name, tensor, shape});
    return tensor;
  }

  MPSGraphTensor* feed_images() { return feed("images", "images", {n_, kImageSide, kImageSide, 1}); }
  MPSGraphTensor* feed_labels() { return feed("labels", "labels", {n_, options_.num_classes}); }
  MPSGraphTensor* feed_learning_rate() { return feed("learning_rate", "learning_rate", {1}); }

  Tensors feed_weights() {
    Tensors tensors;
    for (const Parameter& parameter : options_.parameters) {
      tensors.push_back(feed(parameter.name, scope_of(parameter), parameter.shape));
    }
    return tensors;
  }

  Tensors feed_momentum() {
    Tensors tensors;
    for (const Parameter& parameter : options_.parameters) {
      tensors.push_back(feed("momentum of " + parameter.name, scope_of(parameter) + "/momentum", parameter.shape));
    }
    return tensors;
  }

  void target(const std::string& name, MPSGraphTensor* tensor, const Shape& shape) {
    graph_.targets.push_back({name, tensor, shape});
  }

  void target_parameters(const std::string& what, const Tensors& tensors) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      target(what + " " + options_.parameters[i].name, tensors[i], options_.parameters[i].shape);
    }
  }

  /// (n,28,28,1) -> (n,C)
  MPSGraphTensor* logits(MPSGraphTensor* images, const Tensors& weights) {
    MPSGraphTensor* x = convolution("conv0", images, weights[kConv0Weight], weights[kConv0Bias]);
    x = convolution("conv1", x, weights[kConv1Weight], weights[kConv1Bias]);
    x = [graph_.mps reshapeTensor:x withShape:to_mps_shape({n_, kFlat}) name:@"flatten"];
    x = affine("fc0", x, weights[kFc0Weight], weights[kFc0Bias]);
    x = [graph_.mps reLUWithTensor:x name:@"fc0/relu"];
    return affine("fc1", x, weights[kFc1Weight], weights[kFc1Bias]);
  }

  /// Cross-entropy of the rows, summed over the batch and divided by n: (n,C), (n,C) -> scalar
  MPSGraphTensor* mean_loss(MPSGraphTensor* logits, MPSGraphTensor* labels) {
    MPSGraph* graph = graph_.mps;
    MPSGraphTensor* sum = [graph softMaxCrossEntropyWithSourceTensor:logits
                                                        labelsTensor:labels
                                                                axis:-1
                                                       reductionType:MPSGraphLossReductionTypeSum
                                                                name:@"loss/sum"];
    MPSGraphTensor* count = [graph constantWithScalar:static_cast<double>(n_) dataType:MPSDataTypeFloat32];
    return [graph divisionWithPrimaryTensor:sum secondaryTensor:count name:@"loss/mean"];
  }

  /// Apple's headers leave a loss's rank open ("a scalar"); the loss buffer is (1,).
  void target_loss(MPSGraphTensor* loss) {
    loss = [graph_.mps reshapeTensor:loss withShape:to_mps_shape({1}) name:@"loss/value"];
    target("loss", loss, {1});
  }

  /// d loss / d weights, one for each parameter and of its shape.
  Tensors gradients(MPSGraphTensor* loss, const Tensors& weights) {
    NSMutableArray<MPSGraphTensor*>* sources = [NSMutableArray arrayWithCapacity:weights.size()];
    for (MPSGraphTensor* weight : weights) {
      [sources addObject:weight];
    }
    NSDictionary<MPSGraphTensor*, MPSGraphTensor*>* found = [graph_.mps gradientForPrimaryTensor:loss
                                                                                     withTensors:sources
                                                                                            name:@"gradient"];
    Tensors result;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const Parameter& parameter = options_.parameters[i];
      MPSGraphTensor* gradient = require(found[weights[i]], "[mps graph] MPSGraph found no gradient for a parameter");
      // Undoing a bias's broadcast may leave its gradient's shape to inference; this states it.
      result.push_back([graph_.mps reshapeTensor:gradient
                                       withShape:to_mps_shape(parameter.shape)
                                            name:op_name(scope_of(parameter), "gradient")]);
    }
    return result;
  }

  /// v <- factor*v + g
  Tensors updated_momentum(const Tensors& momentum, const Tensors& gradients) {
    MPSGraph* graph = graph_.mps;
    MPSGraphTensor* factor = [graph constantWithScalar:options_.momentum dataType:MPSDataTypeFloat32];
    Tensors result;
    for (std::size_t i = 0; i < momentum.size(); ++i) {
      const std::string scope = scope_of(options_.parameters[i]);
      MPSGraphTensor* kept = [graph multiplicationWithPrimaryTensor:momentum[i]
                                                    secondaryTensor:factor
                                                               name:op_name(scope, "momentum/kept")];
      result.push_back([graph additionWithPrimaryTensor:kept
                                        secondaryTensor:gradients[i]
                                                   name:op_name(scope, "momentum/updated")]);
    }
    return result;
  }

  /// learning_rate*loss, whose gradients are the changes of plain SGD. So the rate scales the loss' gradient, (n,C), on
  /// its way back, and fc0's weights (12.8 MB) need but one operation after their product: w - change, which MPSGraph
  /// may fuse with it. Expected to be no slower than a product with the rate for each parameter; unmeasured.
  MPSGraphTensor* scaled_loss(MPSGraphTensor* loss, MPSGraphTensor* learning_rate) {
    return [graph_.mps multiplicationWithPrimaryTensor:loss secondaryTensor:learning_rate name:@"loss/scaled"];
  }

  /// learning_rate*v
  Tensors changes(const Tensors& momentum, MPSGraphTensor* learning_rate) {
    Tensors result;
    for (std::size_t i = 0; i < momentum.size(); ++i) {
      result.push_back([graph_.mps
          multiplicationWithPrimaryTensor:momentum[i]
                          secondaryTensor:learning_rate
                                     name:op_name(scope_of(options_.parameters[i]), "change")]);
    }
    return result;
  }

  /// w <- w - change
  Tensors updated_weights(const Tensors& weights, const Tensors& changes) {
    Tensors result;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      result.push_back([graph_.mps subtractionWithPrimaryTensor:weights[i]
                                                secondaryTensor:changes[i]
                                                           name:op_name(scope_of(options_.parameters[i]), "updated")]);
    }
    return result;
  }

  Graph take() { return std::move(graph_); }

 private:
  /// 5x5 SAME convolution, bias, ReLU, 2x2 max-pool: (n,s,s,in) -> (n,s/2,s/2,out)
  MPSGraphTensor* convolution(const std::string& layer, MPSGraphTensor* x, MPSGraphTensor* weight,
                              MPSGraphTensor* bias) {
    MPSGraph* graph = graph_.mps;
    x = [graph convolution2DWithSourceTensor:x
                               weightsTensor:weight
                                  descriptor:same_convolution()
                                        name:op_name(layer, "convolution")];
    x = [graph additionWithPrimaryTensor:x secondaryTensor:bias name:op_name(layer, "biased")];
    x = [graph reLUWithTensor:x name:op_name(layer, "relu")];
    return [graph maxPooling2DWithSourceTensor:x descriptor:halving_max_pooling() name:op_name(layer, "pool")];
  }

  /// (n,in) -> (n,out)
  MPSGraphTensor* affine(const std::string& layer, MPSGraphTensor* x, MPSGraphTensor* weight, MPSGraphTensor* bias) {
    MPSGraph* graph = graph_.mps;
    x = [graph matrixMultiplicationWithPrimaryTensor:x secondaryTensor:weight name:op_name(layer, "product")];
    return [graph additionWithPrimaryTensor:x secondaryTensor:bias name:op_name(layer, "biased")];
  }

  const EngineOptions& options_;
  std::int64_t n_;
  Graph graph_;
};

}  // namespace

Graph build_prediction_graph(const EngineOptions& options, std::int64_t n) {
  Builder builder(options, n);
  MPSGraphTensor* images = builder.feed_images();
  const Tensors weights = builder.feed_weights();
  builder.target("logits", builder.logits(images, weights), {n, options.num_classes});
  return builder.take();
}

Graph build_gradients_graph(const EngineOptions& options, std::int64_t n) {
  Builder builder(options, n);
  MPSGraphTensor* images = builder.feed_images();
  MPSGraphTensor* labels = builder.feed_labels();
  const Tensors weights = builder.feed_weights();
  MPSGraphTensor* loss = builder.mean_loss(builder.logits(images, weights), labels);
  builder.target_loss(loss);
  builder.target_parameters("gradient of", builder.gradients(loss, weights));
  return builder.take();
}

Graph build_training_graph(const EngineOptions& options, std::int64_t n) {
  Builder builder(options, n);
  MPSGraphTensor* images = builder.feed_images();
  MPSGraphTensor* labels = builder.feed_labels();
  MPSGraphTensor* learning_rate = builder.feed_learning_rate();
  const Tensors weights = builder.feed_weights();
  MPSGraphTensor* loss = builder.mean_loss(builder.logits(images, weights), labels);
  builder.target_loss(loss);
  if (options.momentum > 0) {
    const Tensors gradients = builder.gradients(loss, weights);
    const Tensors momentum = builder.updated_momentum(builder.feed_momentum(), gradients);
    builder.target_parameters("new", builder.updated_weights(weights, builder.changes(momentum, learning_rate)));
    builder.target_parameters("new momentum of", momentum);
  } else {
    const Tensors changes = builder.gradients(builder.scaled_loss(loss, learning_rate), weights);
    builder.target_parameters("new", builder.updated_weights(weights, changes));
  }
  return builder.take();
}

}  // namespace mpsmnist::mps
