"""What the page in the browser costs: from a stroke to its bars, and from the training beside it.

    python benchmarks/app.py --data-dir mnist

- "stroke to bars": from the browser's event of a pen that has moved to the bars that answer it, in a headless
  Chromium on this machine, by its own clock; with a trained network that stands still, and while one trains.
- "run": a run of the fast preset, from its first step to its end, by `train()` alone ("alone"), on the page's
  server with no page open ("served"), and with the page open in the browser, which draws its curves
  ("watched"). They take turns, in the reverse order every other round.

Needs Chromium, and `pip install '.[app,bench]' playwright`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice, pairwise
from typing import Any

from harness.arguments import add_common, positive
from harness.command import run
from harness.workload import read_dataset
from mpsmnist.app import Page
from mpsmnist.data import Dataset
from mpsmnist.train import TrainConfig, train

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
STROKE = [(88, 60), (192, 60), (130, 232)]  # a seven
WATCH = """() => {
    window.latencies = [];
    let moved = null;
    document.querySelector("#canvas").addEventListener("pointermove", (event) => {
        if (event.buttons) moved = event.timeStamp;
    }, true);
    new MutationObserver(() => {
        if (moved !== null) window.latencies.push(performance.now() - moved);
        moved = null;
    }).observe(document.querySelector("#bars"), { childList: true });
}"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the page in the browser costs.")
    add = parser.add_argument
    add("--strokes", type=positive, default=200, help="moves of the pen that are timed (default: 200)")
    add("--rounds", type=positive, default=9, help="the runs take turns so many times (default: 9)")
    add("--steps", type=positive, default=938, help="of a run (default: 938, an epoch)")
    add_common(parser)
    return parser.parse_args(arguments)


def measure(
    options: argparse.Namespace, dataset: Dataset, tab: Any, page: Page
) -> Iterator[list[dict[str, Any]]]:
    """Milliseconds from strokes to bars, then the seconds of runs."""
    begin = {"dataset": options.dataset, "device": "cpu"}
    page.session.begin("fast", begin | {"steps": 300})
    _wait(page)
    tab.evaluate(WATCH)
    yield [{"what": "stroke to bars", "how": "trained", "milliseconds": _strokes(tab, options.strokes)}]
    page.session.begin("fast", begin | {"steps": 10**6})
    yield [{"what": "stroke to bars", "how": "training", "milliseconds": _strokes(tab, options.strokes)}]
    page.session.close()
    tab.goto("about:blank")

    def alone() -> float:
        config = TrainConfig.preset("fast", steps=options.steps, device="cpu", threads=options.threads)
        starts: list[float] = []
        train(config, dataset=dataset, curves=True, on_event=lambda _: starts.append(time.perf_counter()))
        return time.perf_counter() - starts[0]

    def served() -> float:
        page.session.begin("fast", begin | {"steps": options.steps})
        return _wait(page)

    def watched() -> float:
        tab.goto(page.address)
        tab.wait_for_selector("[name=preset] option", state="attached")
        seconds = served()
        tab.goto("about:blank")
        return seconds

    ways = {"alone": alone, "served": served, "watched": watched}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds):
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            seconds[name].append(ways[name]())
    yield [{"what": "run", "how": name, "seconds": values} for name, values in seconds.items()]


def _wait(page: Page) -> float:
    """Wait for the end of the run; the seconds from its first step."""
    run_ = page.session.run
    assert run_ is not None
    while run_.start is None:
        time.sleep(0.001)
    begin = time.perf_counter()
    while not run_.is_over:
        time.sleep(0.002)
    seconds = time.perf_counter() - begin
    if run_.error is not None:
        raise RuntimeError(run_.error)
    run_.join()
    return seconds


def _strokes(tab: Any, count: int) -> list[float]:
    """Draw, a move at a time, and return the milliseconds that each took to reach the bars."""
    tab.evaluate("window.latencies = []")
    box = tab.locator("#canvas").bounding_box()
    path = list(islice(_points(), count + 1))
    tab.mouse.move(box["x"] + path[0][0], box["y"] + path[0][1])
    tab.mouse.down()
    for x, y in path[1:]:
        before = tab.evaluate("window.latencies.length")
        tab.mouse.move(box["x"] + x, box["y"] + y)
        tab.wait_for_selector("#bars[aria-busy=false] .best", state="attached")
        while tab.evaluate("window.latencies.length") == before:
            tab.wait_for_timeout(1)
    tab.mouse.up()
    tab.click("#clear")
    found: list[float] = tab.evaluate("window.latencies")
    return found


def _points() -> Iterator[tuple[float, float]]:
    """Points along STROKE, back and forth."""
    stroke = list(STROKE)
    while True:
        for (x0, y0), (x1, y1) in pairwise(stroke):
            for part in range(12):
                yield x0 + (x1 - x0) * part / 12, y0 + (y1 - y0) * part / 12
        stroke.reverse()


def main(arguments: Sequence[str]) -> int:
    """Measure with a browser."""
    options = parse(arguments)
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        print("there is no Chromium: install it, so that `chromium` is found")
        return 1
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (what it needs is said above)

    dataset = read_dataset(options.dataset, options.data_dir)
    options.dataset = dataset.name
    settings = {"strokes": options.strokes, "rounds": options.rounds, "steps": options.steps}
    page = Page(data_dir=options.data_dir, threads=options.threads)
    with closing(page), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(page.address)
        tab.wait_for_selector("[name=preset] option", state="attached")
        parts = measure(options, dataset, tab, page)
        run("app", options, arguments=arguments, settings=settings, parts=parts)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
