"""The contract of a lease, asked of the local one and its memory twin; and what only real processes can show."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apiserver_process import ApiServer, requires_apiserver
from apiserver_twin import TwinServer

from skerry.adapters import lease
from skerry.adapters.lease import local, memory, protocol
from skerry.core import errors

Opener = Callable[[], protocol.Lease]


APISERVERS = {"kubernetes": "permissive_apiserver", "kubernetes-twin": "apiserver_in_memory"}


@pytest.fixture(params=["local", "memory", "kubernetes-twin", pytest.param("kubernetes", marks=requires_apiserver)])
def open_one(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], protocol.Lease]]:
    """Opens another holder's view of one lease; all are released at the end, for who leads renews in the background."""
    board, made = memory.Board(), list[protocol.Lease]()
    url = f"sqlite://{tmp_path}/objects.db"
    if request.param in APISERVERS:
        server: ApiServer | TwinServer = request.getfixturevalue(APISERVERS[request.param])
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
        url = f"kubernetes://{server.namespace()}"

    def another() -> protocol.Lease:
        in_memory = request.param == "memory"
        made.append(memory.MemoryLease(board) if in_memory else lease.open_lease(url, "controller"))
        return made[-1]

    yield another
    for one in made:
        one.release()


def test_one_leads_and_the_other_waits(open_one: Opener) -> None:
    first, second = open_one(), open_one()
    assert first.acquire("a") == 1
    assert second.acquire("b") is None
    assert (first.renew(), second.renew()) == (True, False)


def test_every_new_leader_gets_a_higher_epoch(open_one: Opener) -> None:
    epochs = []
    for _ in range(4):
        one = open_one()
        epochs.append(one.acquire("a"))
        one.release()
    assert epochs == [1, 2, 3, 4]


def test_acquiring_twice_keeps_the_epoch(open_one: Opener) -> None:
    one = open_one()
    assert (one.acquire("a"), one.acquire("a")) == (1, 1)


def test_after_release_it_leads_no_more_and_releasing_again_harms_nobody(open_one: Opener) -> None:
    first, second = open_one(), open_one()
    first.acquire("a")
    first.release()
    assert not first.renew()
    assert second.acquire("b") == 2
    first.release()
    assert second.renew()


def test_leases_of_different_names_do_not_meet(tmp_path: Path) -> None:
    one, other = (local.LocalLease(tmp_path, name) for name in ("controller", "curator"))
    assert (one.acquire("a"), other.acquire("b")) == (1, 1)


def test_a_killed_leader_is_followed_at_once(tmp_path: Path) -> None:
    code = f"""
        import sys
        from skerry.adapters import lease
        one = lease.open_lease("sqlite://{tmp_path}/objects.db", "controller")
        print(one.acquire("child"), flush=True)
        sys.stdin.read()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(lease.__file__).parents[3])},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"1\n"
        mine = lease.open_lease(f"sqlite://{tmp_path}/objects.db", "controller")
        assert mine.acquire("parent") is None
        child.kill()
        child.wait(10)
        assert mine.acquire("parent") == 2


def test_a_lock_file_that_was_removed_is_a_lost_lease(tmp_path: Path) -> None:
    first, second = local.LocalLease(tmp_path, "controller"), local.LocalLease(tmp_path, "controller")
    first.acquire("a")
    (tmp_path / "controller.lease").unlink()
    assert not first.renew()
    assert second.acquire("b") == 2


@pytest.mark.parametrize("text", ["", "x", "-3 a"])
def test_an_epoch_that_cannot_be_read_stops_instead_of_starting_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "controller.epoch").write_text(text)
    one = local.LocalLease(tmp_path, "controller")
    with pytest.raises(errors.IntegrityError, match=r"controller\.epoch"):
        one.acquire("a")
    assert not one.renew()


@pytest.mark.parametrize("url", ["", "sqlite:objects.db", "https://example.org", "sqlite://relative/objects.db"])
def test_a_url_that_names_no_local_store_is_refused(url: str) -> None:
    with pytest.raises(errors.InputError, match="SKERRY_OBJECTS"):
        lease.open_lease(url, "controller")
