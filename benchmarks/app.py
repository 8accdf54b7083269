"""What the page in the browser costs: from a stroke to its bars, and from the training beside it.

    python benchmarks/app.py --data-dir mnist

- "stroke": from the browser's event of a pen that has moved to the bars that answer it, and to the end of
  the frame that draws these, in a headless Chromium on this machine, by its own clock; with a trained network
  that stands still, and while one trains.
- "run": a run of the fast preset, from its first step to its end, by `train()` alone ("alone"), on the page's
  server with no page open ("served"), and with the page open in the browser, which draws its curves
  ("watched"). They take turns, in the reverse order every other round. First all share all cores, the browser
  as well, as on a user's machine; then the browser has the last core to itself, and we have the others, which
  leaves what the page costs its own process ("browser apart": Linux, two cores or more). The browser's
  processor time is that of all its processes during the runs watched.

Needs Chromium, and `pip install '.[app,bench]' playwright`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice, pairwise
from typing import Any

from harness.arguments import add_common, positive
from harness.command import run
from harness.descendants import CAN_BE_SEEN, confine, descendants, processor_seconds
from harness.environment import usable_cpus
from harness.workload import read_dataset
from mpsmnist.app import Page
from mpsmnist.data import Dataset
from mpsmnist.train import TrainConfig, train
from support.browser import CHROMIUM, chromium, go_to  # the browser belongs to the tests

STROKE = [(88, 60), (192, 60), (130, 232)]  # a seven
WATCH = """() => {
    window.bars = [];
    window.frames = [];
    const bars = document.querySelector("#bars");
    let moved = null;
    document.querySelector("#canvas").addEventListener("pointermove", (event) => {
        if (event.buttons) moved = event.timeStamp;
    }, true);
    new MutationObserver(() => {
        if (moved === null || bars.ariaBusy === "true") return; // it is the answer to what was there before
        const began = moved;
        moved = null;
        window.bars.push(performance.now() - began);
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => window.frames.push(performance.now() - began);
        requestAnimationFrame(() => port2.postMessage(null)); // which comes after the frame
    }).observe(bars, { subtree: true, childList: true, attributeFilter: ["class"] });
}"""
SETTLED = 1000  # milliseconds after the page is opened


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the page in the browser costs.")
    add = parser.add_argument
    add("--strokes", type=positive, default=200, help="moves of the pen that are timed (default: 200)")
    add("--rounds", type=positive, default=9, help="the runs take turns so many times (default: 9)")
    add("--steps", type=positive, default=938, help="of a run (default: 938, an epoch)")
    add_common(parser)
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, dataset: Dataset, browser: Any) -> Iterator[list[dict[str, Any]]]:
    """Milliseconds from strokes to bars, then the seconds of runs."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    with closing(Page(data_dir=options.data_dir, threads=options.threads)) as page:
        _begin(page, options, steps=300)
        _wait(page)
        for how in ("trained", "training"):
            if how == "training":
                _begin(page, options, steps=10**6)
            go_to(tab, page.address)
            tab.wait_for_timeout(SETTLED)
            yield [{"what": "stroke", "how": how, **_strokes(tab, options.strokes)}]
    yield _runs("shared", options, dataset, tab, options.threads)
    *ours, last = usable_cpus()
    if not ours or not CAN_BE_SEEN:
        print("the browser cannot have a core of its own here")
        return
    confine([os.getpid()], ours)
    confine(descendants(os.getpid()), [last])
    yield _runs("browser apart", options, dataset, tab, min(options.threads, len(ours)))


def _runs(
    cores: str, options: argparse.Namespace, dataset: Dataset, tab: Any, threads: int
) -> list[dict[str, Any]]:
    """The seconds of runs, and those that the browser has used of processors."""
    page = Page(data_dir=options.data_dir, threads=threads)
    busy: list[float] = []

    def alone() -> float:
        config = TrainConfig.preset("fast", steps=options.steps, device="cpu", threads=threads)
        starts: list[float] = []
        train(config, dataset=dataset, curves=True, on_event=lambda _: starts.append(time.perf_counter()))
        return time.perf_counter() - starts[0]

    def served() -> float:
        _begin(page, options, steps=options.steps)
        return _wait(page)

    def watched() -> float:
        go_to(tab, page.address)
        tab.wait_for_timeout(SETTLED)
        before = _browser_seconds()
        seconds = served()
        busy.append(_browser_seconds() - before)
        tab.get_by_text(f"After step {options.steps:,}").wait_for()  # the end of a run is looked at
        tab.goto("about:blank")
        return seconds

    ways = {"alone": alone, "served": served, "watched": watched}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with closing(page):
        for turn in range(options.rounds):
            for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
                seconds[name].append(ways[name]())
    rows: list[dict[str, Any]] = [
        {"what": "run", "cores": cores, "threads": threads, "how": name, "seconds": values}
        for name, values in seconds.items()
    ]
    if CAN_BE_SEEN:
        rows[-1]["browser_seconds"] = busy
    return rows


def _begin(page: Page, options: argparse.Namespace, steps: int) -> None:
    page.session.begin("fast", {"dataset": options.dataset, "device": "cpu", "steps": steps})


def _wait(page: Page) -> float:
    """Wait for the end of the run; the seconds from its first step."""
    runs = page.session.runs()
    run_ = runs.starting or runs.run
    assert run_ is not None
    while run_.start is None:
        time.sleep(0.001)
    begin = time.perf_counter()
    while not run_.is_over:
        time.sleep(0.01)
    seconds = time.perf_counter() - begin
    if run_.error is not None:
        raise RuntimeError(run_.error)
    run_.join()
    return seconds


def _strokes(tab: Any, count: int) -> dict[str, list[float]]:
    """Draw, a move at a time, and return the milliseconds that each took."""
    tab.evaluate(WATCH)
    box = tab.locator("#canvas").bounding_box()
    path = list(islice(_points(), count + 1))
    tab.mouse.move(box["x"] + path[0][0], box["y"] + path[0][1])
    tab.mouse.down()
    for number, (x, y) in enumerate(path[1:], 1):
        tab.mouse.move(box["x"] + x, box["y"] + y)
        tab.wait_for_function("number => window.frames.length === number", arg=number, polling=5)
    tab.mouse.up()
    tab.click("#clear")
    return {name: tab.evaluate(f"window.{name}") for name in ("bars", "frames")}


def _points() -> Iterator[tuple[float, float]]:
    """Points along STROKE, back and forth."""
    stroke = list(STROKE)
    while True:
        for (x0, y0), (x1, y1) in pairwise(stroke):
            for part in range(12):
                yield x0 + (x1 - x0) * part / 12, y0 + (y1 - y0) * part / 12
        stroke.reverse()


def _browser_seconds() -> float:
    """The processor time of the browser so far: of what our only child, Playwright's driver, has started."""
    if not CAN_BE_SEEN:
        return 0.0
    _driver, *browser = descendants(os.getpid())
    return processor_seconds(browser)


def main(arguments: Sequence[str]) -> int:
    """Measure with a browser."""
    options = parse(arguments)
    if CHROMIUM is None:
        print("there is no Chromium: install it, so that `chromium` is found")
        return 1
    dataset = read_dataset(options.dataset, options.data_dir)
    options.dataset = dataset.name
    settings = {"strokes": options.strokes, "rounds": options.rounds, "steps": options.steps}
    with chromium() as browser:
        parts = measure(options, dataset, browser)
        run("app", options, arguments=arguments, settings=settings, parts=parts)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
