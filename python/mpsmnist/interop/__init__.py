"""The network in other frameworks: mpsmnist.interop.torch and mpsmnist.interop.onnx, each an extra."""
