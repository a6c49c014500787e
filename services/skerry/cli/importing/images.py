"""Image files as model inputs, and folders of them named by class as labelled data. Pillow decodes, within bounds."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cli.importing.labeled import LabeledRows
from skerry.core import errors
from skerry.core.datasets import Input

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
MAX_IMAGES = 500_000
MAX_BYTES = 1 << 30
MAX_PIXELS = 50_000_000


def read(path: Path, row: Input, *, resize: bool) -> NDArray[np.uint8]:
    """One image in the shape of `row`: [H, W] and [1, H, W] are gray, [H, W, 3] and [3, H, W] are RGB.

    Raises InputError for a file that is no image, another size unless `resize`, and an input that no image fits.
    """
    from PIL import Image

    height, width, channels, first = _layout(row)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise errors.TooLargeError(f"{path} has {image.width} × {image.height} pixels: too many")
                plain = image.convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError) as exc:
        raise errors.InputError(f"{path} is not a readable image: {exc}") from exc
    if plain.size != (width, height):
        if not resize:
            raise errors.InputError(
                f"{path} is {plain.width} × {plain.height} pixels, the model's input {row.name!r} takes "
                f"{width} × {height}: scale it first, or give --resize"
            )
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(plain, dtype=np.uint8)
    return (np.moveaxis(pixels, -1, 0) if first and channels == 3 else pixels).reshape(row.shape)


def read_folder(folder: Path, row: Input, *, resize: bool) -> LabeledRows:
    """`folder/<class>/<image>`. Raises InputError for an empty folder, TooLargeError beyond the bounds."""
    files = list(_files(folder))
    if not files:
        raise errors.InputError(f"{folder} holds no images: they are looked for in {folder}/<class name>/")
    if len(files) > MAX_IMAGES or len(files) * row.row_bytes > MAX_BYTES:
        raise errors.TooLargeError(f"{folder} holds {len(files)} images: too many for one import")
    x = np.stack([read(path, row, resize=resize) for path in files])
    return LabeledRows(str(folder), x, np.array([path.parent.name for path in files]))


def _files(folder: Path) -> Iterator[Path]:
    for kind in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        yield from sorted(path for path in kind.iterdir() if path.suffix.lower() in SUFFIXES)


def _layout(row: Input) -> tuple[int, int, int, bool]:
    """(height, width, channels, channels first)."""
    shape: tuple[Any, ...] = row.shape
    if row.datatype == "UINT8":
        if len(shape) == 2:
            return shape[0], shape[1], 1, False
        if len(shape) == 3 and shape[0] in (1, 3):
            return shape[1], shape[2], shape[0], True
        if len(shape) == 3 and shape[2] in (1, 3):
            return shape[0], shape[1], shape[2], False
    raise errors.InputError(
        f"the model's input {row.name!r} ({row.datatype} {list(shape)}) does not take images as they are: images are "
        "UINT8 of shape [H, W], [H, W, 3] or [3, H, W]; bring other inputs as npz"
    )
