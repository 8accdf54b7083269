"""The parser of every command: bad usage is answered with the one line that helps."""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

# What other programs call our choices: "gpu" is not a misspelt "cpu".
_ALIASES = {"gpu": "mps", "metal": "mps"}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors suggest what may have been meant, and name options as they are typed."""

    _words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Remember the words, whatever argparse complains about first."""
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say how to get help, then what is wrong, and exit with code 2."""
        hint = self._hint_at_options()
        self.exit(2, f"Help: {self.prog} --help\n{self.prog}: error: {self._name_options(message)}{hint}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            choices = [str(choice) for choice in action.choices or ()]
            raise argparse.ArgumentError(action, error.message + _did_you_mean(str(value), choices)) from None

    def _hint_at_options(self) -> str:
        """Suggest what was meant by the first word that looks like an option but is none."""
        options = self._option_string_actions
        for word in self._words:
            name = word.partition("=")[0]
            if name.startswith("--") and name not in options:
                return _did_you_mean(name, options)
            if word.startswith("-") and word not in ("-", *options) and os.path.lexists(word):
                return f"; the file {word} is ./{word}"
        return ""

    def _name_options(self, message: str) -> str:
        """Write options for the names that they have in Python: --batch-size for batch_size.

        Our messages begin with a name, or have `names` between backquotes; what is in other quotes stays.
        """
        options = {action.dest: name for name, action in self._option_string_actions.items()}
        first, space, rest = message.partition(" ")

        def name(match: re.Match[str]) -> str:
            word = match[0].strip("`")
            return options.get(word, word) if word != match[0] or "_" in word else word

        return options.get(first, first) + space + re.sub(r"'[^']*'|\"[^\"]*\"|`\w+`|\w+", name, rest)


def _did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Suggest the choice that `word` may mean: by another name, misspelt, cut short, or initials (--lr)."""
    bare = word.lstrip("-")
    by_name = {choice.lstrip("-"): choice for choice in choices}
    likely = [alias for alias in [_ALIASES.get(bare.lower())] if alias in by_name]
    likely += [name for name in by_name if name.startswith(bare) or bare == _initials(name)]
    likely += get_close_matches(bare, by_name, n=1)
    return f"; did you mean {by_name[likely[0]]}?" if bare and likely else ""


def _initials(name: str) -> str:
    return "".join(part[0] for part in name.split("-") if part)
