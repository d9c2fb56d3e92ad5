"""The plots of docs/memory.md, from the figures beside them:  pip install matplotlib; python training/plots.py

    docs/figures/recall.json    exact answers by version of the shipped model, row of the table and length
    docs/figures/layers.json    what measure_layers.py wrote
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "palimpsest", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
                            "axes.spines.top": False, "axes.spines.right": False})
import matplotlib.pyplot as plt  # noqa: E402

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"
SIZES = ["8K", "32K", "128K", "512K", "1M"]
TITLES = {"facts-8": "8 facts", "facts-64": "64 facts", "natural": "natural questions"}


def save(figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(FIGURES / name, metadata={"Date": None})


def recall() -> None:
    """One panel a row of the table, a line a version, darker the newer."""
    versions = json.loads((FIGURES / "recall.json").read_text())
    figure, panels = plt.subplots(1, len(TITLES), figsize=(9, 2.8), sharey=True)
    for panel, (row, title) in zip(panels, TITLES.items()):
        for i, (version, table) in enumerate(versions.items()):
            cells = {s: table[row][s] for s in SIZES if s in table.get(row, {})}
            panel.plot([SIZES.index(s) for s in cells], list(cells.values()), "o-", markersize=3, label=version,
                       color=plt.get_cmap("viridis_r")(0.1 + 0.9 * i / (len(versions) - 1)))
        panel.set(title=title, xticks=range(len(SIZES)), xticklabels=SIZES, xlim=(-0.2, 4.2), ylim=(0, 1), xlabel="tokens read")
    panels[0].set_ylabel("names and numbers right")
    panels[-1].legend(title="version", frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=7)
    save(figure, "recall.svg")


def layers() -> None:
    """Left: what a fact adds to its question's reads, by head. Right: what is left with another text's memory in some layers."""
    data = json.loads((FIGURES / "layers.json").read_text())
    count = len(data["one_layer_swapped"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    for layer, heads in zip(data["layers"], data["fact"]):
        left.plot([layer] * len(heads), heads, "o", markersize=5, alpha=0.7, color="tab:blue")
    left.set(yscale="log", xlabel="layer", ylabel="fact's part of what is read", xticks=range(count), title="each memory head")
    right.plot(range(count + 1), data["swapped_below"], "o-", label="in the layers below", color="tab:green")
    right.plot(range(count + 1), data["swapped_from"], "s-", label="in this layer and all above", color="tab:red")
    right.plot(range(count), data["one_layer_swapped"], "^:", label="in this layer alone", color="tab:gray")
    right.set(xlabel="layer", ylim=(0, 1), ylabel="names and numbers right", title="another text's memory", xticks=range(count + 1))
    right.legend(frameon=False, fontsize=8)
    save(figure, "layers.svg")


if __name__ == "__main__":
    recall()
    layers()
