"""The known datasets: downloaded once, then kept in the cache, as the mirrors have them and unpacked."""

import dataclasses
import functools
import logging
import os
from contextlib import AbstractContextManager
from pathlib import Path

from ..errors import DatasetError
from .arrays import FIELDS, Arrays, read_arrays, write_arrays
from .cache import CacheError, cache_root, locked
from .dataset import Dataset, UnavailableError, read_downloads
from .sources import Download, Source
from .stored import checksum_flaw, fingerprint

_log = logging.getLogger(__name__)

_FORM = 1  # what is made of downloads: raise it when a Decoder changes, or what arrays.py writes
_USUAL_RATE = 1 << 18  # bytes per second: another process's download is waited for as long as this takes
_OFFLINE = "the network may not be used (offline)"


def load_cached(source: Source, *, offline: bool = False) -> Dataset:
    """Map a dataset's arrays from the cache; what is missing or damaged is unpacked or downloaded first.

    Several processes may call it at once: one downloads, and the others wait for it. A cache that cannot be
    written is read all the same.

    Raises:
        UnavailableError: it is neither in the cache nor to be had from a mirror; lists what was tried.
    """
    folder = _folder(source)
    if (dataset := read_unpacked(source, folder)) is not None:
        return dataset
    if offline and not os.path.isdir(folder):
        raise _unavailable(source, f"there is no {folder}", _OFFLINE)
    try:
        with _locked(source, folder):
            return read_unpacked(source, folder) or _unpack(source, folder, offline=offline)
    except CacheError as error:
        obstacle = str(error)
    try:
        dataset = read_downloads(source, folder, str(folder))
    except DatasetError as error:
        reason = _OFFLINE if offline else f"it cannot be downloaded: {obstacle}"
        raise _unavailable(source, str(error), reason) from error
    _say_not_kept(source.name, obstacle)
    return dataset


def fetch(source: Source, *, offline: bool = False) -> Dataset:
    """Load a dataset, after downloading what the cache lacks or has with other checksums than the mirrors'.

    Its `source` is the cache's folder if nothing was downloaded.

    Args:
        source: the dataset.
        offline: MPSMNIST_OFFLINE forbids downloads.

    Raises:
        UnavailableError: as of load_cached(); or `offline`, and something would have to be downloaded.
    """
    folder = _folder(source)
    origin = str(folder)
    wrong = _wrong_downloads(source, folder)
    if wrong and offline:
        file, flaw = next(iter(wrong.items()))
        reason = "MPSMNIST_OFFLINE is 1, which forbids the network"
        raise _unavailable(source, f"{folder / file.name}: {flaw}", reason)
    if wrong:
        try:
            with _locked(source, folder):
                origin = _download(source, folder)
        except CacheError as error:
            reason = f"it cannot be downloaded: {error}"
            raise UnavailableError(f"{source.name}: {reason}", brief=reason) from error
        except UnavailableError as error:
            raise UnavailableError(f"{source.name}: {error}", error.brief) from error
    return dataclasses.replace(load_cached(source, offline=True), source=origin)


def unpacked_path(source: Source, folder: Path) -> Path:
    """Return the path of the file of `folder` that has the unpacked arrays, which need not be there."""
    return folder / f"{source.name}.npz"


def read_unpacked(source: Source, folder: Path) -> Dataset | None:
    """Map the arrays that were unpacked from the downloads in `folder`; None if they are not there."""
    try:
        made_from = _made_from(source, folder)
    except DatasetError:
        return None
    arrays = read_arrays(unpacked_path(source, folder), made_from, source.num_classes)
    return None if arrays is None else _dataset(source, arrays, str(folder))


def _unpack(source: Source, folder: Path, *, offline: bool) -> Dataset:
    """Read the downloads, from a mirror if need be, and keep the arrays. Raises CacheError if it cannot."""
    try:
        dataset = read_downloads(source, folder, str(folder))
    except DatasetError as error:
        if offline:
            raise _unavailable(source, str(error), _OFFLINE) from error
        _log.info("%s is not in the cache: asking its mirrors (%d)", source.name, len(source.mirrors))
        try:
            origin = _download(source, folder)
        except UnavailableError as unavailable:
            raise _unavailable(source, str(error), str(unavailable), unavailable.brief) from unavailable
        dataset = read_downloads(source, folder, origin)
    arrays = {field: getattr(dataset, field) for field in FIELDS}
    path, made_from = unpacked_path(source, folder), _made_from(source, folder)
    arrays = write_arrays(path, arrays, made_from, source.num_classes)
    return _dataset(source, arrays, dataset.source)


def _download(source: Source, folder: Path) -> str:
    """Replace the downloads that are missing or have other checksums; returns where they came from."""
    from .mirrors import download  # noqa: PLC0415 (it takes long to import, and is seldom needed)

    wrong = _wrong_downloads(source, folder)
    return download(source, list(wrong), folder) if wrong else str(folder)


def _wrong_downloads(source: Source, folder: Path) -> dict[Download, str]:
    """Find the downloads that are missing or have other checksums, and say what is wrong with each."""
    flaws = {each: checksum_flaw(folder / each.name, each) for each in source.downloads}
    return {each: flaw for each, flaw in flaws.items() if flaw is not None}


def _locked(source: Source, folder: Path) -> AbstractContextManager[None]:
    seconds = sum(each.largest for each in source.downloads) / _USUAL_RATE
    return locked(folder, f"downloading {source.name}", seconds)


@functools.cache  # said once
def _say_not_kept(name: str, reason: str) -> None:
    _log.info("%s is not kept unpacked, which would load faster: %s", name, reason)


def _folder(source: Source) -> Path:
    try:
        return cache_root() / source.cached_in
    except CacheError as error:
        raise UnavailableError(f"{source.name} is not in the cache: {error}", "there is no cache") from error


def _made_from(source: Source, folder: Path) -> str:
    """Tell what the arrays would be made from. Raises DatasetError if a download cannot be read."""
    prints = [f"{each.name}: {fingerprint(folder / each.name)}" for each in source.downloads]
    return "\n".join((f"{source.name}, form {_FORM}", *prints))  # datasets may share their downloads


def _dataset(source: Source, arrays: Arrays, origin: str) -> Dataset:
    return Dataset(source.name, classes=source.classes, source=origin, **arrays)


def _unavailable(source: Source, absence: str, reason: str, brief: str | None = None) -> UnavailableError:
    return UnavailableError(
        f"{source.name} is not in the cache ({absence}) and {reason}",
        brief=f"{source.name} is not in the cache, and {brief or reason}",
    )
