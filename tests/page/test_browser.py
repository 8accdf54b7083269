"""The page in a real browser: Chromium, driven by Playwright."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from mpsmnist.app import Page
from mpsmnist.checkpoint import load
from mpsmnist.data.sources import SOURCES
from mpsmnist.errors import Error
from mpsmnist.page.findings import Findings
from support.browser import CHROMIUM, chromium, go_to
from support.commands import start
from support.pictures import drawing, save_weights, write_png
from support.small_sets import small_set

if CHROMIUM is None:
    pytest.skip("there is no Chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CONTRASTS = Path(__file__).with_name("contrasts.js")

Opened = Callable[..., Any]  # a Playwright page

# Strokes of each digit on a canvas of 280x280, as people write them.
DIGITS: dict[int, Sequence[Sequence[tuple[int, int]]]] = {
    0: [
        [(140, 50), (95, 85), (85, 150), (105, 215), (150, 228), (192, 180), (195, 105), (168, 58), (140, 50)]
    ],
    1: [[(150, 45), (135, 230)]],
    2: [[(90, 95), (115, 58), (165, 58), (185, 100), (150, 155), (90, 220), (200, 218)]],
    3: [[(95, 62), (150, 50), (182, 85), (135, 130), (188, 172), (158, 224), (90, 214)]],
    4: [[(115, 50), (88, 145), (195, 145)], [(172, 70), (162, 235)]],
    5: [[(188, 55), (105, 55), (98, 128), (158, 120), (190, 170), (155, 225), (90, 214)]],
    6: [[(168, 50), (112, 108), (94, 178), (122, 226), (172, 216), (182, 168), (142, 146), (102, 172)]],
    7: [[(88, 60), (192, 60), (130, 232)]],
    8: [
        [
            (180, 78),
            (140, 50),
            (102, 82),
            (140, 132),
            (184, 182),
            (144, 230),
            (98, 188),
            (140, 132),
            (180, 78),
        ]
    ],
    9: [[(182, 92), (142, 55), (100, 90), (122, 135), (172, 118), (182, 92), (172, 160), (150, 232)]],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def served(data_dir: Path) -> Iterator[Page]:
    with closing(Page(data_dir=data_dir, threads=1)) as page:
        yield page


@pytest.fixture
def open_page(browser: Any, served: Page) -> Iterator[Opened]:
    """open_page() opens the page in a new tab, which must ask nobody else and complain of nothing."""
    contexts = []
    complaints: list[str] = []

    def open_one(address: str = "", **options: Any) -> Any:
        address = address or served.address
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}))
        tab = contexts[-1].new_page()
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda message: complaints.append(message.text) if is_ours(message) else None)
        tab.on("request", lambda request: foreign(request.url, address))
        go_to(tab, address)
        return tab

    def is_ours(message: Any) -> bool:  # a picture that cannot be read is logged by the browser
        return message.type == "error" and "status of 422" not in message.text

    def foreign(url: str, address: str) -> None:
        if not url.startswith((address.split("?", maxsplit=1)[0], "data:", "blob:", "ws:")):
            complaints.append(f"asks for {url}")

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def begin(tab: Any, dataset: str = "mnist", **options: object) -> None:
    tab.select_option("[name=dataset]", dataset)
    for name, value in ({"batch_size": 4} | options).items():
        tab.fill(f"[name={name}]", str(value))
    tab.click("#start")


def wait_for(tab: Any, words: str, selector: str = "#progress-text") -> None:
    playwright.expect(tab.locator(selector)).to_contain_text(words, timeout=60_000)


def stop(tab: Any) -> None:
    tab.click("#stop")
    wait_for(tab, "stopped")


def draw(tab: Any, strokes: Sequence[Sequence[tuple[int, int]]]) -> None:
    tab.click("#clear")
    for points in strokes:
        stroke(tab, points)


def stroke(tab: Any, points: Sequence[tuple[int, int]]) -> None:
    box = tab.locator("#canvas").bounding_box()
    scale = box["width"] / 280
    for number, (x, y) in enumerate(points):
        tab.mouse.move(box["x"] + x * scale, box["y"] + y * scale, steps=6 if number else 1)
        if number == 0:
            tab.mouse.down()
    tab.mouse.up()


def best(tab: Any) -> str:
    """The digit whose bar is the longest, of the last drawing."""
    return str(tab.locator("#bars[aria-busy=false] .best > :first-child").inner_text(timeout=20_000))


def points(tab: Any, kind: str) -> int:
    """How many points the curve has."""
    path = tab.get_attribute(f".curve .{kind}", "d") or ""
    return path.count("L") + path.count("M")


def test_the_curves_grow_and_digits_are_read(open_page: Opened) -> None:
    with closing(Page(threads=1)) as page:
        tab = open_page(page.address)
        begin(tab, "synthetic", steps=400, batch_size=32)
        wait_for(tab, "running")
        seen = [points(tab, "raw")]
        while "finished" not in tab.inner_text("#progress-text"):
            seen.append(points(tab, "raw"))
            tab.wait_for_timeout(200)
        assert len(set(seen)) >= 4
        assert seen == sorted(seen)
        assert points(tab, "points") >= 10
        assert "test accuracy" in tab.inner_text("#progress-text")
        right = 0
        for digit, strokes in DIGITS.items():
            draw(tab, strokes)
            right += best(tab) == str(digit)
        assert right >= 8


def test_a_drawing_is_read_anew_while_the_network_learns(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=100_000, learning_rate=0.001)
    wait_for(tab, "running")
    draw(tab, DIGITS[5])
    shares = set()
    for _ in range(300):
        shares.add(tab.inner_text("#bars"))
        if len(shares) == 3:
            break
        tab.wait_for_timeout(100)
    assert len(shares) == 3  # no stroke was added: it is the network that has changed
    stop(tab)


def steps(tab: Any) -> int:
    return int(tab.evaluate("document.querySelector('#progress').value"))


def test_only_the_lines_of_a_chart_change_while_its_axes_fit(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=100_000, learning_rate=0.001)
    wait_for(tab, "running")
    tab.evaluate("document.querySelector('#loss text').id = 'first-tick'")
    line = tab.locator("#loss .raw").get_attribute("d")
    playwright.expect(tab.locator("#loss .raw")).not_to_have_attribute("d", line, timeout=60_000)
    assert tab.locator("#loss #first-tick").count() == 1
    tab.set_viewport_size({"width": 800, "height": 900})
    playwright.expect(tab.locator("#loss #first-tick")).to_have_count(0)
    stop(tab)


def test_the_steps_beside_the_axis_are_round(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=93_800, learning_rate=0.001)
    wait_for(tab, "running")
    steps = tab.locator("#loss svg text").all_text_contents()[-5:]
    assert steps == ["0", "20,000", "40,000", "60,000", "80,000"]
    stop(tab)


def test_a_page_that_nobody_sees_draws_no_curves(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=100_000, learning_rate=0.001)
    wait_for(tab, "running")
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    tab.evaluate(hide, True)
    line = tab.locator("#loss .raw").get_attribute("d")
    before = steps(tab)
    while steps(tab) == before:
        tab.wait_for_timeout(100)
    assert tab.locator("#loss .raw").get_attribute("d") == line
    tab.evaluate(hide, False)
    assert tab.locator("#loss .raw").get_attribute("d") != line
    stop(tab)


@pytest.mark.parametrize(
    ("points", "rows", "columns"),
    [
        ([(20, 30), (80, 30), (50, 110)], (19, 121), (9, 91)),
        ([(150, 190), (210, 190), (180, 270)], (179, 280), (139, 221)),
        ([(140, 100), (140, 400)], (89, 291), (129, 151)),  # the pen stays at the edge
    ],
)
def test_the_square_around_the_strokes_is_sent(
    open_page: Opened,
    points: Sequence[tuple[int, int]],
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> None:
    sent: list[bytes | str] = []

    def listen(socket: Any) -> None:
        socket.on("framesent", lambda frame: sent.append(frame))  # noqa: PLW0108 (Playwright marks it)

    tab = open_page()
    tab.on("websocket", listen)
    go_to(tab, tab.url)
    begin(tab, steps=20)
    wait_for(tab, "finished")
    draw(tab, [points])
    tab.wait_for_selector("#bars[aria-busy=false]", state="attached")
    drawing = np.frombuffer([each for each in sent if isinstance(each, bytes)][-1], np.uint8)
    side = 1.5 * max(*np.ptp([rows, columns], axis=1))  # a quarter of the strokes' is paper on each side
    for axis, ends in ((1, rows), (0, columns)):
        ink = np.flatnonzero((drawing.reshape(64, 64) < 128).any(axis=axis))
        expected = 32 + (np.minimum(ends, 280) - np.mean(ends)) * 64 / side
        np.testing.assert_allclose([ink[0], ink[-1] + 1], expected, atol=1.5)


def test_bars_move_and_are_not_made_anew(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=20)
    wait_for(tab, "finished")
    draw(tab, DIGITS[1])
    best(tab)
    tab.evaluate("document.querySelector('#bars li').id = 'zero'")
    shares = tab.inner_text("#bars")
    stroke(tab, [(80, 60), (200, 220)])
    best(tab)
    assert tab.inner_text("#bars") != shares
    assert tab.locator("#bars #zero").count() == 1


def test_a_reload_in_the_middle_shows_all_of_the_run(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=100_000)
    wait_for(tab, "running")
    while (before := steps(tab)) < 200:
        tab.wait_for_timeout(100)
    tab.reload()
    wait_for(tab, "running")
    assert steps(tab) >= before
    stop(tab)


def test_two_tabs_show_the_same_run_and_both_command_it(open_page: Opened) -> None:
    first, second = open_page(), open_page()
    begin(first, steps=100_000)
    wait_for(second, "running")
    second.click("#pause")
    wait_for(first, "paused")
    first.click("#pause")
    wait_for(second, "running")
    stop(second)
    wait_for(first, "stopped")
    assert first.inner_text("#progress-text") == second.inner_text("#progress-text")


def test_undo_and_clear(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=20)
    wait_for(tab, "finished")
    draw(tab, DIGITS[7])
    one = picture_of(tab)
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.move(box["x"] + 100, box["y"] + 150)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 200, box["y"] + 150)
    tab.mouse.up()
    assert picture_of(tab) != one
    tab.keyboard.press("Control+z")
    assert picture_of(tab) == one
    tab.click("#undo")
    blank = picture_of(tab)
    assert blank != one
    assert tab.locator("#bars li").count() == 0
    draw(tab, DIGITS[7])
    tab.click("#clear")
    assert picture_of(tab) == blank


def picture_of(tab: Any) -> str:
    return str(tab.evaluate("document.querySelector('#canvas').toDataURL()"))


def test_a_picture_is_opened_dropped_and_pasted(open_page: Opened, tmp_path: Path) -> None:
    tab = open_page()
    begin(tab, steps=20)
    wait_for(tab, "finished")
    path = write_png(tmp_path / "seven.png", drawing())
    blank = picture_of(tab)
    tab.set_input_files("#file", path)
    best(tab)
    opened = picture_of(tab)
    assert opened != blank
    for name in ("drop", "paste"):
        tab.click("#clear")
        tab.evaluate(
            """([name, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], "../../seven.png", { type: "image/png" }));
                const init = { bubbles: true, dataTransfer: data, clipboardData: data };
                const Kind = name === "drop" ? DragEvent : ClipboardEvent;
                document.dispatchEvent(new Kind(name, init));
            }""",
            [name, list(path.read_bytes())],
        )
        best(tab)
        assert picture_of(tab) == opened
    (tmp_path / "notes.txt").write_text("no picture")
    tab.set_input_files("#file", tmp_path / "notes.txt")
    wait_for(tab, "neither a picture", "#verdict")


def test_the_checkpoint_is_saved_by_the_browser(open_page: Opened, tmp_path: Path) -> None:
    tab = open_page()
    begin(tab, steps=20)
    wait_for(tab, "finished")
    with tab.expect_download() as download:
        tab.click("#save")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == "digits.safetensors"
    assert load(path).step == 20


def test_mistakes_and_the_images_of_a_cell_are_shown(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=5)
    wait_for(tab, "finished")
    wait_for(tab, "After step 5", "#looked")
    assert tab.locator("#mistakes canvas").count() > 10
    playwright.expect(tab.locator("#filters li")).to_have_count(32)
    assert tab.locator("#confusion tbody tr").count() == 10
    cell = tab.locator("#confusion td button:enabled").first
    count = cell.inner_text()
    cell.click()
    wait_for(tab, f": {int(count):,} image", "#cell-title")
    assert tab.locator("#confusion [aria-current]").inner_text() == count
    assert tab.locator("#cell canvas").count() == min(int(count), 36)


def test_before_a_run_there_are_axes_without_steps(open_page: Opened) -> None:
    with closing(Page()) as page:
        tab = open_page(page.address)
        playwright.expect(tab.locator("#loss svg text")).to_have_text(["0.01", "0.1", "1"])
        playwright.expect(tab.locator("#looked")).to_contain_text("When a run ends")
        assert not tab.is_visible("#filters-text")


def test_a_look_without_a_network_says_so_where_it_was_asked_for(open_page: Opened) -> None:
    with closing(Page()) as page:
        tab = open_page(page.address)
        tab.click("#look")
        wait_for(tab, "there is no network yet", "#looked")


def test_a_screen_reader_hears_answers_but_not_each_as_the_network_learns(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=100_000)
    playwright.expect(tab.locator("#verdict")).to_have_attribute("aria-live", "off", timeout=60_000)
    stop(tab)
    playwright.expect(tab.locator("#verdict")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(open_page: Opened, scheme: str) -> None:
    tab = open_page(color_scheme=scheme)
    begin(tab, steps=5)
    wait_for(tab, "After step 5", "#looked")
    draw(tab, DIGITS[7])
    best(tab)
    tab.fill("[name=momentum]", "2")
    tab.evaluate("document.querySelector('#options').noValidate = true")
    tab.click("#start")
    wait_for(tab, "momentum is 2", "#problem")
    contrasts = tab.evaluate(CONTRASTS.read_text(encoding="utf-8"))
    assert len(contrasts) > 100
    assert [(text, contrast) for text, contrast in contrasts if contrast < 4.5] == []


def test_fingers_find_what_they_touch(open_page: Opened) -> None:
    tab = open_page(viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True)
    begin(tab, steps=5)
    wait_for(tab, "After step 5", "#looked")
    small = """[...document.querySelectorAll("form input, select, button, .button")]
        .filter((element) => element.checkVisibility())
        .filter((element) => element.getBoundingClientRect().height < (element.closest("td") ? 24 : 44))
        .map((element) => element.outerHTML)"""
    assert tab.evaluate(small) == []


def test_filters_in_view_are_painted_anew_as_they_change(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=100_000)
    wait_for(tab, "running")
    tab.locator("#filters").evaluate("list => list.scrollIntoView()")
    tab.wait_for_selector("#filters canvas")
    tab.evaluate("document.querySelector('#filters canvas').id = 'first-filter'")
    pixels = "document.querySelector('#first-filter').toDataURL()"
    before = tab.evaluate(pixels)
    tab.wait_for_function(f"before => {pixels} !== before", arg=before)  # its canvas is the same
    assert tab.locator("#filters canvas").count() == 2 * 32
    stop(tab)


def test_wrong_options_are_said(open_page: Opened) -> None:
    tab = open_page()
    begin(tab, steps=10, momentum="0.9999999999")
    wait_for(tab, "momentum is 0.9999999999, expected", "#problem")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1600])
def test_it_fits_on_every_screen(open_page: Opened, width: int, scheme: str) -> None:
    tab = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(246, 247, 249)") == (scheme == "light")


def test_everything_has_a_name_and_can_be_reached_by_keyboard(open_page: Opened) -> None:
    tab = open_page()
    nameless = """[...document.querySelectorAll("input, select, button, a, canvas")]
        .filter((element) => !(element.labels?.length || element.textContent.trim() || element.ariaLabel))
        .map((element) => element.outerHTML)"""
    assert tab.evaluate(nameless) == []
    reached = set()
    for _ in range(30):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.name"))
    assert {"preset", "dataset", "seed", "start", "canvas", "undo", "clear", "file", "look"} <= reached


def test_it_says_when_the_server_is_gone(browser: Any) -> None:
    with start(
        "app", "--no-browser", "--port", 0, "--offline", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        tab = browser.new_page()
        go_to(tab, server.stdout.readline().strip())
        assert tab.inner_text("#connection") == ""
        server.send_signal(signal.SIGKILL)
        wait_for(tab, "No connection", "#connection")
        assert tab.is_disabled("#start")
        tab.close()


def test_it_says_when_another_server_is_there(browser: Any) -> None:
    with closing(Page()) as first:
        tab = browser.new_page()
        go_to(tab, first.address)
        playwright.expect(tab.locator("#start")).to_be_enabled()
    with closing(Page(port=urlsplit(first.address).port or 0)):
        wait_for(tab, "Another server is here now", "#connection")
        assert tab.is_disabled("#start")
        tab.close()


def test_many_classes_have_room(open_page: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bars of 62 stand in two columns, each in line, and the confusion matrix scrolls."""
    small = small_set("emnist-byclass")
    monkeypatch.setitem(SOURCES, "emnist-byclass", small.source)
    monkeypatch.setenv("MPSMNIST_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("MPSMNIST_DATA_DIR", raising=False)
    (tmp_path / "emnist").mkdir()
    (tmp_path / "emnist" / "gzip.zip").write_bytes(small.served["gzip.zip"])
    with closing(Page(offline=True, threads=1)) as page:
        tab = open_page(page.address)
        begin(tab, "emnist-byclass", steps=5)
        wait_for(tab, "finished")
        wait_for(tab, "test images are read wrong", "#looked")
        draw(tab, DIGITS[7])
        playwright.expect(tab.locator("#bars li")).to_have_count(62)
        assert tab.locator("#bars li").all_inner_texts()[10].startswith("A")
        lefts = tab.evaluate(
            "[...document.querySelectorAll('#bars .bar')].map((e) => e.getBoundingClientRect().left)"
        )
        assert len(set(lefts)) == 2
        assert tab.locator("#confusion tr").count() == 63
        assert tab.locator("#confusion th").nth(10).get_attribute("title") == "A"
        assert tab.locator("#confusion td:has(button)").first.bounding_box()["width"] > 20
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_was_looked_at_is_asked_for_again_when_the_connection_was_lost(
    open_page: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save_weights(tmp_path / "digits.safetensors")
    looks: list[bool] = []
    go_on = threading.Event()
    with closing(Page(checkpoint=tmp_path / "digits.safetensors", threads=1)) as page:

        def find(*, renew: bool) -> Findings:
            looks.append(renew)
            if len(looks) == 1:
                go_on.wait(60)
            raise Error("looked twice")

        monkeypatch.setattr(page.session, "findings", find)
        tab = open_page(page.address)
        tab.add_init_script(
            "window.sockets = [];"
            "window.WebSocket = class extends WebSocket {"
            "  constructor(...all) { super(...all); sockets.push(this); }"
            "};"
        )
        tab.reload()
        playwright.expect(tab.locator("#start")).to_be_enabled()
        tab.click("#look")
        wait_for(tab, "Looking", "#looked")
        tab.evaluate("sockets.at(-1).close()")
        wait_for(tab, "looked twice", "#looked")
        go_on.set()


def test_a_start_shows_at_once_and_its_reason_to_fail_stays(
    open_page: Opened, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    with closing(Page(data_dir=data_dir, threads=1)) as page:
        began, go_on = threading.Event(), threading.Event()

        def begin_slowly(*_: object) -> None:
            began.set()
            go_on.wait(60)
            raise Error("there is no such thing")

        tab = open_page(page.address)
        with monkeypatch.context() as patched:
            patched.setattr(page.session, "begin", begin_slowly)
            begin(tab)
            wait_for(tab, "Starting")
            assert tab.is_disabled("#start")
            assert began.wait(60)
            go_on.set()
            wait_for(tab, "there is no such thing", "#problem")
            playwright.expect(tab.locator("#start")).to_be_enabled()
            assert tab.inner_text("#progress-text") == ""
        begin(tab, steps=5)
        wait_for(tab, "finished")
        playwright.expect(tab.locator("#start")).to_be_enabled()


def test_the_reason_why_a_run_could_not_begin_outlives_drawings(open_page: Opened, tmp_path: Path) -> None:
    with closing(Page(data_dir=tmp_path, threads=1)) as page:
        tab = open_page(page.address)
        begin(tab)
        wait_for(tab, str(tmp_path), "#problem")
        draw(tab, DIGITS[7])
        wait_for(tab, "there is no network yet", "#verdict")
        assert str(tmp_path) in tab.inner_text("#problem")
        playwright.expect(tab.locator("#start")).to_be_enabled()


def test_a_picture_that_cannot_be_read_leaves_no_bars(open_page: Opened, tmp_path: Path) -> None:
    save_weights(tmp_path / "digits.safetensors")
    with closing(Page(checkpoint=tmp_path / "digits.safetensors", threads=1)) as page:
        tab = open_page(page.address)
        draw(tab, DIGITS[7])
        playwright.expect(tab.locator("#bars li")).to_have_count(10)
        (tmp_path / "text.png").write_text("no picture")
        tab.set_input_files("#file", tmp_path / "text.png")
        playwright.expect(tab.locator("#bars li")).to_have_count(0)
        assert "Draw" not in tab.inner_text("#verdict")


def test_a_picture_without_a_digit_is_not_sent_again_and_again(open_page: Opened, tmp_path: Path) -> None:
    write_png(tmp_path / "blank.png", np.full((100, 100), 255, np.uint8))
    sent: list[str] = []
    tab = open_page()
    tab.on("request", lambda request: sent.append(request.url) if "/read" in request.url else None)
    begin(tab, steps=100_000, learning_rate=0.001)
    wait_for(tab, "running")
    tab.set_input_files("#file", tmp_path / "blank.png")
    wait_for(tab, "no digit is found", "#verdict")
    for _ in range(3):  # statuses
        before = steps(tab)
        while steps(tab) == before:
            tab.wait_for_timeout(50)
    assert len(sent) == 1
    draw(tab, DIGITS[7])
    playwright.expect(tab.locator("#bars li")).to_have_count(10)
    stop(tab)
