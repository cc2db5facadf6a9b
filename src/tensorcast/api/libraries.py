"""The way out: the data as the array of another library, on the same memory where that can be.

>>> import numpy as np
>>> import tensorcast as tc
>>> tc.to_numpy(memoryview(b"abc"))
array([97, 98, 99], dtype=uint8)

All take what `tensorcast.as_tensor` takes, and share, copy, cast and refuse by its rules.
`tensorcast.explain(data, to=...)` tells which, and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from ..errors import CastError
from ..formats import lookup_target
from ..policy import DEFAULT_POLICY, PolicyOptions, policy_of, shows_policy
from ..share.handover import hand_over
from ..share.pictures import multiplied, picture_in
from ..share.planning import Asked
from ..share.verdict import Target

if TYPE_CHECKING:
    import numpy as np


@shows_policy()
def to_numpy(
    data: Any,
    dtype: object = None,
    device: Any = None,
    *,
    copy: bool | None = None,
    null: Any = None,
    **policy: Unpack[PolicyOptions],
) -> np.ndarray[Any, Any]:
    """A NumPy array of the data, sharing its memory where that can be; without torch.

    Numbers and lists become what `np.array` infers, but integers beyond int64 are refused rather
    than made objects or floats. The formats NumPy lacks come as ml_dtypes'. Memory that may not be
    written makes an array that cannot be, and so does a tensor that was expanded, whose elements
    share memory. A tensor that requires grad is refused, as by torch: pass `x.detach()`, or call
    under `torch.no_grad()`.

    Args:
        data, dtype, copy, null, overflow, rounding, nan, inf, exact, seed: as of
            `tensorcast.as_tensor`.
        device: "cpu" brings over what lies on a GPU; None moves nothing.

    Raises:
        CastError: copy=False and it cannot be shared; the data hold no numbers, or lie on a GPU;
            a gradient would be lost.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.

    Example:
        >>> to_numpy([0.1, 300.0], "bfloat16")
        array([0.100098, 300], dtype=bfloat16)
        >>> to_numpy(b"abc"), to_numpy(b"abc").flags.writeable
        (array([97, 98, 99], dtype=uint8), False)
    """
    result: np.ndarray[Any, Any] = _out(data, "numpy", dtype, device, copy, None, policy, null)
    return result


@shows_policy()
def to_jax(
    data: Any,
    dtype: object = None,
    device: Any = None,
    *,
    copy: bool | None = None,
    **policy: Unpack[PolicyOptions],
) -> Any:
    """A JAX array of the data, on the CPU, or where they lie on a GPU.

    Shared are elements in C order without gaps, from an address that is a multiple of 64; JAX never
    writes to them, and takes them for constant: a write to the source shows in the array. While
    jax_enable_x64 is off, JAX has no formats of 64 bits; they are refused, never cut to 32. Python
    numbers then become int32 and float32, as in `jax.numpy.asarray`, and raise where that is too
    narrow.

    Args:
        data, dtype, copy, overflow, rounding, nan, inf, exact, seed: as of `tensorcast.as_tensor`.
        device: a jax.Device or a name ("cpu", "cuda:0"); None moves nothing.

    Raises:
        CastError: copy=False and it cannot be shared; the data hold no numbers; JAX has no such
            format.
        MissingLibraryError: JAX is not installed.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
    """
    return _out(data, "jax", dtype, device, copy, None, policy)


@shows_policy()
def to_tensorflow(
    data: Any,
    dtype: object = None,
    device: Any = None,
    *,
    copy: bool | None = None,
    **policy: Unpack[PolicyOptions],
) -> Any:
    """A TensorFlow tensor of the data, on the CPU, or where they lie on a GPU.

    Shared are elements in C order without gaps, from an address that is a multiple of 64, of the
    formats that TensorFlow's DLPack knows: bool, integers and floats of 8 to 64 bits, bfloat16,
    complex. The others that it has (float8, 4 and 2 bits) are copied. A write to the source shows
    in the tensor. Python numbers become int32, or int64 where they need it, and float32, as in
    `tf.constant`.

    Args:
        data, dtype, copy, overflow, rounding, nan, inf, exact, seed: as of `tensorcast.as_tensor`.
        device: a name ("CPU:0", "GPU:0"); None moves nothing.

    Raises:
        CastError: copy=False and it cannot be shared; the data hold no numbers; TensorFlow has
            no such format.
        MissingLibraryError: TensorFlow is not installed.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
    """
    return _out(data, "tensorflow", dtype, device, copy, None, policy)


@shows_policy()
def to_cupy(
    data: Any,
    dtype: object = None,
    device: Any = None,
    *,
    copy: bool | None = None,
    **policy: Unpack[PolicyOptions],
) -> Any:
    """A CuPy array of the data: on their GPU where they lie on one, else on the device named.

    Args:
        data, dtype, copy, overflow, rounding, nan, inf, exact, seed: as of `tensorcast.as_tensor`.
        device: a number, "cuda:0" or a cupy.cuda.Device; None moves nothing, so that data in the
            CPU's memory are refused.

    Raises:
        CastError: copy=False and it cannot be shared; the data hold no numbers; there is no
            CUDA device, or CuPy has no such format.
        MissingLibraryError: CuPy is not installed.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
    """
    return _out(data, "cupy", dtype, device, copy, None, policy)


@shows_policy()
def to_arrow(
    data: Any,
    dtype: object = None,
    *,
    copy: bool | None = None,
    **policy: Unpack[PolicyOptions],
) -> Any:
    """An Arrow array of the data: of one dimension a pyarrow.Array, of more a
    FixedShapeTensorArray.

    Shared are elements in C order without gaps; a write to the source shows in the array. bool is
    copied: Arrow packs it. bfloat16, float8 and what else Arrow lacks come as its canonical type
    for that, `arrow.opaque`, over unsigned integers, with the ml_dtypes name of the format; complex
    over pairs. `tensorcast.to_numpy` and `as_tensor` read all of them.

    Args:
        data, dtype, copy, overflow, rounding, nan, inf, exact, seed: as of `tensorcast.as_tensor`.

    Raises:
        CastError: copy=False and it cannot be shared; the data hold no numbers; they have no
            dimension.
        MissingLibraryError: pyarrow is not installed.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
    """
    return _out(data, "arrow", dtype, None, copy, None, policy)


@shows_policy()
def to_pil(
    data: Any,
    dtype: object = None,
    *,
    mode: str | None = None,
    layout: str | None = None,
    multiply: float | None = None,
    copy: bool | None = None,
    **policy: Unpack[PolicyOptions],
) -> Any:
    """A Pillow image of height x width or height x width x bands, values as they are.

    uint8 makes mode L, LA, RGB or RGBA by the number of bands; bool makes 1, uint16 I;16, int32 I
    and float32 F. Shared are L, P, RGBA, RGBX, CMYK and I;16; Pillow copies such an image before it
    writes to it. The others are copied: Pillow keeps RGB, say, in 4 bytes a pixel.

    Args:
        data, dtype, copy, overflow, rounding, nan, inf, exact, seed: as of `tensorcast.as_tensor`.
        mode: of the image, where it is not to be the one above: P, PA, La, YCbCr, HSV, LAB, RGBX,
            RGBa or CMYK.
        layout: which dimension is which: "CHW", as torch keeps images, "HWC", "HW" or any other
            order; None is "HWC", or "HW" of two dimensions.
        multiply: what every number is multiplied by, exactly, before it is rounded once: 255 for
            numbers from 0 to 1. `dtype` is then uint8 if it is not given, and `rounding`
            "nearest-even".

    Raises:
        CastError: copy=False and it cannot be shared; the data hold no numbers; no mode has
            such pixels; the layout does not fit.
        MissingLibraryError: Pillow is not installed.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.

    Example:
        >>> import numpy as np
        >>> to_pil(np.zeros((2, 3, 4), np.uint8)).mode
        'RGBA'
        >>> image = to_pil(np.full((3, 1, 1), 0.2), layout="CHW", multiply=255)
        >>> image.mode, image.getpixel((0, 0))
        ('RGB', (51, 51, 51))
    """
    if layout is not None:
        data = picture_in(data, layout)
    if multiply is not None:
        if copy is False:
            raise CastError("copy=False, but numbers that are multiplied need new memory")
        data = multiplied(data, multiply)
        dtype = "uint8" if dtype is None else dtype
        policy = {"rounding": "nearest-even", **policy}
    return _out(data, "pil", dtype, None, copy, mode, policy)


def _out(
    data: Any,
    target: Target,
    dtype: object,
    device: Any,
    copy: bool | None,
    mode: str | None,
    options: PolicyOptions,
    null: Any = None,
) -> Any:
    policy = policy_of(f"to_{target}", options) if options else DEFAULT_POLICY
    to = None if dtype is None else lookup_target(dtype)
    return hand_over(data, Asked(target, to, device, copy, mode=mode, null=null), policy)
