# SPDX-License-Identifier: GPL-3.0-or-later
"""Translate a TFLite network with half-precision weights into an ONNX graph, operator by operator.

Covers what MediaPipe's hand networks use and refuses anything else. Activations become NCHW,
"same" padding is written out, and weights keep their half-precision storage (a Cast brings them
back when the runtime loads the file), which is lossless because TFLite stored them that way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 17
IR_VERSION: Final = 8
BATCH: Final = "batch"
PIXEL_MAXIMUM: Final = np.float32(255.0)

_SMALLEST_HALF_TENSOR: Final = 64
"""Elements from which a Cast costs less room than it saves."""
_RELU6_MAXIMUM: Final = 6.0
_NCHW: Final = (0, 3, 1, 2)
_NHWC: Final = (0, 2, 3, 1)

_NUMPY_TYPES: Final = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT64: np.int64,
}

Tensor = NDArray[Any]


class UnsupportedNetworkError(ValueError):
    """The network uses something this translator does not cover."""


class Translator:
    """One TFLite network on its way to ONNX.

    The input becomes a uint8 NHWC picture 0..255 (`image`); its division by 255 is folded into the
    first convolution.
    """

    def __init__(self, network: bytes, outputs: Sequence[str], taps: Mapping[str, int]) -> None:
        """`outputs` names the network's outputs in its own order; `taps` adds tensors, name to TFLite id."""
        self._model = tflite.Model.GetRootAsModel(network, 0)
        if self._model.SubgraphsLength() != 1:
            raise UnsupportedNetworkError("the network has more than one subgraph")
        self._graph = self._model.Subgraphs(0)
        (self._input,) = (int(i) for i in self._graph.InputsAsNumpy())
        own_outputs = [int(i) for i in self._graph.OutputsAsNumpy()]
        self._names = {self._input: "pixels", **dict(zip(own_outputs, outputs, strict=True))}
        self._names |= {tensor: name for name, tensor in taps.items()}
        self._outputs = [*own_outputs, *taps.values()]
        self._constants: dict[int, Tensor] = {}
        self._casts: list[onnx.NodeProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._operators: dict[int, Callable[[Any, list[int], int], None]] = {
            tflite.BuiltinOperator.DEQUANTIZE: self._dequantize,
            tflite.BuiltinOperator.CONV_2D: self._convolution,
            tflite.BuiltinOperator.DEPTHWISE_CONV_2D: self._depthwise_convolution,
            tflite.BuiltinOperator.MAX_POOL_2D: self._max_pool,
            tflite.BuiltinOperator.PRELU: self._prelu,
            tflite.BuiltinOperator.ADD: self._addition,
            tflite.BuiltinOperator.PAD: self._pad,
            tflite.BuiltinOperator.RESIZE_BILINEAR: self._resize,
            tflite.BuiltinOperator.MEAN: self._mean,
            tflite.BuiltinOperator.FULLY_CONNECTED: self._fully_connected,
            tflite.BuiltinOperator.LOGISTIC: self._logistic,
            tflite.BuiltinOperator.RESHAPE: self._reshape,
            tflite.BuiltinOperator.CONCATENATION: self._concatenation,
        }

    def translate(self, *, producer: str, properties: Mapping[str, str]) -> onnx.ModelProto:
        """The checked ONNX model; equal input gives equal bytes."""
        self._nodes.append(helper.make_node("Cast", ["image"], ["image_float"], to=TensorProto.FLOAT))
        self._nodes.append(helper.make_node("Transpose", ["image_float"], ["pixels"], perm=list(_NCHW)))
        for index in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(index)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            if kind not in self._operators:
                raise UnsupportedNetworkError(f"operator {tflite.utils.opcode2name(kind)} is not covered")
            sources = [int(i) for i in operator.InputsAsNumpy()]
            self._operators[kind](operator, sources, int(operator.OutputsAsNumpy()[0]))
        height, width = self._shape(self._input)[1:3]
        picture = helper.make_tensor_value_info("image", TensorProto.UINT8, [BATCH, height, width, 3])
        graph = helper.make_graph(
            self._casts + self._nodes,
            "network",
            [picture],
            [self._value_info(tensor) for tensor in self._outputs],
            list(self._initializers.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name=producer)
        model.ir_version = IR_VERSION
        helper.set_model_props(model, dict(sorted(properties.items())))
        onnx.checker.check_model(model, full_check=True)
        return model

    # Reading TFLite

    def _shape(self, tensor: int) -> list[int]:
        entry = self._graph.Tensors(tensor)
        return [int(n) for n in entry.ShapeAsNumpy()] if entry.ShapeLength() else []

    def _constant(self, tensor: int) -> Tensor | None:
        if tensor not in self._constants:
            entry = self._graph.Tensors(tensor)
            buffer = self._model.Buffers(entry.Buffer())
            if not buffer.DataLength():
                return None
            values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _NUMPY_TYPES[entry.Type()])
            self._constants[tensor] = values.reshape(self._shape(tensor))
        return self._constants[tensor]

    def _known(self, tensor: int) -> Tensor:
        value = self._constant(tensor)
        if value is None:
            raise UnsupportedNetworkError(f"tensor {tensor} is not a constant")
        return value

    @staticmethod
    def _options(operator: Any, kind: Any) -> Any:
        options, table = kind(), operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    # Writing ONNX

    def _name(self, tensor: int) -> str:
        return self._names.get(tensor, f"t{tensor}")

    def _value_info(self, tensor: int) -> onnx.ValueInfoProto:
        shape = self._shape(tensor)
        if len(shape) == 4:
            shape = [shape[axis] for axis in _NCHW]
        return helper.make_tensor_value_info(self._name(tensor), TensorProto.FLOAT, [BATCH, *shape[1:]])

    def _initializer(self, name: str, values: Tensor) -> str:
        if name in self._initializers or f"{name}_half" in self._initializers:
            return name
        values = np.ascontiguousarray(values)
        if values.dtype == np.float32 and values.size >= _SMALLEST_HALF_TENSOR:
            half = values.astype(np.float16)
            if np.array_equal(half.astype(np.float32), values):
                stored = f"{name}_half"
                self._initializers[stored] = numpy_helper.from_array(half, stored)
                self._casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
                return name
        self._initializers[name] = numpy_helper.from_array(values, name)
        return name

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))

    def _add_activated(self, kind: str, inputs: list[str], output: str, activation: int, **attributes: Any) -> None:
        functions = tflite.ActivationFunctionType
        if activation == functions.NONE:
            self._add(kind, inputs, output, **attributes)
            return
        before = f"{output}_linear"
        self._add(kind, inputs, before, **attributes)
        if activation == functions.RELU:
            self._add("Relu", [before], output)
        elif activation == functions.RELU6:
            lowest = self._initializer("relu6_lowest", np.array(0.0, np.float32))
            highest = self._initializer("relu6_highest", np.array(_RELU6_MAXIMUM, np.float32))
            self._add("Clip", [before, lowest, highest], output)
        else:
            raise UnsupportedNetworkError(f"activation {activation} is not covered")

    def _padding(self, options: Any, source: int, kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
        """TFLite pads an odd remainder at the bottom and right; ONNX wants top, left, bottom, right."""
        if options.Padding() == tflite.Padding.VALID:
            return [0, 0, 0, 0]
        before, after = [], []
        strides = (options.StrideH(), options.StrideW())
        for size, extent, stride, spread in zip(self._shape(source)[1:3], kernel, strides, dilation, strict=True):
            total = max((-(-size // stride) - 1) * stride + (extent - 1) * spread + 1 - size, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return before + after

    # Operators

    def _dequantize(self, _operator: Any, sources: list[int], target: int) -> None:
        self._constants[target] = self._known(sources[0]).astype(np.float32)

    def _convolution(self, operator: Any, sources: list[int], target: int) -> None:
        weights = self._known(sources[1]).transpose(0, 3, 1, 2)
        self._convolve(self._options(operator, tflite.Conv2DOptions), sources, target, weights, groups=1)

    def _depthwise_convolution(self, operator: Any, sources: list[int], target: int) -> None:
        weights = self._known(sources[1]).transpose(3, 0, 1, 2)
        channels = self._shape(sources[0])[3]
        options = self._options(operator, tflite.DepthwiseConv2DOptions)
        self._convolve(options, sources, target, weights, groups=channels)

    def _convolve(self, options: Any, sources: list[int], target: int, weights: Tensor, *, groups: int) -> None:
        if sources[0] == self._input:
            weights = weights / PIXEL_MAXIMUM
        dilation = (options.DilationHFactor(), options.DilationWFactor())
        kernel = weights.shape[2:]
        self._add_activated(
            "Conv",
            [
                self._name(sources[0]),
                self._initializer(f"weight_{sources[1]}", weights),
                self._initializer(f"bias_{sources[2]}", self._known(sources[2])),
            ],
            self._name(target),
            options.FusedActivationFunction(),
            kernel_shape=list(kernel),
            dilations=list(dilation),
            strides=[options.StrideH(), options.StrideW()],
            group=groups,
            pads=self._padding(options, sources[0], kernel, dilation),
        )

    def _max_pool(self, operator: Any, sources: list[int], target: int) -> None:
        options = self._options(operator, tflite.Pool2DOptions)
        kernel = (options.FilterHeight(), options.FilterWidth())
        self._add_activated(
            "MaxPool",
            [self._name(sources[0])],
            self._name(target),
            options.FusedActivationFunction(),
            kernel_shape=list(kernel),
            strides=[options.StrideH(), options.StrideW()],
            pads=self._padding(options, sources[0], kernel, (1, 1)),
        )

    def _prelu(self, _operator: Any, sources: list[int], target: int) -> None:
        """As a*x + (1-a)*relu(x) in two depthwise convolutions: ONNX Runtime's own PRelu is twice as slow.

        Slopes above 1 and below 0 occur, so max(x, a*x) would be wrong.
        """
        slope = self._known(sources[1]).reshape(-1, 1, 1, 1)
        channels = len(slope)
        name, output = self._name(sources[0]), self._name(target)
        linear = self._initializer(f"slope_{sources[1]}", slope)
        positive = self._initializer(f"rest_{sources[1]}", 1 - slope)
        self._add("Relu", [name], f"{output}_relu")
        self._add("Conv", [name, linear], f"{output}_sloped", kernel_shape=[1, 1], group=channels)
        self._add("Conv", [f"{output}_relu", positive], f"{output}_rest", kernel_shape=[1, 1], group=channels)
        self._add("Add", [f"{output}_sloped", f"{output}_rest"], output)

    def _addition(self, operator: Any, sources: list[int], target: int) -> None:
        if any(self._constant(source) is not None for source in sources):
            raise UnsupportedNetworkError("adding a constant is not covered")
        options = self._options(operator, tflite.AddOptions)
        names = [self._name(source) for source in sources]
        self._add_activated("Add", names, self._name(target), options.FusedActivationFunction())

    def _pad(self, _operator: Any, sources: list[int], target: int) -> None:
        before_after = self._known(sources[1])[list(_NCHW)].T.reshape(-1).astype(np.int64)
        pads = self._initializer(f"pads_{sources[1]}", before_after)
        self._add("Pad", [self._name(sources[0]), pads], self._name(target))

    def _resize(self, operator: Any, sources: list[int], target: int) -> None:
        options = self._options(operator, tflite.ResizeBilinearOptions)
        if options.AlignCorners() or not options.HalfPixelCenters():
            raise UnsupportedNetworkError("only half-pixel resizing is covered")
        small, large = self._shape(sources[0]), self._shape(target)
        scales = np.array([1, 1, large[1] / small[1], large[2] / small[2]], np.float32)
        self._add(
            "Resize",
            [self._name(sources[0]), "", self._initializer(f"scales_{target}", scales)],
            self._name(target),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _mean(self, operator: Any, sources: list[int], target: int) -> None:
        options = self._options(operator, tflite.ReducerOptions)
        if sorted(self._known(sources[1]).tolist()) != [1, 2] or options.KeepDims():
            raise UnsupportedNetworkError("only a mean over height and width is covered")
        output = self._name(target)
        self._add("GlobalAveragePool", [self._name(sources[0])], f"{output}_pooled")
        self._add("Flatten", [f"{output}_pooled"], output)

    def _fully_connected(self, operator: Any, sources: list[int], target: int) -> None:
        options = self._options(operator, tflite.FullyConnectedOptions)
        weights = self._initializer(f"weight_{sources[1]}", self._known(sources[1]))
        bias = self._initializer(f"bias_{sources[2]}", self._known(sources[2]))
        names = [self._name(sources[0]), weights, bias]
        self._add_activated("Gemm", names, self._name(target), options.FusedActivationFunction(), transB=1)

    def _logistic(self, _operator: Any, sources: list[int], target: int) -> None:
        self._add("Sigmoid", [self._name(sources[0])], self._name(target))

    def _reshape(self, _operator: Any, sources: list[int], target: int) -> None:
        name, output = self._name(sources[0]), self._name(target)
        if len(self._shape(sources[0])) == 4:
            self._add("Transpose", [name], f"{output}_nhwc", perm=list(_NHWC))
            name = f"{output}_nhwc"
        shape = np.array([0, *self._shape(target)[1:]], np.int64)
        self._add("Reshape", [name, self._initializer(f"shape_{target}", shape)], output)

    def _concatenation(self, operator: Any, sources: list[int], target: int) -> None:
        if len(self._shape(target)) != 3:
            raise UnsupportedNetworkError("only lists of boxes are concatenated")
        options = self._options(operator, tflite.ConcatenationOptions)
        self._add("Concat", [self._name(source) for source in sources], self._name(target), axis=options.Axis())
