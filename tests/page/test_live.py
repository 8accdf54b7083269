"""What the page is told while a network trains, and what it can ask for."""

from __future__ import annotations

import asyncio
import base64
import gc
import re
import string
import threading
import time
import weakref
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from starlette.websockets import WebSocket

import mpsmnist
from mpsmnist.app import Page
from mpsmnist.checkpoint import Checkpoint, load
from mpsmnist.data import Dataset
from mpsmnist.errors import CheckpointError, Error
from mpsmnist.page import routes
from mpsmnist.page.findings import Findings, find
from mpsmnist.page.reader import Weights
from mpsmnist.page.run import Run
from mpsmnist.page.session import Session
from mpsmnist.prediction.pictures import prepare
from mpsmnist.training.config import ConfigError, TrainConfig
from support.pictures import save_weights

from .conftest import Browser, Tab, browsing


def test_the_form_gets_what_there_is(tab: Tab) -> None:
    hello = tab().hear("hello")
    assert hello["presets"]["fast"]["batch_size"] == 64
    assert {"auto", "mnist", "synthetic"} <= set(hello["datasets"])
    assert hello["devices"] == ["auto", *mpsmnist.devices()]


def test_a_run_is_told_from_its_beginning_to_its_end(tab: Tab) -> None:
    browser = tab()
    browser.begin(steps=60, batch_size=4)
    status = browser.wait("finished")
    assert (status["total"], status["device"], status["dataset"]) == (60, "cpu", "mnist")
    assert len(browser.losses) == 60
    assert len(browser.evaluations) >= 10
    assert browser.evaluations[-1][0] == 60


def test_whoever_comes_later_hears_everything(tab: Tab) -> None:
    first = tab()
    first.begin(steps=60, batch_size=4)
    first.wait("finished")
    second = tab()
    second.wait("finished")
    assert second.losses == first.losses
    assert second.evaluations == first.evaluations


def test_a_pause_holds_and_ends(tab: Tab) -> None:
    browser, other = tab(), tab()
    browser.begin(steps=100_000, batch_size=1)
    browser.wait("running", steps=1)
    other.ask(type="pause", pause=True)  # any tab may
    browser.wait("paused")
    stood = tab()
    stood.wait("paused")
    again = tab()
    again.wait("paused")
    assert len(again.losses) == len(stood.losses)
    browser.ask(type="pause", pause=False)
    browser.wait("running", steps=len(stood.losses) + 1)
    browser.ask(type="stop")
    browser.wait("stopped")
    assert 0 < len(browser.losses) < 100_000


def test_a_second_run_takes_the_first_ones_place(tab: Tab) -> None:
    browser = tab()
    browser.begin(steps=10, batch_size=4)
    browser.wait("finished")
    first = browser.losses
    browser.begin(steps=10, batch_size=4)
    browser.wait("finished", run=2)
    assert browser.losses == first  # the seed is the same


def test_a_run_at_a_time(tab: Tab) -> None:
    browser = tab()
    browser.begin(steps=100_000, batch_size=1)
    browser.wait("running")
    browser.begin(steps=10)
    assert browser.hear("error")["message"] == "a run is under way: stop it first"
    browser.ask(type="stop")
    browser.wait("stopped")


@pytest.mark.parametrize(
    ("preset", "options", "words"),
    [
        ("fast", {"batch_size": 0}, "batch_size is 0, expected"),
        ("fast", {"batch_size": "many"}, "batch_size is 'many', expected"),
        ("fast", {"learning_rate": -1}, "learning_rate is -1, expected"),
        ("fast", {"steps": 1, "epochs": 1}, "steps is 1, but epochs is 1"),
        ("fast", {"device": "quantum"}, "device is 'quantum', expected"),
        ("fast", {"checkpoint": "/etc/passwd"}, "checkpoint is no option of the page"),
        ("fast", {"data_dir": "/"}, "data_dir is no option of the page"),
        ("slow", {}, "preset is 'slow', expected"),
    ],
)
def test_options_that_make_no_sense_get_words(
    tab: Tab, preset: str, options: dict[str, object], words: str
) -> None:
    browser = tab()
    browser.begin(preset, **options)
    assert browser.hear("error")["message"].startswith(words)


def test_a_dataset_that_is_not_there_is_said(tab: Tab) -> None:
    browser = tab()
    browser.begin(dataset="no such set")
    words = "dataset is 'no such set', expected one of auto, mnist, "
    assert browser.hear("error")["message"].startswith(words)
    browser.begin(steps=5, batch_size=4)
    browser.wait("finished")
    browser.begin(dataset="../../etc")
    browser.hear("error")
    assert browser.status["state"] == "finished"  # the run before is kept


def test_data_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    with closing(Page(data_dir=tmp_path, offline=True)) as page, browsing(page) as browser:
        browser.begin()
        assert str(tmp_path) in browser.wait("failed")["error"]


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"type": "dance"}', '{"type": "cell"}', "[" * 100_000])
def test_nonsense_gets_words_and_the_connection_stays(tab: Tab, text: str) -> None:
    browser = tab()
    browser.socket.send(text)
    assert "does not know" in browser.hear("error")["message"]
    browser.ask(type="look")
    assert browser.hear("error")["message"] == "there is no network yet: train one"


def seven() -> bytes:
    """A drawing of a seven, black on white."""
    drawing = np.full((64, 64), 255, np.uint8)
    drawing[11:16, 18:46] = 0
    for row in range(14, 53):
        left = 41 - (row - 14) // 3
        drawing[row, left : left + 5] = 0
    return drawing.tobytes()


def test_a_drawing_is_read_while_the_network_trains(tab: Tab) -> None:
    browser = tab()
    browser.begin(steps=100_000, batch_size=1)
    browser.wait("running", steps=1)

    def ask() -> int:
        browser.socket.send(seven())
        answer = browser.hear("answer")
        assert len(answer["probabilities"]) == 10
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-3)
        assert len(base64.b64decode(answer["pixels"])) == 28 * 28
        return int(answer["step"])

    first = ask()
    assert any(ask() > first for _ in range(1000))  # newer weights are asked for, and come a little later
    browser.ask(type="stop")
    browser.wait("stopped")
    browser.socket.send(seven())
    assert browser.hear("answer")["step"] == len(browser.losses)


def test_a_drawing_is_dark_on_light_even_where_that_is_in_doubt(tab: Tab) -> None:
    browser = tab()
    browser.begin(steps=5, batch_size=4)
    browser.wait("finished")
    bold = np.full((64, 64), 255, np.uint8)
    bold[8:56, 8:56] = 0
    bold[20:44, 30:34] = 255  # the hole of a 0, or, light on dark, a 1
    assert not prepare(bold).inverted
    browser.socket.send(bold.tobytes())
    seen = base64.b64decode(browser.hear("answer")["pixels"])
    np.testing.assert_array_equal(np.frombuffer(seen, np.uint8), prepare(bold, invert=True).pixels.ravel())


def test_an_answer_brings_no_status(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tab()
    browser.begin(steps=100_000, batch_size=1)
    browser.wait("running", steps=1)
    monkeypatch.setattr(routes, "EVERY", 60)
    for pause, state in ((True, "paused"), (False, "running")):  # an order does, and then all is quiet
        browser.ask(type="pause", pause=pause)
        browser.wait(state)
    for _ in range(5):
        browser.socket.send(seven())
        assert browser.hear("answer", "status")["type"] == "answer"
        browser.ask(type="filters")
        assert browser.hear("filters", "status")["type"] == "filters"


def test_drawings_of_another_size_and_blank_ones_get_words(tab: Tab) -> None:
    browser = tab()
    browser.begin(steps=5, batch_size=4)
    browser.wait("finished")
    browser.socket.send(b"123")
    assert browser.hear("error")["message"] == "the drawing has 3 bytes, expected 64x64"
    browser.socket.send(bytes(64 * 64))
    assert browser.hear("blank")["reason"].startswith("no digit is found")


def test_of_two_digits_it_says_what_the_page_can_do(tmp_path: Path) -> None:
    save_weights(tmp_path / "digits.safetensors")
    two = np.full((64, 64), 255, np.uint8)
    two[12:52, 14:19] = two[12:52, 44:49] = 0
    with closing(Page(checkpoint=tmp_path / "digits.safetensors")) as page, browsing(page) as browser:
        browser.socket.send(two.tobytes())
        assert browser.hear("answer")["unsure"] == "2 digits: draw one at a time"


def test_the_findings_add_up(tab: Tab) -> None:
    browser = tab()
    browser.begin(steps=20, batch_size=4)
    browser.wait("finished")
    browser.ask(type="look")
    look = browser.hear("look")
    confusion = np.array(look["confusion"])
    assert confusion.sum() == look["images"]
    assert look["wrong"] == confusion.sum() - np.trace(confusion)
    assert look["wrong"] / look["images"] == pytest.approx(1 - browser.evaluations[-1][1])
    label, answer = np.unravel_index(confusion.argmax(), confusion.shape)
    browser.ask(type="cell", label=int(label), answer=int(answer))
    cell = browser.hear("cell")
    assert cell["count"] == confusion[label, answer]
    assert {(p["label"], p["answer"]) for p in cell["pictures"]} == {(label, answer)}
    certain = [p["probability"] for p in cell["pictures"]]
    assert certain == sorted(certain, reverse=True)


@pytest.mark.parametrize(("label", "answer"), [(-1, 0), (0, 10), (10**30, 0)])
def test_a_cell_that_is_not_there_gets_words(tab: Tab, label: int, answer: int) -> None:
    browser = tab()
    browser.begin(steps=5, batch_size=4)
    browser.wait("finished")
    browser.ask(type="cell", label=label, answer=answer)
    assert "does not know" in browser.hear("error")["message"]


def test_the_filters_are_those_now_and_at_first(tab: Tab, page: Page, tmp_path: Path) -> None:
    browser = tab()
    browser.begin(steps=20, batch_size=4, seed=3)
    browser.wait("finished")
    browser.ask(type="filters")
    filters = browser.hear("filters")
    first = mpsmnist.Trainer("cpu", seed=3, init="he").state_dict()
    now = load(download(page, tmp_path)).state
    for name, state in (("first", first), ("now", now)):
        expected = state["conv0.weight"].reshape(25, 32).T
        np.testing.assert_allclose(filters[name], expected, atol=1e-4)


def download(page: Page, folder: Path) -> Path:
    url = urlsplit(page.address)
    answer = requests.get(f"http://{url.netloc}/checkpoint?{url.query}", timeout=30)
    assert answer.headers["content-disposition"] == 'attachment; filename="digits.safetensors"'
    path = folder / "digits.safetensors"
    path.write_bytes(answer.content)
    return path


def test_a_checkpoint_of_a_run_under_way_can_be_resumed(tab: Tab, page: Page, tmp_path: Path) -> None:
    browser = tab()
    browser.begin(steps=100_000, batch_size=1)
    browser.wait("running", steps=1)
    saved = load(download(page, tmp_path))
    browser.ask(type="stop")
    browser.wait("stopped")
    assert 0 < saved.step <= len(browser.losses)
    assert saved.total_steps == 100_000


def test_an_opened_checkpoint_reads_at_once(tab: Tab, page: Page, data_dir: Path, tmp_path: Path) -> None:
    browser = tab()
    browser.begin(steps=5, batch_size=4)
    browser.wait("finished")
    path = download(page, tmp_path)
    saved = load(path)
    with closing(Page(checkpoint=path, data_dir=data_dir)) as other, browsing(other) as reader:
        assert reader.hear("hello")["opened"]
        reader.socket.send(seven())
        browser.socket.send(seven())
        assert reader.hear("answer") == browser.hear("answer")
        reader.ask(type="look")
        assert reader.hear("look")["images"] > 0
        again = load(download(other, tmp_path))
        assert (again.step, again.options, again.fingerprint) == (
            saved.step,
            saved.options,
            saved.fingerprint,
        )
        for name, tensor in saved.state.items():
            np.testing.assert_array_equal(again.state[name], tensor)


def test_an_opened_checkpoint_has_its_own_classes(tmp_path: Path) -> None:
    save_weights(tmp_path / "run", string.ascii_uppercase)
    with closing(Page(checkpoint=tmp_path / "run")) as page, browsing(page) as browser:
        browser.socket.send(seven())
        answer = browser.hear("answer")
        assert answer["names"] == list(string.ascii_uppercase)
        assert len(answer["probabilities"]) == 26


def test_closing_the_page_saves_the_run(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    page = Page(data_dir=data_dir, threads=1, save=path, overwrite=True)
    with closing(page), browsing(page) as browser:
        browser.begin(steps=100_000, batch_size=1)
        browser.wait("running", steps=1)
        page.close()
        assert load(path).step >= 1


def test_no_run_begins_on_a_page_that_is_closed(page: Page) -> None:
    page.close()
    with pytest.raises(Error, match="the page is closed"):
        page.session.begin("fast", {"dataset": "mnist"})
    assert page.session.runs() == (None, 0, None, 0)


def test_closing_the_page_waits_for_a_run_that_is_just_beginning(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the process would end while that run saves its checkpoint, and leave half a file."""
    checking, go_on = threading.Event(), threading.Event()

    def check_slowly(_config: TrainConfig) -> None:
        checking.set()
        assert go_on.wait(60)

    monkeypatch.setattr("mpsmnist.page.session.check_ahead", check_slowly)
    options = {"dataset": "mnist", "device": "cpu", "steps": 10**6}
    beginning = threading.Thread(target=page.session.begin, args=("fast", options))
    beginning.start()
    assert checking.wait(60)
    closing_ = threading.Thread(target=page.close)
    closing_.start()
    closing_.join(0.2)
    go_on.set()
    closing_.join(60)
    beginning.join(60)
    runs = page.session.runs()
    assert all(run is None or run.is_over for run in (runs.run, runs.starting))


def test_a_start_that_fails_keeps_the_run_and_the_network_before_it(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.symlink_to(data_dir)
    with closing(Page(data_dir=path, threads=1)) as page, browsing(page) as browser:
        browser.begin(steps=10, batch_size=4)
        browser.wait("finished")
        path.unlink()
        page.session._datasets.clear()
        browser.begin(steps=10, batch_size=4)
        while browser.status["starts"] != 2 or browser.status["starting"]:
            browser.hear("status")
        assert str(path) in browser.status["error"]
        assert (browser.status["run"], browser.status["state"], len(browser.losses)) == (1, "finished", 10)
        browser.socket.send(seven())
        assert browser.hear("answer")["step"] == 10
        path.symlink_to(data_dir)
        browser.begin(steps=5, batch_size=4)
        assert browser.wait("finished", run=2)["error"] is None


def test_a_run_that_is_stopped_before_it_begins_leaves_the_network(
    page: Page, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tab()
    browser.begin(steps=10, batch_size=4)
    browser.wait("finished")
    load_data, go_on = page.session._load, threading.Event()
    monkeypatch.setattr(page.session, "_load", lambda name: go_on.wait(60) and load_data(name))
    browser.begin(steps=5, batch_size=4)
    while not browser.status["starting"]:
        browser.hear("status")
    browser.ask(type="stop")
    browser.ask(type="filters")
    browser.hear("filters")  # so it has been stopped
    go_on.set()
    while browser.status["starting"]:
        browser.hear("status")
    assert browser.status["error"] == "the run was stopped before it began"
    assert (browser.status["run"], len(browser.losses)) == (1, 10)


def test_synthetic_digits_are_in_no_folder(tab: Tab) -> None:
    browser = tab()  # of a page with data_dir
    browser.begin(dataset="synthetic", steps=5, batch_size=4)
    assert browser.wait("finished")["dataset"] == "synthetic"


def test_a_run_that_is_over_is_let_go_when_another_begins(page: Page, tab: Tab) -> None:
    browser = tab()
    browser.begin(steps=5, batch_size=4)
    browser.wait("finished")
    first = weakref.ref(cast(Run, page.session.runs().run))
    gc.collect()
    gc.disable()
    try:
        cast(Run, first()).join()
        browser.begin(steps=5, batch_size=4)
        browser.wait("finished", run=2)
        assert first() is None
    finally:
        gc.enable()


def test_what_is_strange_to_a_network_is_learned_only_of_the_newest(
    page: Page, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[int] = []
    go_on = threading.Event()

    def learn(saved: Checkpoint) -> None:
        learned.append(saved.step)
        assert go_on.wait(60)

    monkeypatch.setattr("mpsmnist.page.run.familiarity_of", learn)
    browser = tab()
    threads = []
    for number in (1, 2, 3):
        browser.begin(steps=number, batch_size=4)
        browser.wait("finished", run=number)
        threads.append(cast(Run, page.session.runs().run)._thread)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert learned == [1, 3]  # the first was being learned when the second began


def test_closing_the_page_does_not_wait_to_learn_what_nobody_will_ask(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[object] = []
    monkeypatch.setattr("mpsmnist.page.run.familiarity_of", learned.append)
    with browsing(page) as browser:
        browser.begin(steps=100_000, batch_size=1)
        browser.wait("running", steps=1)
    page.close()
    assert learned == []


def test_a_tab_that_closes_just_as_it_is_told_something_is_let_go() -> None:
    class Socket:
        async def receive(self) -> dict[str, object]:
            await asyncio.sleep(0.01)
            tab._ordered.set()  # in the same turn of the loop
            return {"type": "websocket.disconnect", "code": 1001}

        async def accept(self) -> None: ...
        async def send_text(self, text: str) -> None: ...

    async def serve() -> None:
        await asyncio.wait_for(tab.serve(), 20)

    tab = routes._Tab(Session(), cast(WebSocket, Socket()), asyncio.Lock())
    asyncio.run(serve())


def test_a_tab_that_is_cancelled_again_while_it_ends_is_no_error() -> None:
    async def serve() -> None:
        tab._tell = tell_stubbornly  # type: ignore[method-assign]
        serving = asyncio.create_task(tab.serve())
        await asyncio.sleep(0.05)
        for _ in range(2):
            serving.cancel()
            await asyncio.sleep(0.01)
        await serving

    async def tell_stubbornly() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)

    class Socket:
        async def receive(self) -> None:
            await asyncio.sleep(60)

        async def accept(self) -> None: ...
        async def send_text(self, text: str) -> None: ...

    tab = routes._Tab(Session(), cast(WebSocket, Socket()), asyncio.Lock())
    asyncio.run(serve())


class Looks:
    """Holds up all looks at the test images, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.began, self.go_on = threading.Event(), threading.Event()
        monkeypatch.setattr("mpsmnist.page.session.find", self._find)

    def begin(self, browser: Browser) -> None:
        """Have a page look while its network learns."""
        browser.begin(steps=100_000, batch_size=1)
        browser.wait("running", steps=1)
        browser.ask(type="look")
        assert self.began.wait(60)

    def _find(self, weights: Weights, dataset: Dataset) -> Findings:
        self.count += 1
        self.began.set()
        assert self.go_on.wait(60)
        return find(weights, dataset)


def test_a_tab_that_looks_can_stop_the_run_meanwhile(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    browser = tab()
    looks.begin(browser)
    browser.ask(type="stop")
    browser.wait("stopped")
    looks.go_on.set()
    assert browser.hear("look")["step"] <= len(browser.losses)


def test_tabs_that_look_at_the_same_network_share_the_work(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    browsers = [tab() for _ in range(3)]
    browsers[0].begin(steps=5, batch_size=4)
    for browser in browsers:
        browser.wait("finished")
        browser.ask(type="look")
    looks.go_on.set()
    first, *others = [browser.hear("look") for browser in browsers]
    assert [other == first for other in others] == [True, True]
    assert looks.count == 1
    browsers[0].begin(steps=6, batch_size=4)
    browsers[0].wait("finished", run=2)
    browsers[0].ask(type="look")
    assert browsers[0].hear("look")["step"] == 6


def test_of_looks_that_wait_the_newest_is_done(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    browser = tab()
    looks.begin(browser)
    for _ in range(5):
        browser.ask(type="look")
    browser.ask(type="stop")
    browser.wait("stopped")
    looks.go_on.set()
    browser.hear("look")
    assert browser.hear("look")["step"] == len(browser.losses)
    browser.ask(type="cell", label=0, answer=0)
    assert browser.hear("look", "cell")["type"] == "cell"
    assert looks.count == 2


def test_a_tab_is_kept_however_long_an_answer_takes(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin_slowly(*_: object) -> None:
        time.sleep(1)
        raise Error("no")

    monkeypatch.setattr(page.session, "begin", begin_slowly)
    config = page._server.config
    config.ws_ping_interval = 0.1
    config.ws_ping_timeout = config.ws_ping_timeout and 0.1
    with browsing(page) as browser:
        for _ in range(3):  # what comes meanwhile waits, and the pongs behind it
            browser.begin()
        for _ in range(3):
            assert browser.hear("error")["message"] == "no"


def test_a_page_that_is_closed_while_it_is_answered_is_no_error(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find = page.session.findings

    def find_slowly(*, renew: bool) -> Findings:
        time.sleep(0.5)
        return find(renew=renew)

    monkeypatch.setattr(page.session, "findings", find_slowly)
    with browsing(page) as browser:
        browser.begin(steps=100_000, batch_size=1)
        browser.wait("running", steps=1)
        browser.ask(type="look")
    time.sleep(1.5)  # statuses, and then the answer, find the page closed
    with browsing(page) as browser:
        browser.wait("running")
    assert caplog.records == []


def test_the_server_ends_at_once_and_quietly_while_it_looks(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def find(*, renew: bool) -> Findings:
        began.set()
        go_on.wait(60)
        raise Error("too late")

    monkeypatch.setattr(page.session, "findings", find)
    with browsing(page) as browser:
        browser.ask(type="look")
        assert began.wait(60)
        page.close()
        assert not go_on.is_set()
        go_on.set()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 65536}, "port is 65536, expected a whole number from 0 to 65535"),
        ({"port": -1}, "port is -1, expected"),
        ({"threads": 0}, "threads is 0, expected"),
        ({"overwrite": True}, "overwrite needs `save`"),
        ({"save": "/no/such/folder/run"}, "save is '/no/such/folder/run', but there is no folder"),
    ],
)
def test_arguments_that_make_no_sense_are_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        Page(**options)


def test_an_argument_that_is_none_is_an_error() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        Page(nonsense=1)  # type: ignore[call-arg]


def test_a_checkpoint_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="none"):
        Page(checkpoint=tmp_path / "none")
