# skerry: `make` lists the targets. Everything lives in .venv; nothing outside the checkout is touched.
# Empty: the newest suitable one that is there (scripts/setup says which).
PYTHON ?=
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-rest test-all test-python test-loaded test-helm test-rollout-long check fix stubs reference lock setup examples bench bench-quick scale test-conformance test-arm test-interop test-apiserver test-cluster test-kind fuzz images images-archive wheel sbom test-images

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1|/' | awk -F'|' '{printf "  make %-18s %s\n", $$1, $$2}'

.venv/.ready: pyproject.toml requirements/dev.txt requirements/build.txt requirements/torch.txt scripts/setup scripts/torch
	@PYTHON=$(PYTHON) scripts/setup

setup: .venv/.ready ## make .venv with everything (CPU builds only)

demo: .venv/.ready ## the closed loop on this machine: edge, cloud, retraining, rollout (arguments: ARGS="--fault corrupt")
	@$(BIN)/skerry demo $(ARGS)

# Two workers, each of which goes on with what the other has left: PYTEST="-n 0" is one after the other, for a debugger.
PARALLEL := -n 2 --dist worksteal

test: .venv/.ready ## what a change has to pass, in minutes; says at its end what was left out (PYTEST="-k name")
	@$(BIN)/python -m pytest $(PARALLEL) -m "not long" $(PYTEST)

test-rest: .venv/.ready ## what `make test` leaves out: the long ones, what wants programs, more examples of each property (PYTEST="-k name")
	@$(BIN)/python -m pytest $(PARALLEL) -m "long or requires or hypothesis" $(PYTEST)

test-all: test test-rest ## both: mutants, kills before every write, every transport, every program that is there

test-python: .venv/.ready ## what needs no torch on a second Python: the newest other one found (SECOND_PYTHON=…)
	@scripts/second $(PYTEST)

test-loaded: .venv/.ready ## `make test` beside four busy processes of stress-ng: what fails then is a fault
	@scripts/loaded $(PARALLEL) -m "not long" $(PYTEST)

test-rollout-long: .venv/.ready ## 20,000 random histories of rollouts instead of a few (about half an hour)
	@SKERRY_LONG=1 $(BIN)/python -m pytest tests/core/test_rollout_machine.py -k history

NODES ?= 1000
scale: .venv/.ready ## a whole control plane with NODES simulated agents: what each part costs (NODES=1000 JSON=file; KUBEBUILDER_ASSETS, else SQLite)
	@$(BIN)/python -m bench.scale.main --nodes $(NODES) --json $(or $(JSON),bench/results/scale-$(NODES).json) $(ARGS)

test-conformance: .venv/.ready ## gRPC, HTTP/2 and TUF by programs of others from the PATH, TUF_CONFORMANCE=<checkout of it>; fails without them
	@SKERRY_REQUIRE=conformance,nghttp,tuf-conformance $(BIN)/python -m pytest tests/conformance

test-arm: .venv/.ready ## the serving path on emulated aarch64 with real wheels: starts, answers as x86 does (260 MB in .cache)
	@scripts/arm
	@SKERRY_REQUIRE=arm $(BIN)/python -m pytest tests/arm

test-interop: .venv/.ready ## clients of Triton, KServe, MLServer and grpcio, each in an environment of its own in .cache (about 1 GB)
	@SKERRY_REQUIRE=interop $(BIN)/python -m pytest tests/interop

examples: .venv/.ready ## real data through the whole loop, a table beside naive ways (ONLY=traffic,energy,steel_plates,machine_temperature SEEDS=0,1,2 ALLOW_MISSING=1)
	@$(BIN)/python -m examples.main $(if $(ONLY),--only $(ONLY)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(ALLOW_MISSING),--allow-missing)

bench: .venv/.ready ## ours beside other servers with the same model: CPU per request, latency, memory (15 minutes; peers in .cache)
	@$(BIN)/python -m bench.main $(ARGS)

bench-quick: .venv/.ready ## the same for ours, raw ONNX Runtime and plain grpcio only (2 minutes)
	@$(BIN)/python -m bench.main --quick $(ARGS)

test-helm: .venv/.ready ## the charts: schemas, snapshots, network matrix, rights, a real API server (helm, KUBEBUILDER_ASSETS)
	@SKERRY_REQUIRE=helm,apiserver $(BIN)/python -m pytest tests/helm

test-apiserver: .venv/.ready ## custom resources and controller on a real API server of KUBEBUILDER_ASSETS, behind a fault proxy
	@SKERRY_REQUIRE=apiserver,kubernetes $(BIN)/python -m pytest tests/apiserver tests/adapters/test_objects.py tests/adapters/test_lease.py $(PYTEST)

SECONDS ?= 60
fuzz: .venv/.ready ## coverage-guided fuzzing of a gRPC connection (SECONDS=60)
	@SECONDS_TO_RUN=$(SECONDS) scripts/fuzz

images: ## container images skerry-{agent,cloud,trainer,valkey} with Docker (TAG=dev BASE_IMAGE=… WHEELS=folder)
	@scripts/images $(IMAGES)

CLUSTER ?= tests/cluster
test-cluster: .venv/.ready ## the whole system on the Kubernetes cluster of KUBECONFIG, after `make images` (docs/how-to/cluster-tests.md; CLUSTER=files)
	@SKERRY_REQUIRE=cluster,cluster-faults $(BIN)/python -m pytest $(CLUSTER) --durations=10

test-kind: .venv/.ready ## install, enrol, close the loop and follow the docs on a kind cluster of its own, after `make images` (KIND_NODE_IMAGE=…)
	@scripts/kind test

test-images: .venv/.ready ## what is in the images, and that the agent's can be built for arm64; after `make images` (TAG=dev)
	@SKERRY_REQUIRE=images,index $(BIN)/python -m pytest tests/images

wheel: .venv/.ready ## dist/skerry-….whl, the same bytes from the same sources
	@$(BIN)/python -m hatchling build -t wheel -d dist

sbom: .venv/.ready ## bills of materials (CycloneDX) in dist/sbom: of the wheel, and of images (IMAGES="skerry-agent:dev …")
	@$(BIN)/python scripts/sbom $(IMAGES)

images-archive: ## all images in one file for sites without a registry (ARCHIVE=skerry-images.tar)
	@ARCHIVE=$(or $(ARCHIVE),skerry-images.tar) scripts/images

check: .venv/.ready ## lint, types, import rules, stale stubs and reference pages; writes nothing
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/test_import_circles.py
	@scripts/stubs --check
	@$(BIN)/python scripts/reference --check
	@$(BIN)/python scripts/lock --check

fix: .venv/.ready ## format and mend what can be mended
	@$(BIN)/ruff check --fix-only . ; $(BIN)/ruff format .

reference: .venv/.ready ## write the pages of docs/reference that are made from the code
	@$(BIN)/python scripts/reference

lock: .venv/.ready ## write requirements/ with the hashes of constraints.txt, which the package index is asked for
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python scripts/lock

stubs: .venv/.ready ## generate services/skerry/proto from proto/
	@scripts/stubs
