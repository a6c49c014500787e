"""Images are read as every viewer shows them, or refused; what a folder holds beside them is counted by kind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_system import StillSystem
from numpy.typing import NDArray
from PIL import Image, ImageOps

from skerry.cli import agent_client
from skerry.cli.importing import images
from skerry.core import errors, specs
from skerry.core.datasets import Input

GRAY, COLOR = Input("x", "UINT8", (8, 8)), Input("x", "UINT8", (8, 8, 3))
_ORIENTATION = 0x0112


def half() -> NDArray[np.uint8]:
    """Bright above, dark below; brighter to the right, so that no two orientations are alike."""
    pixels = np.zeros((8, 8), np.uint8)
    pixels[:4] = 200
    return pixels + np.arange(8, dtype=np.uint8)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_read_as_every_viewer_shows_it(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(half())
    exif = image.getexif()
    exif[_ORIENTATION] = orientation
    path = save(tmp_path / "p.png", image, exif=exif)
    with Image.open(path) as stored:
        shown = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(images.read(path, GRAY, resize=False), shown)
    assert orientation == 1 or not np.array_equal(shown, half())


def test_a_turned_photo_is_measured_as_it_is_shown(tmp_path: Path) -> None:
    image = Image.new("L", (8, 4), 9)
    exif = image.getexif()
    exif[_ORIENTATION] = 6  # turned by a quarter: it is shown 4 wide and 8 high
    path = save(tmp_path / "p.jpg", image, exif=exif)
    assert images.read(path, Input("x", "UINT8", (8, 4)), resize=False).shape == (8, 4)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_a_deep_image_is_scaled_by_its_depth(tmp_path: Path, suffix: str) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    path = save(tmp_path / f"p.{suffix}", Image.fromarray(deep))
    assert np.array_equal(images.read(path, GRAY, resize=False), np.rint(deep / 257).astype(np.uint8))


@pytest.mark.parametrize(
    ("name", "image", "options", "said"),
    [
        pytest.param("p.tiff", Image.fromarray(np.ones((8, 8), np.float32)), {}, "real numbers", id="real numbers"),
        pytest.param("p.tiff", Image.fromarray(np.ones((8, 8), np.int32)), {}, "32-bit numbers", id="32-bit numbers"),
        pytest.param("p.png", Image.new("RGBA", (8, 8), (9, 9, 9, 100)), {}, "transparent", id="an alpha channel"),
        pytest.param("p.png", Image.new("LA", (8, 8), (9, 0)), {}, "transparent", id="gray with alpha"),
        pytest.param("p.png", Image.new("L", (8, 8), 9), {"transparency": 9}, "transparent", id="a transparent color"),
        pytest.param(
            "p.tiff",
            Image.new("L", (8, 8), 9),
            {"save_all": True, "append_images": [Image.new("L", (8, 8), 1)]},
            "2 pages",
            id="two pages",
        ),
    ],
)
def test_what_could_only_be_guessed_is_refused(
    tmp_path: Path, name: str, image: Image.Image, options: dict[str, Any], said: str
) -> None:
    path = save(tmp_path / name, image, **options)
    with pytest.raises(errors.InputError, match=said):
        images.read(path, GRAY, resize=False)


def test_an_alpha_channel_that_hides_nothing_changes_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "p.png", Image.new("RGBA", (8, 8), (10, 20, 30, 255)))
    assert images.read(path, COLOR, resize=False)[0, 0].tolist() == [10, 20, 30]


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    still.edge_model("cam", classNames=["ok", "worn"], input={"name": "x", "datatype": "UINT8", "shape": [8, 8, 3]})
    return still


def folder(root: Path, count: int = 10, size: tuple[int, int] = (8, 8)) -> Path:
    for name in ("ok", "worn"):
        (root / name).mkdir(parents=True)
        for index in range(count):
            save(root / name / f"{index}.png", Image.new("RGB", size, (index, 9, 9 if name == "ok" else 90)))
    return root


def test_whatever_is_not_read_is_counted_by_kind(system: StillSystem, tmp_path: Path) -> None:
    root = folder(tmp_path / "f")
    for name in ("ok", "worn"):
        for index in range(15):
            (root / name / f"IMG_{index}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
        save(root / name / "moving.gif", Image.new("L", (8, 8)))
        (root / name / "line2").mkdir()
        save(root / name / "line2" / "1.png", Image.new("RGB", (8, 8)))
        (root / name / ".DS_Store").touch()
    (root / "notes.txt").touch()
    left_out = {"heicFiles": 30, "gifFiles": 2, "inSubfolders": 2, "filesBesideClasses": 1}
    told = json.loads(system.good("datasets", "import", root, "--model", "cam", "--json"))
    assert told["dropped"] == left_out
    assert told["train"] + told["holdout"] == 20
    assert system.dataset("cam")[0].dropped == left_out
    assert "left out: 30 (heicFiles)" in system.good("datasets", "import", root, "--model", "cam")


def test_a_folder_without_a_readable_image_says_what_it_holds(system: StillSystem, tmp_path: Path) -> None:
    (tmp_path / "f" / "ok").mkdir(parents=True)
    (tmp_path / "f" / "ok" / "1.heic").touch()
    assert "1 heicFiles" in system.bad(2, "datasets", "import", tmp_path / "f", "--model", "cam")


def test_a_resize_that_squeezes_is_said(system: StillSystem, tmp_path: Path) -> None:
    root = folder(tmp_path / "f", size=(16, 16))
    assert not system.run("datasets", "import", root, "--model", "cam", "--resize").stderr
    save(root / "ok" / "wide.png", Image.new("RGB", (16, 8)))
    result = system.run("datasets", "import", root, "--model", "cam", "--resize")
    assert "1 of 21 images were squeezed" in result.stderr


def test_a_folder_of_an_unknown_class_is_refused(system: StillSystem, tmp_path: Path) -> None:
    root = folder(tmp_path / "f")
    (root / "worn").rename(root / "wron")
    assert "'wron' is no class" in system.bad(2, "datasets", "import", root, "--model", "cam")


def test_folders_of_codes_are_names(system: StillSystem, tmp_path: Path) -> None:
    system.edge_model("codes", classNames=["0", "1", "01"], input={"name": "x", "datatype": "UINT8", "shape": [8, 8]})
    for name in ("1", "01"):
        (tmp_path / "f" / name).mkdir(parents=True)
        for index in range(4):
            save(tmp_path / "f" / name / f"{index}.png", Image.new("L", (8, 8), index + 10 * len(name)))
    system.good("datasets", "import", tmp_path / "f", "--model", "codes")
    manifest, _ = system.dataset("codes")
    assert np.sum([part.per_class for part in manifest.parts], axis=0).tolist() == [0, 4, 4]


@pytest.mark.parametrize(("size", "squeezed"), [((16, 8), True), ((16, 16), False), ((8, 8), False)])
def test_an_image_that_infer_would_squeeze_is_known(tmp_path: Path, size: tuple[int, int], squeezed: bool) -> None:
    wanted = specs.Input("x", "UINT8", (8, 8, 3))
    path = save(tmp_path / "p.png", Image.new("RGB", size))
    assert agent_client.is_squeezed(path, wanted) is squeezed
    np.savez(tmp_path / "p.npz", x=np.zeros((8, 8, 3), np.uint8))
    assert not agent_client.is_squeezed(tmp_path / "p.npz", wanted)
