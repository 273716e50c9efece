"""`web.worker` builds on methods that gunicorn promises to nobody: this is the release that they were read in."""

from __future__ import annotations

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.http.message import Message
from gunicorn.workers.gthread import PollableMethodQueue, TConn, ThreadWorker

from web.arbiter import PatientArbiter
from web.worker import WRITTEN_FOR, PatientWorker

OWN = {
    "_turn",
    "_refuse_connections",
    "_finish",
    "_one_gave_way",
    "_end_kept",
    "_collect",
    "_dispatched",
    "_handled",
    "_refuse",
    "_late",
    "_let_go",
    "_discard",
    "_end",
}
"""What the worker adds; everything else takes the place of a method of gunicorn's."""


def test_the_release_is_the_one_that_it_was_written_for() -> None:
    """What is installed, what the package asks for and what the worker was read against are one release."""
    (asked,) = (one for one in _dependencies() if one.startswith("gunicorn"))
    assert asked == f"gunicorn=={WRITTEN_FOR}"
    assert version("gunicorn") == WRITTEN_FOR


def _dependencies() -> list[str]:
    file = Path(__file__).parents[2] / "pyproject.toml"
    found: list[str] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]
    return found


def test_every_override_overrides() -> None:
    """A method that gunicorn renamed, or calls with other arguments, would silently be nobody's any more."""
    overridden = {
        name for name, _ in inspect.getmembers(PatientWorker, inspect.isfunction) if name in vars(PatientWorker)
    }
    assert len(overridden) > len(OWN) > len(OWN - overridden) == 0
    for name in overridden - OWN:
        theirs = inspect.signature(getattr(ThreadWorker, name)).parameters
        assert list(inspect.signature(getattr(PatientWorker, name)).parameters) == list(theirs), name


def test_the_arbiter_overrides_what_its_signals_call() -> None:
    """The arbiter calls `handle_<name of the signal>`, and queues a signal that comes while it stops."""
    for name in vars(PatientArbiter):
        assert name.startswith("__") or callable(getattr(Arbiter, name)), name
    assert {"handle_hup", "handle_int", "handle_quit", "handle_usr2", "init_signals"} <= set(vars(PatientArbiter))
    assert "SIG_QUEUE" in inspect.getsource(Arbiter.stop)


def test_what_is_used_of_a_request_is_there() -> None:
    """So is what tells whether a client waits to send its body, and what makes an answer the last one."""
    source = inspect.getsource(Message)
    for name in ("_expected_100_continue", "must_close", "headers", "version"):
        assert f"self.{name} = " in source, name
    assert list(inspect.signature(Message.force_close).parameters) == ["self"]


def test_what_is_used_of_gunicorn_is_there() -> None:
    """So are the methods of its connections and of its queue that the worker calls."""
    assert inspect.signature(TConn.close).parameters["graceful"].default is False
    assert list(inspect.signature(PollableMethodQueue.defer).parameters) == ["self", "callback", "args"]
    for name in ("_cap_keepalive", "set_accept_enabled", "wait_for_and_dispatch_events", "is_parent_alive", "notify"):
        assert callable(getattr(ThreadWorker, name)), name
    source = inspect.getsource(ThreadWorker)
    for name in ("keepalived_conns", "nr_conns", "worker_connections", "tpool", "poller", "method_queue"):
        assert f"self.{name}" in source, name
