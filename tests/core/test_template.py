"""The template of a training job: what is taken, what is refused with words, and who inherits it."""

from typing import Any

import pytest

from skerry.core import digests, errors, intents, specs

DATASET = digests.sha256(b"dataset")
WHOLE: dict[str, Any] = {
    "labels": {"team": "vision", "kueue.x-k8s.io/priority-class": "low"},
    "nodeSelector": {"example.com/gpu": "a2"},
    "tolerations": [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
    ],
    "resources": {"requests": {"cpu": "500m", "memory": "1.5Gi"}, "limits": {"nvidia.com/gpu": "1"}},
    "workers": 4,
    "queue": "nightly",
}


def run(**spec: Any) -> specs.TrainingRun:
    return specs.parse_training_run("run-1", {"model": "digits", "datasetDigest": DATASET, **spec})


def test_a_whole_template_is_read() -> None:
    found = run(template=WHOLE, suspend=True)
    assert found.suspend
    assert found.template == specs.JobTemplate(
        labels=WHOLE["labels"],
        node_selector={"example.com/gpu": "a2"},
        tolerations=(
            specs.Toleration("nvidia.com/gpu", "Exists", "", "NoSchedule"),
            specs.Toleration("spot", "Equal", "yes", "NoExecute", 60),
        ),
        requests={"cpu": "500m", "memory": "1.5Gi"},
        limits={"nvidia.com/gpu": "1"},
        workers=4,
        queue="nightly",
    )


@pytest.mark.parametrize(
    ("template", "told"),
    [
        pytest.param({"label": {}}, "did you mean labels", id="a typo"),
        pytest.param({"workers": 0}, "must be in 1..64", id="no worker"),
        pytest.param({"workers": 65}, "must be in 1..64", id="too many workers"),
        pytest.param({"queue": "Nightly!"}, "template.queue", id="a queue that is no name"),
        pytest.param({"labels": {"skerry.dev/run": "x"}}, "the controller writes itself", id="a label of ours"),
        pytest.param({"labels": {"kueue.x-k8s.io/queue-name": "x"}}, "spec.template.queue", id="the queue as label"),
        pytest.param({"labels": {"-bad": "x"}}, "must have keys like", id="a label key that is none"),
        pytest.param({"labels": {"a": "x" * 64}}, "at most 63", id="a label value that is too long"),
        pytest.param({"labels": {"a": 1}}, "must hold texts", id="a number as label"),
        pytest.param({"labels": {f"k{n}": "" for n in range(65)}}, "at most 64", id="too many labels"),
        pytest.param({"nodeSelector": {"a b": "x"}}, "nodeSelector", id="a selector that is none"),
        pytest.param({"tolerations": [{"value": "x"}]}, "key is missing", id="a toleration of nothing"),
        pytest.param({"tolerations": [{"key": "a", "operator": "Is"}]}, "must be one of", id="an unknown operator"),
        pytest.param({"tolerations": [{"key": "a", "effect": "Never"}]}, "must be one of", id="an unknown effect"),
        pytest.param({"tolerations": [{"operator": "Exists", "value": "x"}]}, "has no meaning", id="exists with value"),
        pytest.param({"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, "NoExecute", id="seconds of no effect"),
        pytest.param(
            {"resources": {"requests": {"cpu": 2}}}, 'must hold texts ("2", not 2)', id="a number as quantity"
        ),
        pytest.param({"resources": {"limits": {"memory": "4 GB"}}}, 'like "2", "500m" or "4Gi"', id="a wrong quantity"),
        pytest.param({"resources": {"limits": {"memory": "-4Gi"}}}, "must be a quantity", id="a negative quantity"),
        pytest.param({"resources": {"claims": []}}, "is not a known field", id="what we do not pass on"),
    ],
)
def test_a_template_that_cannot_be_is_refused_with_the_field(template: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.InputError) as found:
        run(template=template)
    assert "TrainingRun run-1: spec.template" in str(found.value) and told in str(found.value)
    with pytest.raises(errors.InputError, match=r"EdgeModel digits: spec\.retrain\.template"):
        specs.parse_edge_model("digits", model(template=template))


def model(**retrain: Any) -> dict[str, Any]:
    return {
        "classNames": ["a", "b"],
        "network": {"factory": "x:y"},
        "input": {"name": "x", "datatype": "FP32", "shape": [4]},
        "retrain": retrain,
    }


def test_a_template_is_no_override() -> None:
    with pytest.raises(errors.InputError, match=r"overrides\.template is no override: set spec\.template"):
        run(overrides={"template": {"workers": 2}})


def test_a_run_without_a_template_takes_the_models_and_one_with_its_own_takes_it_whole() -> None:
    policy = {"epochs": 3, "template": WHOLE}
    assert run().retrain(policy).template.workers == 4
    own = run(template={"workers": 2}).retrain(policy)
    assert (own.template, own.epochs) == (specs.JobTemplate(workers=2), 3)


@pytest.mark.parametrize("given", [{}, {"template": WHOLE}], ids=["none", "one"])
def test_a_run_that_is_asked_for_carries_the_models_template_of_that_moment(given: dict[str, Any]) -> None:
    made = intents.retrain("digits", model(**given), [], "1", dataset=DATASET, base="", reason="test")
    assert made.spec.get("template") == given.get("template")
    assert specs.parse_training_run(made.name, made.spec).suspend is False
