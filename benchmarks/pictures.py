"""How well a checkpoint reads the pictures that people have, and how often it is unsure, by kind of picture.

    python benchmarks/pictures.py --checkpoint fast.safetensors --contact-sheet sheet.png

The pictures are those of the tests (`support/handwriting.py` and `support/not_digits.py`). Each is written to
a file, read and predicted as `mpsmnist predict` does. A digit is read if the answer is right, unsure or not.
Of what is no digit only "unsure" is right; a blank picture that is refused counts as that.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from harness.arguments import add_common, output_path, positive
from harness.command import run
from harness.environment import ROOT
from mpsmnist.picture_files import Picture, PictureError
from mpsmnist.prediction.predictor import Network, Prediction, load_network, predict_picture
from mpsmnist.prediction.reading import read_pictures

sys.path.append(str(ROOT / "tests"))
from support import handwriting, ink, not_digits  # what is drawn belongs to the tests

CELL = 112  # pixels of a picture on the contact sheet


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Which pictures a checkpoint reads, by kind.")
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, metavar="PATH", help="the network to ask")
    add("--pictures", type=positive, default=260, help="of each kind (default: 260)")
    add("--kinds", nargs="+", choices=[*_makers(1, 0)], metavar="KIND", help="these alone (default: all)")
    add("--seed", type=int, default=0, help="of the pictures (default: 0)")
    add(
        "--contact-sheet",
        type=output_path,
        metavar="PNG",
        help="pictures beside what the network sees of them",
    )
    add_common(parser)
    return parser.parse_args(arguments)


Drawn = tuple[int | None, bytes]  # the digit, if it is one, and the file


def _makers(count: int, seed: int) -> dict[str, tuple[str, Iterable[Drawn]]]:
    """By name of kind: "clean", "photo" or "no digit", and the pictures, drawn when asked for."""
    digits = {
        kind.name: (kind.sort, ((s.digit, s.file) for s in handwriting.samples(kind, count, seed)))
        for kind in handwriting.KINDS
    }
    others = {
        kind.name: ("no digit", ((None, file) for _, file in not_digits.pictures(kind, count, seed)))
        for kind in not_digits.NOT_DIGITS
    }
    return digits | others


def measure(options: argparse.Namespace, network: Network) -> Iterator[list[dict[str, Any]]]:
    """For each picture of each kind the digit, the answer (None: refused), and why it is unsure."""
    makers = _makers(options.pictures, options.seed)
    for sort in dict.fromkeys(sort for sort, _ in makers.values()):
        names = [name for name in makers if makers[name][0] == sort and name in (options.kinds or makers)]
        if names:
            bar = tqdm(names, sort, leave=False, disable=None)  # on a terminal alone
            yield [_measure_kind(network, name, *makers[name]) for name in bar]


def _measure_kind(network: Network, name: str, sort: str, drawn: Iterable[Drawn]) -> dict[str, Any]:
    answers = [_answer(network, digit, file) for digit, file in drawn]
    return {"kind": name, "sort": sort, "answers": answers}


def _answer(network: Network, digit: int | None, file: bytes) -> tuple[int | None, int | None, str | None]:
    answer = _predict(network, _read(file))
    return (digit, None, "refused") if answer is None else (digit, answer.digit, answer.unsure)


def _read(file: bytes) -> Picture:
    with tempfile.NamedTemporaryFile(suffix=".picture") as temporary:
        temporary.write(file)
        temporary.flush()
        ((_, picture),) = read_pictures(temporary.name)
        return picture


def _predict(network: Network, picture: Picture) -> Prediction | None:
    try:
        return predict_picture(network, "", picture)
    except PictureError:
        return None


def contact_sheet(options: argparse.Namespace, network: Network, columns: int = 8) -> Image.Image:
    """Some pictures of each kind, each beside its 28x28 and the answer; a "?" is an unsure one."""
    makers = _makers(columns, options.seed)
    kinds = options.kinds or [*makers]
    sheet = Image.new("RGB", (CELL + columns * 2 * CELL, len(kinds) * CELL), "gray")
    draw = ImageDraw.Draw(sheet)
    for row, name in enumerate(kinds):
        draw.text((4, row * CELL + 4), name.replace("_", "\n"))
        for column, (digit, file) in enumerate(makers[name][1]):
            corner = CELL + column * 2 * CELL, row * CELL
            picture = _read(file)
            sheet.paste(_thumbnail(picture), corner)
            answer = _predict(network, picture)
            if answer is not None:
                sheet.paste(_thumbnail(answer.pixels), (corner[0] + CELL, corner[1]))
                wrong = digit is not None and answer.digit != digit
                text = f"{answer.digit}{'?' if answer.unsure else ''}"
                draw.text((corner[0] + CELL + 4, corner[1] + 4), text, "red" if wrong else "lime")
    return sheet


def _thumbnail(picture: NDArray[np.uint8]) -> Image.Image:
    """What is clear is shown in pink."""
    image = Image.fromarray(picture)
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "hotpink")
        ground.alpha_composite(image)
        image = ground
    scale = (CELL - 4) / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = scale < 1
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS if small else Image.Resampling.NEAREST)


def main(arguments: Sequence[str]) -> int:
    """Measure, and draw the contact sheet if there is to be one."""
    options = parse(arguments)
    if options.data_dir is not None:
        os.environ["MPSMNIST_DATA_DIR"] = str(options.data_dir)  # where the tests' generator looks for digits
    for reason in ink.left_out():
        print(reason)
    network = load_network(options.checkpoint, "cpu", options.threads)
    settings = {"checkpoint": options.checkpoint.name, "pictures": options.pictures, "seed": options.seed}
    run("pictures", options, arguments=arguments, settings=settings, parts=measure(options, network))
    if options.contact_sheet is not None:
        contact_sheet(options, network).save(options.contact_sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
