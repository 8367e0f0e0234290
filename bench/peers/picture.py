"""Draw training's ratios: `python -m bench.peers.picture FILE.png`, the figures as JSON on stdin."""

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = {
    "torch": "#8c8c8c",
    "torch_float32": "#a6cee3",
    "torch_bfloat16": "#1f78b4",
    "torch_float32_depthwise": "#6a3d9a",
    "keras_tensorflow": "#ff7f00",
    "keras_tensorflow_bfloat16": "#fdbf6f",
    "keras_jax": "#33a02c",
}

LONGEST = 7.0
"""Longer bars end here, so that the others can be told apart; the number beside them says how long they were."""


def main(path: str, values: dict[str, Any]) -> None:
    bars, ticks, place = [], [], 0.0
    for model, row in values["networks"].items():
        there = [each for each in row["contenders"] if each["name"] in COLOURS and each["name"] in row["ratios"]]
        there = [each for each in there if row["ratios"][each["name"]] == row["ratios"][each["name"]]]  # not NaN
        ticks.append((place + (len(there) - 1) / 2, f"{model}\nbatches of {row['batch_size']}"))
        for each in there:
            bars.append((place, row["ratios"][each["name"]], each["name"], each["label"]))
            place += 1
        place += 1
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.27 * place), dpi=110)
    named: set[str] = set()
    for at, ratio, name, label in bars:
        shown = min(ratio, LONGEST)
        axes.barh(at, shown, color=COLOURS[name], height=0.85, label=None if name in named else label)
        axes.text(shown + 0.05, at, f"{ratio:.1f}" + (" (bar cut)" if ratio > shown else ""), va="center", fontsize=8)
        named.add(name)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks])
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as this contender Striate trains (224x224, images a second)")
    axes.set_title(values["machine"], fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, min(0.25, 1.1 / figure.get_figheight()), 1, 1))
    figure.savefig(path)


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
