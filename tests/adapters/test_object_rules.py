"""What the stores refuse that an API server refuses by its schema."""

import pytest

from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import errors, writers


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["b", "a"], id="another order"),
        pytest.param(["a"], id="one less"),
        pytest.param(["a", "bc"], id="another name that begins alike"),
        pytest.param(["a", "x", "b"], id="one in between"),
    ],
)
def test_the_classes_of_a_model_are_never_put_in_another_order(names: list[str]) -> None:
    store = MemoryObjects()
    store.create("EdgeModel", "m", {"classNames": ["a", "b"]}, manager=writers.OPERATOR)
    with pytest.raises(errors.InputError, match="may only be appended to"):
        store.patch("EdgeModel", "m", manager=writers.OPERATOR, spec={"classNames": names})
    store.patch("EdgeModel", "m", manager=writers.OPERATOR, spec={"classNames": ["a", "b", "c"]})
    assert store.get("EdgeModel", "m").spec["classNames"] == ["a", "b", "c"]
