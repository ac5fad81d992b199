"""Options given as ``key=value``: any field of the training settings or of the model."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from annotator.errors import ConfigError
from annotator.model import ModelConfig
from annotator.training import TrainingSettings

__all__ = ["Choice", "Options", "option_keys", "parse_grid", "parse_options"]

_TRUE, _FALSE, _NONE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}, {"none", "null"}
_NOT_OPTIONS = {"seed", "schema", "encoder"}  # these have their own options
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}

Choice = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What differs from the defaults: fields of ``TrainingSettings`` and of ``ModelConfig``."""

    training: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)

    def with_choice(self, choice: Choice) -> Options:
        """Return these options overridden by ``choice``."""
        given = Options.of(choice)
        return Options(
            training={**self.training, **given.training}, model={**self.model, **given.model}
        )

    @classmethod
    def of(cls, choice: Choice) -> Options:
        """Sort typed values into fields of training and of the model."""
        hints = _hints()
        return cls(
            training={k: v for k, v in choice.items() if k in hints[0]},
            model={k: v for k, v in choice.items() if k in hints[1]},
        )

    def settings(self, *, seed: int) -> TrainingSettings:
        """Return the training settings.

        Raises:
            ConfigError: if a value is out of range.
        """
        return TrainingSettings(**self.training, seed=seed)


def option_keys() -> list[str]:
    """Return the allowed keys, in order."""
    return sorted(_hints()[0] | _hints()[1])


def parse_options(pairs: Sequence[str]) -> Options:
    """Read ``key=value`` pairs, typed by the fields they name.

    Raises:
        ConfigError: if a pair has no ``=``, a key is unknown or given twice, or a value does not
            fit; the message names what would.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, text = _cut(pair, "--set")
        if key in values:
            raise ConfigError(f"--set {key} is given twice")
        values[key] = _parse(key, text)
    return Options.of(values)


def parse_grid(axes: Sequence[str], *, options: Options) -> list[Choice]:
    """Read ``key=v1,v2`` axes; return every combination, none if there are no axes.

    ``options`` are those already fixed.

    Raises:
        ConfigError: as ``parse_options``.
    """
    values: dict[str, list[Any]] = {}
    for axis in axes:
        key, text = _cut(axis, "--grid")
        if key in {**options.training, **options.model}:
            raise ConfigError(f"{key} is both in --set and in --grid: give one of them")
        if key in values:
            raise ConfigError(f"--grid {key} is given twice; write --grid {key}=v1,v2")
        values[key] = [_parse(key, one) for one in text.split(",")]
        if len({repr(value) for value in values[key]}) < len(values[key]):
            raise ConfigError(f"--grid {key} names a value twice")
    return list(_combine(values)) if values else []


def _combine(values: Mapping[str, list[Any]]) -> Iterator[Choice]:
    for chosen in product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def _cut(pair: str, option: str) -> tuple[str, str]:
    key, equals, text = pair.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{option} needs key=value, found no = or no key in it")
    return key.strip(), text.strip()


def _hints() -> tuple[dict[str, Any], dict[str, Any]]:
    training, model = (
        {
            name: hint
            for name, hint in get_type_hints(kind).items()
            if name not in _NOT_OPTIONS and all(_is_plain(one) for one in _alternatives(hint))
        }
        for kind in (TrainingSettings, ModelConfig)
    )
    return training, model


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return get_args(hint)
    return (hint,)


def _is_plain(hint: Any) -> bool:
    return hint in (*_KINDS, types.NoneType) or get_origin(hint) is Literal


def _parse(key: str, text: str) -> Any:
    training, model = _hints()
    if key not in training and key not in model:
        raise ConfigError(f"there is no option {key!r}; there are {', '.join(option_keys())}")
    hints = _alternatives(training.get(key, model.get(key)))
    if types.NoneType in hints and text.lower() in _NONE:
        return None
    for hint in hints:
        if hint is not types.NoneType:
            try:
                return _convert(hint, text)
            except ValueError:
                continue
    raise ConfigError(f"{key} must be {_describe(hints)}, found {text!r}")


def _convert(hint: Any, text: str) -> Any:
    if hint is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError
        return text.lower() in _TRUE
    if hint is int:
        return int(text)
    if hint is float and math.isfinite(float(text)):
        return float(text)
    if hint is str and text:
        return text
    if get_origin(hint) is Literal and text in get_args(hint):
        return text
    raise ValueError


def _describe(hints: Sequence[Any]) -> str:
    names = []
    for hint in hints:
        if get_origin(hint) is Literal:
            names.append(f"one of {', '.join(map(str, get_args(hint)))}")
        else:
            names.append("none" if hint is types.NoneType else _KINDS[hint])
    return " or ".join(names)
