"""Going on with a sweep by its name: ``sweep.resume=``.

Read before Hydra composes anything, so nothing heavy may be imported here.
"""

import os
import sys
import time
from calendar import timegm
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from fishcnn.commands.overrides import is_sweep, options_and_overrides, parsed, quote_values
from fishcnn.commands.train.manifest import BEGUN, Manifest, read_manifest
from fishcnn.commands.train.own_settings import key_of
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import found_below
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import COMPARISON, LAST, SWEEP_MANIFEST, SWEEP_SETTINGS

_SETTING = "sweep.resume"
_FILES = (SWEEP_MANIFEST, SWEEP_SETTINGS)
_SWEEPS = "multirun"  # where sweeps go that are told no other place, below ``runs``


class _Start:
    """Of this process."""

    by_name = False


def as_sweep(typed: Sequence[str]) -> list[str]:
    """What was typed, with the option that makes a sweep of it where one is to go on."""
    named = any(_value_of(word) for word in typed)
    return ["-m", *typed] if named and not is_sweep(typed) else [*typed]


def goes_on_by_name() -> bool:
    """Whether all jobs of the manifest are meant, and not only those that were typed."""
    return _Start.by_name


def with_resumed_sweep(arguments: Sequence[str]) -> list[str]:
    """Put what was typed for the sweep that ``sweep.resume=`` names before what is typed now.

    What is typed now takes the place of the same setting. Relative paths are meant from where the
    sweep was begun, so this process goes there.

    Args:
        arguments: for Hydra, without the program; options come before the settings.

    Raises:
        FishError: there is no such sweep, or another folder is typed beside it.
    """
    options, now = options_and_overrides(arguments)
    named = [value for word in now if (value := _value_of(word))]
    now = [word for word in now if key_of(word) != _SETTING]
    _Start.by_name = bool(named)
    if not named:
        return [*options, *now]
    sweep = _find(named[-1], now)
    manifest = read_manifest(sweep)
    if manifest is None:
        raise FishError(
            f"{_SETTING}={named[-1]} is not the folder of a sweep: it has no {SWEEP_MANIFEST}"
        )
    if place := _other(now, sweep):
        raise FishError(f"{_SETTING}={named[-1]} goes on in its own folder: leave out {place}")
    typed = {key_of(word) for word in now} | {"hydra.sweep.dir", "hydra.mode"}
    kept = [word for word in manifest.typed if key_of(word) not in typed]
    now = [word for word in now if key_of(word) != "hydra.sweep.dir"]
    if manifest.place and Path(manifest.place).is_dir():
        os.chdir(manifest.place)
    return [*options, *kept, *now, *quote_values([f"hydra.sweep.dir={sweep}"])]


def _value_of(word: str) -> str | None:
    """What is typed for ``sweep.resume``; None where that is null, or the word is another one."""
    if key_of(word) != _SETTING:
        return None
    override = parsed(quote_values([word])[0])
    value = override.value() if override else word.partition("=")[2]
    return str(value).strip("'\"") if value not in (None, "") else None


def _find(name: str, now: Sequence[str]) -> Path:
    if name != LAST:
        return user_path(name).absolute()
    typed = [parsed(word) for word in now if key_of(word) == "runs"]
    folder = str(typed[-1].value()).strip("'\"") if typed and typed[-1] else "runs"
    runs = user_path(folder).absolute()
    found = {path.parent for name in _FILES for path in found_below(runs, name)}
    known = {sweep: manifest for sweep in sorted(found) if (manifest := read_manifest(sweep))}
    begun = {sweep: _begun(sweep, manifest) for sweep, manifest in known.items()}
    if not begun:
        raise FishError(f"{_SETTING}={LAST}: no sweep lies below {runs}; name its folder")
    newest = max(begun, key=lambda sweep: begun[sweep])
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(begun[newest]))
    # Not on standard output, which may be the configuration.
    print(f"{_SETTING}={LAST} is {newest}, begun {when}", file=sys.stderr)
    if skipped := _skipped(runs / _SWEEPS, begun, begun[newest]):
        print(skipped, file=sys.stderr)
    return newest


def _begun(sweep: Path, manifest: Manifest) -> float:
    """When a sweep was begun, in seconds since 1970; where nobody knows, when it last went on."""
    with suppress(ValueError):
        return timegm(time.strptime(manifest.begun, BEGUN))
    return max(file.stat().st_mtime for file in map(sweep.joinpath, _FILES) if file.is_file())


def _skipped(sweeps: Path, known: Collection[Path], newest: float) -> str | None:
    """Name the latest folder that is later than the newest sweep and holds none."""
    later = []
    for one in sweeps.iterdir() if sweeps.is_dir() else ():
        if one.name == COMPARISON or any(path.is_relative_to(one) for path in known):
            continue
        with suppress(FileNotFoundError):  # it was removed meanwhile
            # A time as it is written is up to a second early.
            if one.is_dir() and (changed := one.stat().st_mtime) > newest + 1:
                later.append((changed, one))
    return f"skipped {max(later)[1]}: nothing in it can be resumed" if later else None


def _other(now: Sequence[str], sweep: Path) -> str | None:
    """The folder that is typed beside the sweep, if it is another one."""
    for word in now:
        if key_of(word) == "hydra.sweep.dir" and (override := parsed(word)):
            folder = user_path(str(override.value()).strip("'\""))
            return word if folder.resolve() != sweep.resolve() else None
    return None
