"""The file in which a node says what it asks of its privacy: read strictly, and an agent without it does not start."""

from pathlib import Path

import pytest

from skerry.agent import privacy_floor
from skerry.agent import settings as settings_module
from skerry.core import errors, privacy, redaction
from skerry.core.privacy import Keep, Leave, Privacy

WRITTEN = """
"*": {keep: Nothing, leave: Never}
digits:
  keep: Full
  leave: Teacher
  redact:
    - {op: mask, box: [[0, 4], [0, 28]]}
"""


def test_a_floor_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "privacy.yaml").write_text(WRITTEN)
    floor = privacy_floor.read(tmp_path / "privacy.yaml")
    mask = redaction.Mask(((0, 4), (0, 28)))
    assert floor == privacy.Floor({"digits": Privacy(Keep.FULL, Leave.TEACHER, (mask,))}, privacy.CLOSED)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("", "must be an object"),
        ("{", "is no YAML"),
        ("[" * 5000, "is no YAML"),
        ('"*": {keep: Full, leave: Never}\n"*": {keep: Full, leave: Cloud}', "given twice"),
        ('"*": {keep: Nothing, keep: Full, leave: Never}', "'keep' is given twice"),
        ('"*": {keep: Nothing, leave: no}', "leave must be a text"),
        ("a: !!python/object/apply:os.system [echo]", "is no YAML"),
        ("#" * 70_000, "more than 65536 bytes"),
        ("\x00", "is no YAML"),
    ],
)
def test_a_file_that_is_not_right_is_refused_by_name(tmp_path: Path, written: str, fault: str) -> None:
    (tmp_path / "privacy.yaml").write_text(written)
    with pytest.raises(errors.InputError, match=fault) as caught:
        privacy_floor.read(tmp_path / "privacy.yaml")
    assert "privacy.yaml" in str(caught.value) and len(str(caught.value)) < 1000


def test_a_file_that_is_not_there_is_no_permission(tmp_path: Path) -> None:
    with pytest.raises(errors.UnavailableError, match=r"SKERRY_PRIVACY names .* does not start"):
        privacy_floor.read(tmp_path / "privacy.yaml")


def test_the_setting_names_the_file() -> None:
    usual = {
        "SKERRY_NODE": "north",
        "SKERRY_STATE": "/state",
        "SKERRY_GATEWAY": "gateway:1",
        "SKERRY_REPOSITORY_URL": "http://gateway:2/repository",
        "SKERRY_TRUST_ROOT": "/root.json",
    }
    assert settings_module.read(usual).privacy is None
    assert settings_module.read(usual | {"SKERRY_PRIVACY": "/etc/privacy.yaml"}).privacy == Path("/etc/privacy.yaml")
