"""Means over runs, and the Markdown table of results."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from annotator.experiments.protocols import Headline

__all__ = ["summarise", "table"]

_LAYERS = ("ner", "re")


def summarise(runs: Sequence[Mapping[str, Any]], *, headline: Headline) -> dict[str, Any]:
    """Return means and standard deviations of ``runs``, F1 in per cent.

    Folds are averaged first; the deviation is over seeds and draws. With one seed and one draw it
    is over folds; ``std_over`` says which.
    """
    replicates: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
    for run in runs:
        replicates.setdefault((run["seed"], run["draw"]), []).append(run)
    over_folds = len(replicates) == 1 and len(runs) > 1
    groups = [[run] for run in runs] if over_folds else list(replicates.values())
    mean, std = {}, {}
    for name, read in _figures(runs, headline).items():
        values = [statistics.fmean(read(run) for run in group) for group in groups]
        mean[name] = round(statistics.fmean(values), 4)
        std[name] = round(statistics.stdev(values), 4) if len(values) > 1 else 0.0
    train_s = sum(run["train_s"] for run in runs)
    n_words = sum(run["words_per_s"] * run["train_s"] for run in runs)
    return {
        "mean": mean,
        "std": std,
        "std_over": "folds" if over_folds else "seeds and draws",
        "train_s": round(train_s, 3),
        "words_per_s": round(n_words / train_s, 1) if train_s else 0.0,
    }


def _figures(
    runs: Sequence[Mapping[str, Any]], headline: Headline
) -> dict[str, Callable[[Mapping[str, Any]], float]]:
    paths: dict[str, tuple[str, ...]] = {}
    for layer in _LAYERS:
        paths[f"{layer}_f1"] = (layer, headline, "f1")
        paths[f"{layer}_p"] = (layer, headline, "p")
        paths[f"{layer}_r"] = (layer, headline, "r")
        paths[f"{layer}_micro_f1"] = (layer, "micro", "f1")
        paths[f"{layer}_macro_f1"] = (layer, "macro", "f1")
        paths[f"{layer}_boundary_f1"] = (layer, "boundary", "f1")
    if all("re_given_entities" in run for run in runs):
        paths["re_given_entities_f1"] = ("re_given_entities", headline, "f1")
    if all("false_alarms" in run for run in runs):
        for name in ("entities", "relations", "sentences"):
            paths[f"false_{name}_per_100_empty"] = ("false_alarms", name)
    if all("ece" in run for run in runs):
        for when in ("before", "after"):
            for layer in _LAYERS:
                paths[f"{layer}_ece_{when}"] = ("ece", when, layer)
    return {name: _reader(path) for name, path in paths.items()}


def _reader(path: Sequence[str]) -> Callable[[Mapping[str, Any]], float]:
    def read(run: Mapping[str, Any]) -> float:
        value: Any = run
        for key in path:
            value = value[key]
        return float(value)

    return read


def table(value: Mapping[str, Any]) -> str:
    """Return the Markdown page of an experiment, from what ``results.json`` holds."""
    headline = value["headline"]
    lines = [
        f"# {value['protocol']}",
        "",
        f"`{value['command']}`",
        "",
        f"Encoder {value['encoder']}, {value['device']}, scored on {value['on']}; strict F1, "
        f"{headline}, in per cent; {value['date']}.",
        "",
        *_grid_table(value),
        "| run | train | scored | entities P | R | F1 | relations P | R | F1 | train s | words/s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(run, headline) for run in value["runs"]),
        _mean_row(value),
        "",
        "| type | entities F1 | relations F1 |",
        "|---|---|---|",
        *_type_rows(value["runs"]),
        "",
        *_extra(value),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(run: Mapping[str, Any], headline: str) -> str:
    words = [f"{name} {run[name]}" for name in ("fold", "draw", "seed") if run[name] is not None]
    scores = [f"{run[layer][headline][key]:.2f}" for layer in _LAYERS for key in ("p", "r", "f1")]
    cells = [
        ", ".join(words),
        f"{run['n_train']:,}",
        f"{run['n_test']:,}",
        *scores,
        f"{run['train_s']:.0f}",
        f"{run['words_per_s']:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _mean_row(value: Mapping[str, Any]) -> str:
    mean, std = value["mean"], value["std"]
    scores = [
        f"**{mean[f'{layer}_{key}']:.2f}** ± {std[f'{layer}_{key}']:.2f}"
        for layer in _LAYERS
        for key in ("p", "r", "f1")
    ]
    speed = [f"{value['train_s']:.0f} in all", f"{value['words_per_s']:,.0f}"]
    return f"| mean ± std over {value['std_over']} | | | {' | '.join([*scores, *speed])} |"


def _type_rows(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for name in sorted({name for run in runs for layer in _LAYERS for name in run[layer]["types"]}):
        cells = []
        for layer in _LAYERS:
            found = [run[layer]["types"][name]["f1"] for run in runs if name in run[layer]["types"]]
            cells.append(f"{statistics.fmean(found):.2f}" if found else "")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _grid_table(value: Mapping[str, Any]) -> list[str]:
    if not value["grid"]:
        return []
    keys = list(value["grid"][0]["choice"])
    lines = [
        f"| {' | '.join(keys)} | dev entities F1 | dev relations F1 | mean | chosen |",
        f"|{'---|' * (len(keys) + 4)}",
    ]
    for row in value["grid"]:
        cells = [str(row["choice"][key]) for key in keys]
        scores = [f"{row[name]:.2f}" for name in ("ner_f1", "re_f1", "joint_f1")]
        lines.append(f"| {' | '.join([*cells, *scores])} | {'yes' if row['chosen'] else ''} |")
    return [*lines, ""]


def _extra(value: Mapping[str, Any]) -> list[str]:
    mean = value["mean"]
    lines = []
    if "re_given_entities_f1" in mean:
        lines.append(
            "Relations among the gold entities, the relation head alone: F1 "
            f"{mean['re_given_entities_f1']:.2f}."
        )
    if "false_entities_per_100_empty" in mean:
        lines.append(
            "On 100 sentences without gold labels: "
            + ", ".join(
                f"{mean[f'false_{name}_per_100_empty']:.2f} {words}"
                for name, words in (
                    ("entities", "entities"),
                    ("relations", "relations"),
                    ("sentences", "sentences with at least one prediction"),
                )
            )
            + "."
        )
    if "ner_ece_after" in mean:
        lines.append(
            "Expected calibration error before and after the temperatures: entities "
            f"{mean['ner_ece_before']:.4f} and {mean['ner_ece_after']:.4f}, relations "
            f"{mean['re_ece_before']:.4f} and {mean['re_ece_after']:.4f}."
        )
    if value["left_out"]:
        kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(value["left_out"].items()))
        lines.append(f"Labels of the corpus that are neither trained on nor scored: {kinds}.")
    return lines
