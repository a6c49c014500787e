"""Image files as model inputs, and folders of them named by class as labeled data. Pillow decodes, within bounds.

A file is read as every viewer shows it (its EXIF orientation applied), or refused: what a model would see wrongly, like
transparency, several pages or numbers of unknown scale, is named, never guessed.
"""

import warnings
from collections import Counter
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
MAX_LISTED = 2_000_000
_MAX_KINDS = 32
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
_PHOTO_WITH_MORE = "MPO"  # phones put a depth map or a second view behind the photo, which comes first


def read(path: Path, row: Input, *, resize: bool) -> NDArray[np.uint8]:
    """One image in the shape of `row`: [H, W] and [1, H, W] are gray, [H, W, 3] and [3, H, W] are RGB.

    Raises InputError for a file that is no image, one that cannot be read without guessing (transparent, several
    pages, real numbers), another size unless `resize`, and an input that no image fits.
    """
    return _read(path, row, resize=resize)[0]


def read_folder(folder: Path, row: Input, *, resize: bool) -> LabeledRows:
    """`folder/<class>/<image>`; whatever else lies there is counted by kind. Raises InputError for a folder without
    images, TooLargeError beyond the bounds."""
    files, left_out = _list(folder)
    if not files:
        beside = f"; it holds {', '.join(f'{count} {kind}' for kind, count in left_out.items())}" if left_out else ""
        raise errors.InputError(f"{folder} holds no images: they are looked for in {folder}/<class name>/{beside}")
    if len(files) > MAX_IMAGES or len(files) * row.row_bytes > MAX_BYTES:
        raise errors.TooLargeError(f"{folder} holds {len(files)} images: too many for one import")
    pixels, squeezed = zip(*(_read(path, row, resize=resize) for path in files), strict=True)
    count = sum(squeezed)
    notes = (f"{count} of {len(files)} images were squeezed: their sides are not as the model's",) if count else ()
    return LabeledRows(
        str(folder), np.stack(pixels), np.array([path.parent.name for path in files]), dropped=left_out, notes=notes
    )


def is_squeezed(path: Path, row: Input) -> bool:
    """Would scaling this image to `row` change the ratio of its sides?"""
    return _read(path, row, resize=True)[1]


def _read(path: Path, row: Input, *, resize: bool) -> tuple[NDArray[np.uint8], bool]:
    """(pixels in the shape of `row`, whether they were squeezed)."""
    from PIL import Image, ImageOps

    height, width, channels, first = _layout(row)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise errors.TooLargeError(f"{path} has {image.width} × {image.height} pixels: too many")
                pages = getattr(image, "n_frames", 1)
                if pages > 1 and image.format != _PHOTO_WITH_MORE:
                    raise errors.InputError(f"{path} holds {pages} pages or frames: save each as a file")
                plain = _plain(path, ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError) as exc:
        raise errors.InputError(f"{path} is not a readable image: {exc}") from exc
    squeezed = plain.width * height != plain.height * width
    if plain.size != (width, height):
        if not resize:
            raise errors.InputError(
                f"{path} is {plain.width} × {plain.height} pixels, the model's input {row.name!r} takes "
                f"{width} × {height}: scale it first, or give --resize"
            )
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(plain, dtype=np.uint8)
    return (np.moveaxis(pixels, -1, 0) if first and channels == 3 else pixels).reshape(row.shape), squeezed


def _plain(path: Path, image: Any, mode: str) -> Any:
    """The image as 8-bit gray ("L") or color ("RGB"). Deep gray is scaled by its depth. Raises InputError."""
    if image.has_transparency_data:
        if image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
            raise errors.InputError(f"{path} is transparent in places: save it on the background that the model knows")
        image = image.convert("RGBA").convert("RGB")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        from PIL import Image

        deep = np.asarray(image, dtype=np.float64)
        image = Image.fromarray(np.rint(deep / 257).astype(np.uint8))  # 65535 / 255
    elif image.mode in ("I", "F"):
        raise errors.InputError(
            f"{path} holds {'real' if image.mode == 'F' else '32-bit'} numbers, and their scale is not known: "
            "save it with 8 or 16 bits, or bring an npz"
        )
    return image.convert(mode)


def _list(folder: Path) -> tuple[list[Path], dict[str, int]]:
    """(images, how many other files by kind)."""
    files, left_out, listed = [], Counter[str](), 0
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            left_out["filesBesideClasses"] += entry.name.lower() not in _SYSTEM_FILES
            continue
        for kind, path in _inside(entry):
            listed += 1
            if listed > MAX_LISTED:
                raise errors.TooLargeError(f"{folder} holds more than {MAX_LISTED} files")
            if kind:
                left_out[kind if kind in left_out or len(left_out) < _MAX_KINDS else "otherFiles"] += 1
            else:
                files.append(path)
    return files, {kind: count for kind, count in left_out.items() if count}


def _inside(folder: Path) -> Iterator[tuple[str, Path]]:
    """(why it is left out, file) of one class's folder; the reason of an image is empty."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in _SYSTEM_FILES:
            continue
        if path.is_dir():
            yield from (("inSubfolders", inner) for inner in path.rglob("*") if inner.is_file())
        else:
            suffix = path.suffix.lower()
            yield ("" if suffix in SUFFIXES else f"{suffix[1:9] or 'other'}Files"), path


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
