"""From a proposal or an import to a published version: checked, numbered, signed, and handed to a rollout.

The order of writes makes every step repeatable. The ModelVersion is created first: its name reserves the release number
against everybody. Then the files are signed and published, then the rollout is created (it waits), and `Available` is
the commit. A number is never used twice; a crash may leave a gap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Json, Object
from skerry.adapters.telemetry import logs
from skerry.adapters.trust import repository as trust
from skerry.adapters.trust import store as trust_store
from skerry.controller import condition_json, proposals
from skerry.controller.store import Store
from skerry.core import errors, gates, interface, manifest, specs

log = logs.logger("controller")

_FAILED = {
    gates.Outcome.FAIL: "GatesFailed",
    gates.Outcome.INCONCLUSIVE: "GatesInconclusive",
    gates.Outcome.ERROR: "GatesError",
}


class InterfaceError(errors.InputError):
    """The version cannot take the place of its model's other versions (`core.interface`)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a proposal: `version` names the ModelVersion, empty when there is none."""

    version: str
    reason: str
    message: str
    result: Mapping[str, Any]


class Publisher:
    """Signs what passed. The only holder of the repository's online keys."""

    def __init__(self, store: Store, blobs: Blobs, repository: trust.Repository) -> None:
        self._store = store
        self._blobs = blobs
        self.repository = repository

    def publish_run(self, run: Object, *, now_ms: int) -> Outcome:
        """Publish the proposal of `run` if its gates passed. Raises IntegrityError or InputError when it is not what it
        says; then nothing is signed."""
        proposal = proposals.read(self._blobs, run.name)
        if proposal is None:
            raise errors.NotFoundError(f"TrainingRun {run.name} proposed nothing")
        result = {"digest": proposal.digest, "verdict": proposal.verdict}
        if proposal.outcome is not gates.Outcome.PASS:
            return Outcome("", _FAILED[proposal.outcome], str(proposal.verdict.get("reason", "")), result)
        model, dataset = run.spec["model"], run.spec["datasetDigest"]
        candidate = proposals.fetch(self._blobs, proposal, model, dataset)
        self._check_interface(self._store.get("EdgeModel", model), candidate.manifest)
        version = self._reserve(
            model, run.name, candidate.digest, lambda number: _version_spec(run, candidate, proposal, number)
        )
        self._sign(version, candidate, now_ms)
        self.make_available(version, now_ms=now_ms)
        return Outcome(version.name, "Published", f"{version.name} passed its gates and is published", result)

    def publish_again(self, version: Object, candidate: proposals.Candidate, *, now_ms: int) -> Object:
        """The network of `version`, which was trained here, with other files beside it: a version of its own, reserved,
        signed and rolled out as any other. Its network was judged already, so no comparison has to hold its rollout
        up; what speaks against it still ends it. Again, it is the same version. Raises as the repository does."""
        made = self._reserve(
            version.spec["model"],
            version.spec.get("run", ""),
            candidate.digest,
            lambda number: _again_spec(version, candidate, number),
        )
        if not condition_json.is_true(made.status, "Available"):
            self._sign(made, candidate, now_ms)
            self.make_available(made, now_ms=now_ms, compare=False)
        return made

    def check_import(self, version: Object, *, now_ms: int) -> None:
        """Make an imported version available once the publisher's signature over it is found to be right."""
        try:
            spec = specs.parse_model_version(version.name, version.spec)
            _check_names(spec)
            model = self._store.get("EdgeModel", spec.model)
            specs.parse_edge_model(model.name, model.spec)
            signed = self.repository.find_version(spec.target_path)
            self._check_interface(model, self._check_signed(version, signed))
        except errors.NotFoundError as exc:
            self._refuse(version, "NotReady", str(exc), now_ms)
        except InterfaceError as exc:
            self._refuse(version, "InterfaceDiffers", str(exc), now_ms)
        except (errors.IntegrityError, errors.InputError) as exc:
            self._refuse(version, "NotTrusted", str(exc), now_ms)
        else:
            self.repository.publish(now=_time(now_ms))
            self.make_available(version, now_ms=now_ms)

    def make_available(self, version: Object, *, now_ms: int, compare: bool = True) -> None:
        """The last steps for a version that is signed and in the published snapshot. `compare`: its rollout is as the
        model's policy has it; else it needs no comparison."""
        model = self._store.get("EdgeModel", version.spec["model"])
        number = int(version.spec["version"])
        if int(model.status.get("releaseCounter", 0)) < number:
            self._store.put_status(model, {**model.status, "releaseCounter": number})
        self._create_rollout(model, version, compare)
        if not condition_json.is_true(version.status, "Available"):
            message = f"signed by role {version.spec['targetPath'].partition('/')[0]} and published"
            self._store.put_status(
                version,
                condition_json.with_condition(version.status, "Available", "True", "Published", message, now_ms),
            )
            log.info(
                "version_published",
                model=model.name,
                version=number,
                name=version.name,
                digest=version.spec["digest"],
                source=version.spec["source"],
            )

    def _reserve(self, model: str, run: str, digest: str, spec_of: Callable[[int], Json]) -> Object:
        versions = [version for version in self._store.list("ModelVersion") if version.spec.get("model") == model]
        for known in versions:
            if known.spec.get("run", "") == run and known.spec.get("digest") == digest:
                return known
        while True:
            number = 1 + max(
                int(self._store.get("EdgeModel", model).status.get("releaseCounter", 0)),
                self.repository.highest_version(model),
                *(_number(version) for version in versions),
                0,
            )
            try:
                return self._store.create("ModelVersion", f"{model}-v{number}", spec_of(number))
            except errors.ConflictError:
                # Somebody imported under that number meanwhile.
                versions = [
                    version for version in self._store.list("ModelVersion") if version.spec.get("model") == model
                ]

    def _sign(self, version: Object, candidate: proposals.Candidate, now_ms: int) -> None:
        self.repository.add_version(
            trust_store.RETRAINED,
            version.spec["model"],
            int(version.spec["version"]),
            candidate.digest,
            candidate.contents,
            now=_time(now_ms),
        )
        self.repository.publish(now=_time(now_ms))

    def _check_interface(self, model: Object, version: manifest.Manifest) -> None:
        """A version fits its EdgeModel and the stable version, which may be older than an edit of the EdgeModel: either
        can then take the other's place, also in a rollback. Raises InterfaceError."""
        why = interface.difference(specs.parse_edge_model(model.name, model.spec), version)
        stable = str(model.status.get("stableVersion", ""))
        if not why and (before := self._manifest_of(stable)) is not None:
            why = interface.change(before, version)
        if why:
            raise InterfaceError(
                f"the version has another interface than EdgeModel {model.name}"
                f"{f', of which {stable} is stable' if stable else ''}: {why}; a model keeps its interface: "
                "publish this one under another model name"
            )

    def _manifest_of(self, version: str) -> manifest.Manifest | None:
        """None when there is no such version, or its files are gone."""
        known = self._store.find("ModelVersion", version) if version else None
        if known is None:
            return None
        try:
            signed = self.repository.find_version(str(known.spec["targetPath"]))
            return manifest.from_json(self.repository.read_target(signed, trust.MANIFEST))
        except errors.NotFoundError:
            log.warning("stable_version_has_no_files", name=version)
            return None

    def _check_signed(self, version: Object, signed: trust.SignedVersion) -> manifest.Manifest:
        """The object, the signed metadata and the files in the repository say the same."""
        spec = version.spec
        if (signed.model, signed.version, signed.digest) != (spec["model"], spec["version"], spec["digest"]):
            raise errors.IntegrityError(
                f"{version.name} says {spec['digest']}, but {signed.target_path} is signed as {signed.digest}"
            )
        data = self.repository.read_target(signed, trust.MANIFEST)
        parsed = manifest.from_json(data)
        if parsed.model != spec["model"] or manifest.digest_of(data) != spec["digest"]:
            raise errors.IntegrityError(f"the signed manifest of {version.name} is of model {parsed.model!r}")
        for file in parsed.files.values():
            if file.name not in signed.files:
                raise errors.IntegrityError(f"{signed.target_path}/{file.name} is named by its manifest and not signed")
            if f"sha256:{signed.files[file.name][0]}" != file.digest:
                raise errors.IntegrityError(f"{signed.target_path}/{file.name} is signed with another digest")
            self.repository.read_target(signed, file.name)
        return parsed

    def _refuse(self, version: Object, reason: str, message: str, now_ms: int) -> None:
        if not condition_json.has(version.status, "Available", "False", reason, message):
            log.warning("version_refused", name=version.name, reason=reason, message=message)
        self._store.put_status(
            version, condition_json.with_condition(version.status, "Available", "False", reason, message, now_ms)
        )

    def _create_rollout(self, model: Object, version: Object, compare: bool) -> None:
        """The automatic rollout of a new version; one name per version, so it comes once."""
        policy = specs.parse_edge_model(model.name, model.spec).rollout
        if not policy.automatic:
            return
        spec, name = rollout_spec(model, version.name), rollout_name(version.name)
        if not compare:
            spec["analysis"] = {**spec.get("analysis", {}), "required": False}
        try:
            self._store.create("ModelRollout", name, spec)
        except errors.ConflictError:
            return
        log.info("rollout_created", rollout=name, model=model.name, version=version.name)


def _check_names(spec: specs.ModelVersion) -> None:
    """What is called an import was signed as one, and is named by its number: names reserve numbers."""
    path = trust.target_path(trust_store.IMPORTED, spec.model, spec.version)
    if spec.name != f"{spec.model}-v{spec.version}" or spec.target_path != path:
        raise errors.InputError(
            f"ModelVersion {spec.name}: an import of {spec.model} number {spec.version} must be named "
            f"{spec.model}-v{spec.version} and lie at {path}, not at {spec.target_path!r}"
        )


def rollout_name(version: str) -> str:
    """Of the rollout that comes by itself with a version."""
    return f"{version}-auto"


def rollout_spec(model: Object, version: str) -> Json:
    """ModelRollout.spec from EdgeModel.spec.rollout: the same fields, less the switch."""
    policy = {key: value for key, value in model.spec.get("rollout", {}).items() if key != "automatic"}
    return {"model": model.name, "version": version, **policy}


def _version_spec(run: Object, candidate: proposals.Candidate, proposal: proposals.Proposal, number: int) -> Json:
    model = run.spec["model"]
    return {
        "model": model,
        "version": number,
        "digest": candidate.digest,
        "targetPath": trust.target_path(trust_store.RETRAINED, model, number),
        "source": "Trained",
        "run": run.name,
        "sizeBytes": candidate.size_bytes,
        "verdict": dict(proposal.verdict),
        "runtime": candidate.manifest.runtime.fields(),
        **({} if proposal.compression is None else {"compression": dict(proposal.compression)}),
    }


def _again_spec(version: Object, candidate: proposals.Candidate, number: int) -> Json:
    """What is said of a version, of one with the same network and other files beside it: the sizes are its own."""
    model = version.spec["model"]
    sizes = {role: file.size_bytes for role, file in candidate.manifest.files.items()}
    own = {
        "goldenBytes": sizes.get("golden", 0),
        "manifestBytes": len(candidate.contents[trust.MANIFEST]),
        "wireBytes": candidate.size_bytes,
    }
    told = version.spec.get("compression")
    return {
        **version.spec,
        "version": number,
        "digest": candidate.digest,
        "targetPath": trust.target_path(trust_store.RETRAINED, model, number),
        "sizeBytes": candidate.size_bytes,
        **({"compression": {**told, **own}} if isinstance(told, Mapping) else {}),
    }


def _number(version: Object) -> int:
    """The release number, 0 for an object that says none: people create imports by hand, too."""
    number = version.spec.get("version")
    return number if isinstance(number, int) and 0 < number < 2**53 else 0


def _time(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
