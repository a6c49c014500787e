"""How each block of commands in the documentation is played, by its page and how its first line begins."""

HERE = "here"  # tests/docs, on this machine, one page a shell
CLUSTER = "cluster"  # tests/cluster/test_8_documents.py, on a kind cluster
NODE = "node"  # the same, as root on each edge node
SAME = "same"  # its lines stand in a block of the README too, and are played there

_CLOUD = "helm install skerry-crds helm/skerry-crds"
_SITE = "kubectl create namespace skerry-edge"
_MAKES_IMAGES = "CI builds the images by `make images` before it makes a cluster"

TABLE: dict[str, list[tuple[str, str]]] = {
    "README.md": [
        ("make demo", "CI plays both lines on a fresh clone, before anything else"),
        ("source .venv/bin/activate", HERE),
        ("skerry models import fault.onnx --name fault --labels ok,worn,broken --golden inputs.npz", HERE),
        ("skerry models apply press.yaml", HERE),
        ("make images TAG=0.1.0", _MAKES_IMAGES),
        (_CLOUD, CLUSTER),
        (_SITE, CLUSTER),
        ("kubectl -n skerry get edgemodels,modelversions,edgefleets,edgenodes,modelrollouts,trainingruns", CLUSTER),
    ],
    "docs/start/first-model.md": [
        ("skerry up", HERE),
        ("python toy.py", HERE),
        ("skerry infer fault --input one.npz", HERE),
        ("python readings.py", HERE),
        ("TOKEN=$(skerry infer press --input window.npz --id part-17 --print-token)", HERE),
        ("skerry down", HERE),
    ],
    "docs/start/kubernetes.md": [
        ("make images TAG=0.1.0", _MAKES_IMAGES),
        (_CLOUD, CLUSTER),
        (_SITE, CLUSTER),
        ("tar -c fault.onnx inputs.npz | kubectl -n skerry exec -i deploy/skerry-toolbox -- tar -x -C /tmp", CLUSTER),
        ("kubectl -n skerry exec deploy/skerry-toolbox -- skerry rollout promote fault-v1-auto --wave canary", CLUSTER),
        ("helm test edge --namespace skerry-edge --logs", CLUSTER),
        ("helm uninstall edge --namespace skerry-edge", CLUSTER),
    ],
    "docs/how-to/install.md": [
        (_CLOUD, SAME),
        ("kubectl -n skerry rollout status deploy/skerry-gateway --timeout=5m", CLUSTER),
        ("skerry up", "minutes of training: tests/cli plays `skerry teach`, tests/cluster brings a teacher"),
        ("kubectl -n skerry exec deploy/skerry-toolbox -- skerry nodes token create", CLUSTER),
        (_SITE, SAME),
        ("kubectl label namespace skerry-edge pod-security.kubernetes.io/enforce=restricted", CLUSTER),
        ("install -d -o 10001 -g 10001 -m 2770 /var/lib/skerry", NODE),
        ('kubectl label node "$NODE" skerry.dev/edge=true', CLUSTER),
        ("kubectl create namespace skerry-edges", CLUSTER),
        ("python3 -m venv /opt/skerry", "writes to /opt, /etc and needs systemd: tests/helm reads the unit"),
        ("helm upgrade skerry-crds helm/skerry-crds", CLUSTER),
        ("helm uninstall edge --namespace skerry-edge", CLUSTER),
        ("kubectl delete crd -l app.kubernetes.io/part-of=skerry", CLUSTER),
    ],
    "docs/how-to/alerts.md": [
        ("helm upgrade skerry helm/skerry", "needs Prometheus Operator: tests/alerts and tests/helm render it"),
        ("kubectl -n skerry create secret generic skerry-webhook", "needs a receiver: tests/controller has one"),
    ],
    "docs/how-to/operations.md": [
        ("skerry backup b.tar.gz", HERE),
        ("kubectl -n skerry exec deploy/skerry-toolbox -- skerry backup - | gzip -1 > b.tar.gz", CLUSTER),
        ("kubectl -n skerry get secret skerry-issuer", CLUSTER),
        ("skerry down", HERE),
        ("kubectl create namespace skerry", CLUSTER),
        ("kubectl -n skerry scale deploy/skerry-controller --replicas=0", CLUSTER),
        ("mkdir -m 700 keys && for role in root publisher online; do mkdir keys/$role", CLUSTER),
    ],
    "docs/how-to/time-series.md": [
        ("skerry datasets import traffic.csv", "takes tables of the reader: tests/cli/test_import_series.py"),
        ("skerry infer traffic", "asks a network of the reader: tests/cli/test_infer_series.py"),
        ("skerry models import traffic.onnx", "takes a network of the reader: tests/cli/test_import_forecasters.py"),
    ],
    "docs/how-to/when-something-is-wrong.md": [
        ("skerry nodes", HERE),
        ("kubectl -n skerry get pods", CLUSTER),
        ("kubectl -n skerry get pods", CLUSTER),
        ("skerry labels aside", HERE),
    ],
}  # fmt: skip
