"""A page that is served, and ways to ask it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets import Origin
from websockets.sync.client import ClientConnection, connect

from mpsmnist.app import Page
from support.datasets import write_mnist

Tab = Callable[[], "Browser"]


class Browser:
    """What a tab of a browser would say to the server, and hear from it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.losses: list[float] = []
        self.evaluations: list[Any] = []
        self.status: dict[str, Any] = {}

    def ask(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def hear(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these kinds; the statuses before it are taken in."""
        while True:
            message: dict[str, Any] = json.loads(self.socket.recv(timeout=60))
            if message["type"] == "status":
                if message["run"] != self.status.get("run"):
                    self.losses, self.evaluations = [], []
                assert message["first"] == len(self.losses)
                self.losses += message["losses"]
                self.evaluations += message["evaluations"]
                self.status = message
            if message["type"] in kinds:
                return message

    def wait(self, *states: str, steps: int = 0, run: int = 0) -> dict[str, Any]:
        """Wait until a run, or one as late as `run`, is in one of these states and has so many steps."""
        while self.status.get("state") not in states or len(self.losses) < steps or self.status["run"] < run:
            self.hear("status")
        return self.status

    def begin(self, preset: str = "fast", **options: Any) -> None:
        self.ask(type="begin", preset=preset, options={"dataset": "mnist", "device": "cpu"} | options)


@contextmanager
def browsing(page: Page) -> Iterator[Browser]:
    url = urlsplit(page.address)
    address = f"ws://{url.netloc}/live?{url.query}"
    with connect(address, origin=Origin(f"http://{url.netloc}"), max_size=None) as socket:
        yield Browser(socket)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mnist(tmp_path_factory.mktemp("data"))


@pytest.fixture
def page(data_dir: Path) -> Iterator[Page]:
    with closing(Page(data_dir=data_dir, threads=1)) as served:
        yield served


@pytest.fixture
def tab(page: Page) -> Iterator[Tab]:
    """tab() opens the page once more."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(browsing(page))
