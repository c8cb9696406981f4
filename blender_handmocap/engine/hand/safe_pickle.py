# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the data out of a pickle without running it.

A pickle is a program; most of what it may do is never needed to hold arrays. First its opcodes
are walked through without being executed: unknown or dangerous ones, truncation and absurd
memo numbers end the reading. Then it is loaded with every class replaced by an inert stand-in
from a fixed list; a name that is not on the list ends the reading, so nothing of the system,
of numpy or of scipy is ever called. Stand-ins only remember what they were given, and arrays are
built from their bytes by this module afterwards.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInputError

LARGEST_FILE: Final = 64 * 1024 * 1024
"""bytes; MANO files have 4 MB"""
_LARGEST_ARRAY: Final = 64 * 1024 * 1024
_MOST_OPCODES: Final = 2_000_000
_FORBIDDEN: Final = frozenset(
    {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEXT_BUFFER", "READONLY_BUFFER"}
)
_TYPE_CODES: Final = frozenset("fiub")


class StandIn:
    """Anything a pickle names: remembers how it was made and its state, does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __new__(cls, *_arguments: Any) -> StandIn:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class ArrayStandIn(StandIn):
    """numpy.ndarray"""


class TypeStandIn(StandIn):
    """numpy.dtype"""


class ScalarStandIn(StandIn):
    """a numpy scalar"""


class SparseStandIn(StandIn):
    """scipy.sparse.csc_matrix and its kin"""


class ChumpyStandIn(StandIn):
    """chumpy.ch.Ch: an array under `x`"""


class SelectStandIn(StandIn):
    """chumpy.reordering.Select: some entries of another array"""


class _Maker:
    """A function a pickle may call. An instruction to change the function itself finds nothing to change."""

    __slots__ = ("_make",)
    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        _refuse(f"an attempt to change {name!r}")

    def __setstate__(self, state: Any) -> None:
        _refuse("an attempt to change the reader")


@dataclass
class _Encoded:
    """What `_codecs.encode(text, "latin1")` would give: how protocol 2 spells bytes."""

    data: bytes


def _reconstruct(*_arguments: Any) -> StandIn:
    return _bare(ArrayStandIn)


def _reconstruct_object(kind: Any, *_arguments: Any) -> Any:
    return _bare(kind) if isinstance(kind, type) and issubclass(kind, StandIn) else _refuse("an unknown object")


def _bare(kind: type[StandIn]) -> StandIn:
    made = kind()
    return made


def _encode(text: Any, encoding: Any = "latin1") -> _Encoded:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        _refuse("text in an unknown encoding")
    return _Encoded(text.encode("latin1"))


def _refuse(what: str) -> Any:
    raise pickle.UnpicklingError(f"it holds {what}")


_MULTIARRAY: Final = ("numpy.core.multiarray", "numpy._core.multiarray")
_ALLOWED: Final[dict[tuple[str, str], Any]] = {
    **{(module, "_reconstruct"): _Maker(_reconstruct) for module in _MULTIARRAY},
    **{(module, "scalar"): ScalarStandIn for module in _MULTIARRAY},
    ("numpy", "ndarray"): ArrayStandIn,
    ("numpy", "dtype"): TypeStandIn,
    ("copy_reg", "_reconstructor"): _Maker(_reconstruct_object),
    ("copyreg", "_reconstructor"): _Maker(_reconstruct_object),
    ("__builtin__", "object"): StandIn,
    ("builtins", "object"): StandIn,
    # chumpy keeps books beside its arrays; they are remembered and never looked at.
    **{(module, name): StandIn for module in ("__builtin__", "builtins") for name in ("set", "frozenset")},
    ("collections", "OrderedDict"): StandIn,
    ("_codecs", "encode"): _Maker(_encode),
    ("chumpy.ch", "Ch"): ChumpyStandIn,
    ("chumpy.ch", "Select"): SelectStandIn,
    ("chumpy.reordering", "Select"): SelectStandIn,
    ("chumpy.reordering", "Reshape"): SelectStandIn,
    **{
        (module, name): SparseStandIn
        for name in ("csc_matrix", "csr_matrix", "coo_matrix")
        for kind in (name[:3],)
        for module in (f"scipy.sparse.{kind}", f"scipy.sparse._{kind}", "scipy.sparse")
    },
}


class _Reader(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            return _refuse(f"'{module_name}.{global_name}', which data has no need of")

    def persistent_load(self, pid: Any) -> Any:
        return _refuse(f"a reference to something outside ({pid!r})")


def read_data(path: Path) -> Any:
    """What a pickle file holds: plain Python, with numpy arrays; everything else is refused in one sentence."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise pickle.UnpicklingError(f"it is larger than {LARGEST_FILE // 2**20} MB")
        raw = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror or error}); check the path.") from error
    except pickle.UnpicklingError as error:
        raise _not_usable(path, error) from error
    try:
        _walk(raw)
        return plain(_Reader(io.BytesIO(raw), encoding="latin1").load())
    except RecursionError as error:
        raise _not_usable(path, "it is nested too deeply") from error
    except (
        pickle.UnpicklingError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        IndexError,
        EOFError,
        OverflowError,
        MemoryError,
    ) as error:
        raise _not_usable(path, error) from error


def _not_usable(path: Path, reason: object) -> BadInputError:
    text = str(reason).strip().rstrip(".") or type(reason).__name__
    return BadInputError(
        f"{path.name} was not opened because it is damaged or not a hand model ({text}); "
        "choose MANO_RIGHT.pkl or MANO_LEFT.pkl as downloaded."
    )


def _walk(raw: bytes) -> None:
    """Look at every opcode without executing any."""
    for count, (opcode, argument, _position) in enumerate(pickletools.genops(raw), start=1):
        if count > _MOST_OPCODES:
            _refuse("more instructions than a hand model has")
        if opcode.name in _FORBIDDEN:
            _refuse(f"an instruction ({opcode.name}) that data has no need of")
        # The memo is an array as long as the largest number used: a small file could ask for all memory.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > count:
            _refuse("a memo number out of order")


def plain(value: Any, done: dict[int, Any] | None = None) -> Any:
    """Stand-ins turned into arrays, all the way down; what is shared is converted once and stays shared."""
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)]
    result = _converted(value, done)
    done[id(value)] = result
    return result


def _converted(value: Any, done: dict[int, Any]) -> Any:
    if isinstance(value, dict):
        return {plain(key, done): plain(item, done) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, done) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item, done) for item in value)
    if isinstance(value, _Encoded):
        return value.data
    convert = _CONVERT.get(type(value))
    if convert is not None:
        return convert(value)
    if isinstance(value, StandIn | _Maker):
        return _refuse("an object that is no array")
    return value


def _type(stand_in: Any) -> np.dtype[Any]:
    """A plain numeric type of numpy, in the byte order its state tells."""
    if not isinstance(stand_in, TypeStandIn) or not stand_in.arguments:
        return _refuse("an array of unknown type")
    code = _text(stand_in.arguments[0])
    if not code or code[0] not in _TYPE_CODES or not code[1:].isdigit():
        return _refuse(f"an array of type {code!r}")
    order = "<"
    if isinstance(stand_in.state, tuple) and len(stand_in.state) > 1:
        order = _text(stand_in.state[1])
    return np.dtype(("<" if order in ("|", "=") else order) + code)


def _text(value: Any) -> str:
    if isinstance(value, _Encoded):
        value = value.data
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, _Encoded):
        return value.data
    if isinstance(value, str):
        return value.encode("latin1")
    return value if isinstance(value, bytes) else _refuse("an array without bytes")


def _array(stand_in: ArrayStandIn) -> NDArray[Any]:
    state = stand_in.state
    if not isinstance(state, tuple) or len(state) != 5:
        return _refuse("an array without contents")
    _version, shape, kind, column_major, data = state
    dtype = _type(kind)
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape) or len(shape) > 8:
        return _refuse("an array of impossible shape")
    count = 1
    for n in shape:
        count *= n
    raw = _bytes(data)
    if count * dtype.itemsize > _LARGEST_ARRAY or len(raw) != count * dtype.itemsize:
        return _refuse("an array whose bytes do not fit its shape")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if column_major else "C").copy()


def _scalar(stand_in: ScalarStandIn) -> Any:
    kind, data = stand_in.arguments
    return np.frombuffer(_bytes(data), _type(kind))[0]


def _sparse(stand_in: SparseStandIn) -> NDArray[np.float64]:
    """The dense matrix of a compressed one; rows or columns by what the shape admits."""
    state = stand_in.state if isinstance(stand_in.state, dict) else _refuse("a sparse matrix without contents")
    shape = plain(state.get("_shape", state.get("shape")))
    rows, columns = (int(n) for n in shape)
    if not 0 < rows * columns <= _LARGEST_ARRAY // 8:
        return _refuse("a sparse matrix of impossible shape")
    dense = np.zeros((rows, columns))
    data = np.asarray(plain(state["data"]), np.float64)
    if "row" in state:
        np.add.at(dense, (np.asarray(plain(state["row"])), np.asarray(plain(state["col"]))), data)
        return dense
    indices, starts = (np.asarray(plain(state[key]), np.int64) for key in ("indices", "indptr"))
    by_column = len(starts) == columns + 1
    if not by_column and len(starts) != rows + 1:
        return _refuse("a sparse matrix whose parts do not fit")
    counts = np.diff(starts)
    # Before anything is repeated: a small file may claim any number of entries.
    if starts[0] != 0 or (counts < 0).any() or not starts[-1] == len(indices) == len(data):
        return _refuse("a sparse matrix whose parts do not fit")
    if len(indices) and not 0 <= indices.min() <= indices.max() < (rows if by_column else columns):
        return _refuse("a sparse matrix with entries outside")
    outer = np.repeat(np.arange(len(counts)), counts)
    np.add.at(dense, (indices, outer) if by_column else (outer, indices), data)
    return dense


def _chumpy(stand_in: ChumpyStandIn) -> Any:
    state = stand_in.state if isinstance(stand_in.state, dict) else {}
    return plain(state["x"]) if "x" in state else _refuse("a chumpy array without contents")


def _select(stand_in: SelectStandIn) -> NDArray[Any]:
    state = stand_in.state if isinstance(stand_in.state, dict) else {}
    source = np.asarray(plain(state["a"])).ravel()
    chosen = source[np.asarray(plain(state["idxs"]), np.int64)] if "idxs" in state else source
    shape = plain(state.get("preferred_shape", state.get("newshape", chosen.shape)))
    return chosen.reshape(tuple(int(n) for n in shape))


_CONVERT: Final[dict[type, Callable[[Any], Any]]] = {
    ArrayStandIn: _array,
    ScalarStandIn: _scalar,
    TypeStandIn: _type,
    SparseStandIn: _sparse,
    ChumpyStandIn: _chumpy,
    SelectStandIn: _select,
}
