// From Python objects to the core's views: shapes and dtypes are checked here, values in the core.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist::bindings {

namespace py = pybind11;

using Shape = std::vector<std::int64_t>;

/// A view, and the array that keeps its memory alive: the caller's own if that is contiguous and of the right dtype.
struct BorrowedImages {
  py::array owner;
  Images view;
};
struct BorrowedLabels {
  py::array owner;
  Labels view;
};
struct BorrowedBatches {
  py::array owner;
  Batches view;
};

/// uint8 or float32, (n,784), (n,28,28), (n,28,28,1) or (n,1,28,28).
BorrowedImages borrow_images(py::handle object);
/// The same, but uint8 alone.
BorrowedImages borrow_byte_images(py::handle object);
/// Integers (n,), or floats (n, num_classes).
BorrowedLabels borrow_labels(py::handle object, int num_classes);
/// Integers (steps, batch_size).
BorrowedBatches borrow_batches(py::handle object);
/// Integers of any shape, none below 0.
py::array_t<std::uint64_t> borrow_unsigned(const std::string& name, py::handle object);
/// Floats of exactly this shape, as contiguous float32; borrowed if they are that already.
py::array_t<float> borrow_floats(const std::string& name, py::handle object, const Shape& shape);

}  // namespace mpsmnist::bindings
