"""Text files as editors write them are taken or refused by name; no class name ever shows a wrong encoding."""

import unicodedata
from pathlib import Path

import pytest
from cli_system import StillSystem
from PIL import Image

from skerry.cli.importing import network
from skerry.core import errors

MODEL = "name: press\nspec:\n  classNames: [{}]\n  input: {{name: x, datatype: UINT8, shape: [8, 8]}}\n"


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    return StillSystem(tmp_path / "state")


def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("\ufeffok\r\nworn\r\n".encode())
    assert network.labels(str(tmp_path / "labels.txt")) == ("ok", "worn")


@pytest.mark.parametrize("text", ["\ufeffok,worn", "gr\ufffd\ufffder,klein"])
def test_labels_with_a_trace_of_a_wrong_encoding_are_refused(text: str) -> None:
    with pytest.raises(errors.InputError, match="save the text as UTF-8"):
        network.labels(text)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_description_in_latin_1_is_refused(system: StillSystem, tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"m.{suffix}").write_bytes(MODEL.format("klein, größer").encode("latin-1"))
    assert "is not UTF-8 text (line 3)" in system.bad(2, "models", "apply", tmp_path / f"m.{suffix}")
    assert not system.objects.list("EdgeModel")


def test_a_description_with_a_byte_order_mark_is_taken(system: StillSystem, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_bytes(b"\xef\xbb\xbf" + MODEL.format("klein, größer").encode())
    system.good("models", "apply", tmp_path / "m.yaml")
    assert system.objects.get("EdgeModel", "press").spec["classNames"] == ["klein", "größer"]


@pytest.mark.parametrize("described", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_an_umlaut_is_the_same_however_it_is_written(
    system: StillSystem, tmp_path: Path, described: str, stored: str
) -> None:
    written = unicodedata.normalize(described, "ölig")  # type: ignore[arg-type]  # one of its forms
    (tmp_path / "m.yaml").write_text(MODEL.format(f"trocken, {written}"))
    system.good("models", "apply", tmp_path / "m.yaml")
    assert system.objects.get("EdgeModel", "press").spec["classNames"] == ["trocken", "ölig"]
    for name in ("trocken", unicodedata.normalize(stored, "ölig")):  # type: ignore[arg-type]  # one of its forms
        (tmp_path / "f" / name).mkdir(parents=True)
        for index in range(4):
            Image.new("L", (8, 8), 9 * index + len(name)).save(tmp_path / "f" / name / f"{index}.png")
    assert "ölig" in system.good("datasets", "import", tmp_path / "f", "--model", "press")


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        pytest.param(
            "m.yaml",
            MODEL.format("ok, worn") + "  retrain: {epochs: 3}\n  retrain: {epochs: 4}\n",
            "retrain",
            id="YAML",
        ),
        pytest.param("m.yaml", MODEL.format("ok, worn") + "name: other\n", "name", id="YAML, outside"),
        pytest.param("m.json", '{"name": "press", "spec": {"retention": 1, "retention": 2}}', "retention", id="JSON"),
    ],
)
def test_a_key_that_stands_twice_is_refused_by_name(
    system: StillSystem, tmp_path: Path, name: str, text: str, key: str
) -> None:
    (tmp_path / name).write_text(text)
    assert f"has the key '{key}' twice" in system.bad(2, "models", "apply", tmp_path / name)
    assert not system.objects.list("EdgeModel")


def test_a_merged_key_may_be_overridden(system: StillSystem, tmp_path: Path) -> None:
    text = "name: press\nspec:\n  input: &x {name: x, datatype: UINT8, shape: [8, 8]}\n  classNames: [ok, worn]\n"
    (tmp_path / "m.yaml").write_text(text.replace("&x {", "{<<: {name: y}, "))
    system.good("models", "apply", tmp_path / "m.yaml")
    assert system.objects.get("EdgeModel", "press").spec["input"]["name"] == "x"


@pytest.mark.parametrize("names", ["yes, no", "01, 02", "1.0, 2.0"])
def test_names_that_yaml_reads_as_something_else_are_refused(system: StillSystem, tmp_path: Path, names: str) -> None:
    (tmp_path / "m.yaml").write_text(MODEL.format(names))
    assert "classNames" in system.bad(2, "models", "apply", tmp_path / "m.yaml")
