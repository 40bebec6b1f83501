"""Which names a pickle may ask for: those whose call, with whatever arguments, can do no more than make data.

The list is explicit and short on purpose. A name is left out if calling it can run code, import, open or look up
something (``getattr``, ``eval``, ``functools.partial``, ``operator.attrgetter``, ``numpy.load``, ``torch.load``), and
if nobody looked at what its call does. ``torch.storage._load_from_bytes`` unpickles its argument: it is let through
because that argument is read in the same way. A dotted name (``OrderedDict.__init__.__globals__``) is a chain of
``getattr`` and never on the list.
"""

from __future__ import annotations

from collections.abc import Iterable

from .inert import Global

_BUILTINS = "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"

_NUMPY_SCALARS = (
    "bool bool_ byte ubyte short ushort intc uintc int_ uint longlong ulonglong int8 int16 int32 int64 uint8 uint16 "
    "uint32 uint64 float16 float32 float64 float128 longdouble single double half complex64 complex128 complex256 "
    "bytes_ str_ string_ unicode_ void datetime64 timedelta64"
)

_TORCH_STORAGES = (
    "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage "
    "FloatStorage HalfStorage IntStorage LongStorage ShortStorage UntypedStorage"
)

_TORCH_DTYPES = (
    "bfloat16 bool complex128 complex32 complex64 float16 float32 float64 int16 int32 int64 int8 uint16 uint32 uint64 "
    "uint8 float8_e4m3fn float8_e5m2"
)

_SPARSE = "bsr_ coo_ csc_ csr_ dia_ dok_ lil_"
_SPARSE_CLASSES = " ".join(name + kind for name in _SPARSE.split() for kind in ("matrix", "array"))

_ALLOWED = {
    # Python's own containers and values. Protocols 0 to 2 write them under Python 2's names of the modules, too.
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS + " long unicode xrange",
    "copyreg": "_reconstructor __newobj__",
    "copy_reg": "_reconstructor __newobj__",
    "_codecs": "encode",
    "collections": "OrderedDict defaultdict deque Counter",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "uuid": "UUID",
    "pathlib": "Path PurePath PosixPath PurePosixPath WindowsPath PureWindowsPath",
    "pathlib._local": "Path PurePath PosixPath PurePosixPath WindowsPath PureWindowsPath",
    # NumPy 1 and 2.
    "numpy": "dtype ndarray matrix recarray record " + _NUMPY_SCALARS,
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.ma.core": "_mareconstruct MaskedArray",
    "numpy.matrixlib.defmatrix": "matrix",
    "numpy.core.records": "recarray record",
    "numpy.rec": "recarray record",
    # SciPy's sparse matrices, under the module's older and newer names.
    **{f"scipy.sparse.{name[:-1]}": f"{name}matrix" for name in _SPARSE.split()},
    **{f"scipy.sparse._{name[:-1]}": f"{name}matrix {name}array" for name in _SPARSE.split()},
    "scipy.sparse": _SPARSE_CLASSES,
    # PyTorch.
    "torch": "Size Tensor device dtype " + _TORCH_STORAGES + " " + _TORCH_DTYPES,
    "torch.storage": "_load_from_bytes TypedStorage UntypedStorage _TypedStorage _UntypedStorage",
    "torch._utils": (
        "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_sparse_tensor "
        "_rebuild_device_tensor_from_numpy"
    ),
    "torch.nn.parameter": "Parameter",
    "torch.serialization": "_get_layout",
    # Graphs of PyTorch Geometric, as Open Catalyst and others store them.
    "torch_geometric.data.data": "Data DataEdgeAttr DataTensorAttr",
    "torch_geometric.data": "Data HeteroData",
    "torch_geometric.data.hetero_data": "HeteroData",
    "torch_geometric.data.storage": "BaseStorage NodeStorage EdgeStorage GlobalStorage",
    "torch_sparse.tensor": "SparseTensor",
    "torch_sparse.storage": "SparseStorage",
    # Images of Pillow: their state is raw pixels.
    "PIL.Image": "Image",
    "PIL.JpegImagePlugin": "JpegImageFile",
    "PIL.PngImagePlugin": "PngImageFile",
}

ALLOWED = frozenset(Global(module, name) for module, names in _ALLOWED.items() for name in names.split())

LOADS_BYTES = frozenset({Global("torch.storage", "_load_from_bytes")})
"""Names whose call unpickles the bytes that it is given."""


def unsafe_globals(names: Iterable[Global]) -> list[Global]:
    """Those that are not on the list."""
    return [name for name in names if name not in ALLOWED]
