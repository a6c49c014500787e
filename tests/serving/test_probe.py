"""What this node can load is found by trying, and agrees with what onnx itself writes."""

from pathlib import Path

import onnx
import pytest

from skerry.core import errors
from skerry.serving import probe, runtime


def test_the_probes_file_is_a_valid_model() -> None:
    made = onnx.load_from_string(probe.tiny_model(8, 17))
    onnx.checker.check_model(made)
    assert (made.ir_version, made.opset_import[0].version) == (8, 17)


def test_the_limits_are_the_highest_that_load() -> None:
    found = probe.limits()
    runtime.Session(probe.tiny_model(found.max_ir_version, found.max_opset), "highest")
    for ir_version, opset in ((found.max_ir_version + 1, 17), (8, found.max_opset + 1)):
        with pytest.raises(errors.IntegrityError, match="onnxruntime"):
            runtime.Session(probe.tiny_model(ir_version, opset), "above")
    assert found.onnxruntime == runtime.VERSION


@pytest.mark.parametrize(
    ("flags", "machine", "name"),
    [
        ("flags : fpu avx2 avx512_vnni", "x86_64", "x86-vnni"),
        ("flags : fpu avx2 avx_vnni", "x86_64", "x86-vnni"),
        ("flags : fpu avx2", "x86_64", "x86-avx2"),
        ("flags : fpu", "x86_64", "x86-old"),
        ("Features : fp asimd asimddp", "aarch64", "arm-v8.2"),
        ("Features : fp asimd", "aarch64", "arm-v8.0"),
        ("", "riscv64", "riscv64"),
    ],
)
def test_the_class_of_a_cpu(tmp_path: Path, flags: str, machine: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    assert probe.cpu_class(tmp_path / "cpuinfo", machine) == name


def test_an_unknown_execution_provider_is_refused_with_those_there_are() -> None:
    with pytest.raises(errors.InputError, match="cpu"):
        runtime.check_provider("abacus")
    assert runtime.check_provider("cpu") == "CPUExecutionProvider"
