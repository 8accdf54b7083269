"""The network as an ONNX file: `pip install 'mpsmnist[onnx]'`.

from mpsmnist.interop.onnx import export

export("digits.onnx", trainer)
session = onnxruntime.InferenceSession("digits.onnx")
probabilities, logits = session.run(None, {"images": images})  # float32 (n, 1, 28, 28) of 0 to 1
"""

import os
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._core import Trainer, __version__
from ..errors import Error
from ..files import atomic_write, resolve
from ..network import to_channels_first, without_momentum
from ..user_files import reason_of

try:
    import onnx
    import onnxruntime
    from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
except ImportError as error:
    raise ImportError(
        f"this needs onnx and onnxruntime, which cannot be imported ({error}): pip install 'mpsmnist[onnx]'"
    ) from error

__all__ = ["export"]

Pixels = Literal["float32", "uint8"]

# Of 2022, so that runtimes of then and later read the files; nothing newer is needed.
OPSET, IR_VERSION = 17, 8
# Between probabilities here and in onnxruntime: rounding makes 1e-6 of it, a wrong graph nearly 1.
TOLERANCE = 0.01


def export(path: str | os.PathLike[str], trainer: Trainer, *, pixels: Pixels = "float32") -> None:
    """Write a Trainer's network as an ONNX file, whole or not at all; a file that exists is replaced.

    Its input is "images", (n, 1, 28, 28) for any n: float32 of 0 to 1 or, with pixels="uint8", bytes of 0 to
    255. Its outputs are "probabilities", what Trainer.predict() returns but for rounding, and "logits", whose
    softmax they are; both are float32 (n, C).

    Before it is written the model is checked by onnx, and onnxruntime must give the Trainer's predictions.

    Raises:
        TypeError: `trainer` is no Trainer.
        ValueError: `pixels` is neither of these.
        Error: onnxruntime predicts something else, or the file cannot be written.
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer: a {type(trainer).__name__}; expected a Trainer")
    if pixels not in get_args(Pixels):
        raise ValueError(f'pixels: {pixels!r}; expected "float32" or "uint8"')
    model = _make_model(trainer, pixels)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    _compare(data, trainer, pixels)
    try:
        with atomic_write(resolve(path)) as file:
            file.write(data)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise Error(f"{os.fspath(path)!r} cannot be written: {reason_of(error)}") from error


def _make_model(trainer: Trainer, pixels: Pixels) -> ModelProto:
    weights = to_channels_first(without_momentum(trainer.state_dict()))
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    initializers.append(numpy_helper.from_array(np.array(255, np.float32), "white"))
    element = TensorProto.UINT8 if pixels == "uint8" else TensorProto.FLOAT
    images = helper.make_tensor_value_info("images", element, ["n", 1, 28, 28])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", trainer.num_classes])
        for name in ("probabilities", "logits")
    ]
    nodes = _nodes(pixels)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, "mpsmnist", [images], outputs, [value for value in initializers if value.name in used]
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mpsmnist",
        producer_version=__version__,
    )


def _nodes(pixels: Pixels) -> list[NodeProto]:
    """The graph, from "images" to "logits" and "probabilities"; each node is named as what it makes."""

    def node(kind: str, inputs: str, output: str, **attributes: object) -> NodeProto:
        return helper.make_node(kind, inputs.split(), [output], name=output, **attributes)

    def convolution(inputs: str, name: str) -> list[NodeProto]:
        return [
            node("Conv", f"{inputs} {name}.weight {name}.bias", f"{name}.sum", pads=[2, 2, 2, 2]),
            node("Relu", f"{name}.sum", f"{name}.active"),
            node("MaxPool", f"{name}.active", f"{name}.pooled", kernel_shape=[2, 2], strides=[2, 2]),
        ]

    scaling = [
        node("Cast", "images", "levels", to=TensorProto.FLOAT),
        node("Div", "levels white", "scaled"),
    ]
    return [
        *(scaling if pixels == "uint8" else []),
        *convolution("scaled" if pixels == "uint8" else "images", "conv0"),
        *convolution("conv0.pooled", "conv1"),
        node("Flatten", "conv1.pooled", "features"),
        node("Gemm", "features fc0.weight fc0.bias", "fc0.sum", transB=1),
        node("Relu", "fc0.sum", "fc0.active"),
        node("Gemm", "fc0.active fc1.weight fc1.bias", "logits", transB=1),
        node("Softmax", "logits", "probabilities", axis=1),
    ]


def _compare(data: bytes, trainer: Trainer, pixels: Pixels) -> None:
    """Raise Error unless onnxruntime predicts of random images what the Trainer does."""
    levels = np.random.default_rng(0).integers(0, 256, (4, 1, 28, 28), np.uint8)
    images: NDArray[np.uint8 | np.float32] = levels
    if pixels == "float32":
        images = levels.astype(np.float32) / np.float32(255)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    [found] = session.run(["probabilities"], {"images": images})
    difference = float(np.abs(found - trainer.predict(images)).max())
    if not difference < TOLERANCE:
        raise Error(
            f"onnxruntime {onnxruntime.__version__} gives probabilities that are {difference:.2g} from the "
            f"Trainer's, expected less than {TOLERANCE}"
        )
