"""How the answers of `predict` are written: a line, bars, or JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..prediction.predictor import Prediction
from .streams import in_one_line

BAR = 40  # characters of a probability of 1


class Answer(NamedTuple):
    """What the network says about a picture."""

    image: str
    predictions: Sequence[Prediction]  # of its digits in reading order; none if nothing is there
    unsure: str | None  # the reason

    @property
    def text(self) -> str:
        """The classes in a row; with gaps if a class may have two characters, or 10 would be 1 and 0."""
        names = [name for prediction in self.predictions for name in prediction.classes]
        gap = "" if all(len(name) == 1 for name in names) else " "
        return gap.join(prediction.answer for prediction in self.predictions)


def format_line(answer: Answer) -> str:
    """Write the digits in a line, as in "seven.png: 7  99.8%"; a guess has no percentage to trust."""
    name, digits = in_one_line(answer.image), in_one_line(answer.text)
    if answer.unsure is not None:
        return f"{name}: unsure ({in_one_line(answer.unsure)})" + (f", best guess {digits}" if digits else "")
    if len(answer.predictions) == 1:
        digits += f"  {max(answer.predictions[0].probabilities):.1%}"
    return f"{name}: {digits}"


def format_prediction(prediction: Prediction) -> str:
    """Write the digit, and the probabilities as a bar chart in text."""
    answer = Answer(prediction.image, [prediction], prediction.unsure)
    return "\n".join([format_line(answer), *format_bars(prediction)])


def format_bars(prediction: Prediction) -> Iterator[str]:
    """Draw a bar for each class's probability, a line each."""
    names = [in_one_line(name) for name in prediction.classes]
    width = max(2, *map(len, names))
    for name, probability in zip(names, prediction.probabilities, strict=True):
        bar = "#" * round(BAR * probability)
        yield f"  {name:>{width}} {probability:7.2%} {bar}".rstrip()


def as_json(answer: Answer, many: bool) -> str:
    """Write the answer as a JSON object: of the only digit, or with a list of `many`."""
    if many:
        fields: dict[str, Any] = {
            "text": answer.text,
            "digits": [
                {**_digit_fields(prediction), "unsure": prediction.unsure}
                for prediction in answer.predictions
            ],
        }
    else:
        fields = _digit_fields(answer.predictions[0] if answer.predictions else None)
    return json.dumps({"image": answer.image, **fields, "unsure": answer.unsure})


def _digit_fields(prediction: Prediction | None) -> dict[str, Any]:
    fields = {"digit": "digit", "class": "answer", "probabilities": "probabilities", "inverted": "inverted"}
    return {name: getattr(prediction, field, None) for name, field in fields.items()}
