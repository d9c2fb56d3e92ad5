"""What measure_gpu.sh measured -> the tables and the plot of docs/performance.md:

    pip install matplotlib
    python training/performance_tables.py OUT [--write docs/performance.md README.md]

OUT: the folder, or docs/figures/performance.json, in which what the tables need of it is kept. Without --write the tables are
printed. With it they are put between

    <!-- figures: NAME -->
    <!-- /figures -->

of the files, and docs/roofline.svg is drawn; a table of which nothing was measured is left as it is. Nothing is measured here.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES, PLOT = ROOT / "docs" / "figures" / "performance.json", ROOT / "docs" / "roofline.svg"
WEIGHTS = {"full": "bf16", "fp8": "fp8", "int8": "int8", "int4": "int4"}  # parts of measure_gpu.sh, and what they are called
DATA_SHEET = {"NVIDIA H200": 4800.0}  # GB/s, where the bandwidth was not measured
PORTION = 8192  # rows of a pass of transformers (measure_usual.py)
_MARKED = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- /figures -->)", re.S)


# --- what the folder holds ---------------------------------------------------------------------------------------------

def benchmark(text: str) -> dict:
    """The lines of palimpsest-engine-bench: "name value", "pass_ms OPERATION: ms", "reading_tokens_per_s until TOKENS: speed"."""
    out: dict = {"pass_ms": {}, "stretches": {}}
    for line in text.splitlines():
        if found := re.fullmatch(r"pass_ms (.+): (\S+)", line):
            out["pass_ms"][found[1]] = float(found[2])
        elif found := re.fullmatch(r"reading_tokens_per_s until (\d+): (\S+)", line):
            out["stretches"][found[1]] = float(found[2])
        elif found := re.fullmatch(r"(\w+) (.+)", line):
            try:
                out[found[1]] = float(found[2])
            except ValueError:
                out[found[1]] = found[2]
    return out


def rows_of(file: Path, columns: int) -> list[list[str]]:
    rows = [line.split(",") for line in file.read_text().splitlines()] if file.exists() else []
    return [row for row in rows if len(row) == columns]


def watched(samples: list[list[float]], begin: float, end: float, loading: float) -> dict | None:
    """The card from the time a part has loaded its model to a little before its end."""
    seen = [s[1:] for s in samples if begin + loading + 4 <= s[0] <= end - 5]
    if len(seen) < 10:
        return None
    memory, busy, clock, power = zip(*seen)
    return {"samples": len(seen), "memory_mib": [min(memory), max(memory)], "busy_percent": statistics.median(busy),
            "least_busy_percent": min(busy), "clock_mhz": statistics.median(clock), "watts": statistics.median(power)}


def gather(folder: Path) -> dict:
    """Everything that the tables need, of the parts that ended well."""
    figures: dict = {"bench": {}, "card": {}, "machine": {}}
    for line in (folder / "machine.txt").read_text().splitlines() if (folder / "machine.txt").exists() else []:
        name, _, value = line.partition(" ")
        figures["machine"][name] = value
    samples = []
    for row in rows_of(folder / "card.csv", 5):
        try:
            samples.append([float(x) for x in row])
        except ValueError:
            continue  # what the card does not tell
    spans = {name: (float(begin), float(end)) for name, begin, end in rows_of(folder / "parts.csv", 3)}
    for name in ("shipped-cpu", "shipped-card", *WEIGHTS):
        file = folder / f"{name}.txt"
        found = benchmark(file.read_text()) if file.exists() else {}
        if "weight_bytes" not in found:  # the last line
            continue
        figures["bench"][name] = found
        if name != "shipped-cpu" and name in spans and (card := watched(samples, *spans[name], found.get("load_s", 0))):
            figures["card"][name] = card
    if (folder / "usual.json").exists():
        figures["usual"] = json.loads((folder / "usual.json").read_text())
    if (folder / "config.json").exists():
        figures["config"] = json.loads((folder / "config.json").read_text())
    return figures


# --- what a pass has to compute and to move ----------------------------------------------------------------------------

class Shape:
    """The model of the passes, where all its layers have the same memory heads."""

    def __init__(self, config: dict):
        infini = config["infini_attention"]
        of = lambda name: (infini[name][0] if isinstance(infini[name], list) else infini[name])
        self.layers, self.hidden, self.inner = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
        self.heads, self.kv, self.vocabulary = config["num_attention_heads"], config["num_key_value_heads"], config["vocab_size"]
        self.dim = config.get("head_dim") or self.hidden // self.heads
        self.memory, self.memory_kv, self.key = of("memory_heads"), of("memory_kv_heads"), of("memory_head_dim")
        self.value = of("memory_value_dim") if infini.get("memory_value_dim") else self.key
        self.segment = infini["segment_length"]
        self.base_layers = self.layers * self.hidden * (2 * (self.heads + self.kv) * self.dim + 3 * self.inner)  # weights
        self.head = self.vocabulary * self.hidden

    def counts(self, operation: str, rows: float, weight_bytes: float) -> tuple[float, float] | None:
        """FLOP and bytes of an operation in all layers of a pass: everything read once and written once. The last layer only
        makes keys and values and writes them."""
        read = self.layers - 1
        if found := re.fullmatch(r"(linear|linearAdd) (\d+) x (\d+)", operation):
            outputs, inputs = int(found[2]), int(found[3])
            last = found[1] == "linear" and outputs == self.memory_kv * (self.key + self.value)
            moved = outputs * inputs * weight_bytes + rows * inputs * (2 if weight_bytes == 2 else 1) + rows * outputs * (8 if found[1] == "linearAdd" else 2)
            return tuple((1 if last else read) * x for x in (2 * rows * inputs * outputs, moved))
        segments = max(1, -(-rows // (self.segment + 1)))
        pairs = rows * (rows / segments + 1) / 2
        state = 4 * self.memory_kv * self.key * (self.value + 1)
        return {
            "localAttention": (read * self.heads * pairs * 4 * self.dim, read * 4 * rows * (self.heads + self.kv) * self.dim),
            "memoryRead": (read * self.memory * rows * 2 * self.key * (self.value + 1), read * (2 * rows * self.memory * (self.key + self.value) + state)),
            "memoryWrite": (self.layers * self.memory_kv * rows * self.key * (2 * self.value + 1),
                            self.layers * (2 * rows * self.memory_kv * (self.key + self.value) + 2 * state)),
            "siluMul": (read * rows * self.inner * 4, read * rows * self.inner * 6),
            "rmsNorm": ((2 * read + 1) * rows * self.hidden * 4, (2 * read + 1) * rows * self.hidden * 6),
            "rope": (read * rows * (self.heads + self.kv) * self.dim * 3, read * rows * (self.heads + self.kv) * self.dim * 4),
        }.get(operation)


BYTES = {"full": 2.0, "fp8": 1.0}  # of a weight, where a pass multiplies it as it is kept


def shape_of(figures: dict) -> Shape | None:
    return Shape(figures["config"]) if figures.get("config", {}).get("infini_attention") else None


def operations(figures: dict, name: str) -> dict[str, tuple[float, float, float]]:
    """Operation -> FLOP, bytes, seconds of a pass."""
    bench, shape = figures["bench"].get(name), shape_of(figures)
    if not (bench and shape and bench.get("pass_rows") and name in BYTES):
        return {}
    counted = {o: shape.counts(o, bench["pass_rows"], BYTES[name]) for o in bench["pass_ms"]}
    return {o: (*c, bench["pass_ms"][o] / 1e3) for o, c in counted.items() if c}


# --- tables --------------------------------------------------------------------------------------------------------------

def short(number: float) -> str:
    """37.9K, 2.37M."""
    for size, letter in ((1e6, "M"), (1e3, "K")):
        if number >= size:
            digits = 2 if number < 10 * size else 1
            return f"{number / size:.{digits}f}{letter}"
    return f"{number:.0f}"


def power_of_two(tokens: int) -> str:
    return f"{tokens >> 20}M" if tokens >= 1 << 20 else f"{tokens >> 10}K" if tokens >= 1 << 10 else str(tokens)


def rendered(head: list[str], rows: list[list[str]]) -> str:
    line = lambda cells: "|" + "".join(f" {c} |" if c else " |" for c in cells) + "\n"
    return line(head) + "|" + "---|" * len(head) + "\n" + "".join(map(line, rows)) if rows else ""


def title(figures: dict, name: str) -> str:
    return {"shipped-card": "the shipped model, bf16", "shipped-cpu": "the shipped model, bf16"}.get(name) or f"8B, {WEIGHTS[name]}"


def on_the_card(figures: dict) -> list[str]:
    return [name for name in (*WEIGHTS, "shipped-card") if name in figures["bench"]]


def reading(figures: dict) -> str:
    rows = []
    for name in on_the_card(figures):
        b = figures["bench"][name]
        busy = sum(b["pass_ms"].values()) / 1e3 * b["reading_tokens_per_s"] / b["pass_rows"] if b.get("pass_rows") else None
        rows.append([title(figures, name), short(b["reading_tokens_per_s"]), short(b["products_tokens_per_s"]), f"{b['products_gflops'] / 1e3:.0f}",
                     f"{b['share_of_products']:.2f}", f"{busy:.2f}" if busy and busy <= 1 else ""])
    return rendered(["weights", "reading, tokens/s", "its products alone, tokens/s", "their TFLOP/s", "share", "operations, of a pass's time"], rows)


def stretches(figures: dict) -> str:
    found = {name: figures["bench"][name]["stretches"] for name in on_the_card(figures) if figures["bench"][name]["stretches"]}
    ends = sorted({int(end) for ends in found.values() for end in ends})
    rows = [[title(figures, name), *(short(ends_of[str(end)]) if str(end) in ends_of else "" for end in ends)] for name, ends_of in found.items()]
    return rendered(["tokens/s up to token", *map(power_of_two, ends)], rows)


def card(figures: dict) -> str:
    gb = lambda mib: f"{mib * 1.048576 / 1e3:.2f}"
    rows = [[title(figures, name), str(c["samples"]), f"{c['busy_percent']:.0f} % ({c['least_busy_percent']:.0f} %)",
             " to ".join(map(gb, c["memory_mib"])) if c["memory_mib"][0] != c["memory_mib"][1] else gb(c["memory_mib"][0]),
             f"{c['clock_mhz']:.0f} MHz", f"{c['watts']:.0f} W"] for name, c in figures["card"].items()]
    return rendered(["while reading", "seconds watched", "GPU busy: median (least)", "memory taken, GB", "clock", "power"], rows)


def of_a_pass(figures: dict) -> str:
    names = [name for name in WEIGHTS if name in figures["bench"]]
    if not names:
        return ""
    first = figures["bench"][names[0]]["pass_ms"]
    counted = operations(figures, names[0])
    rows = []
    for operation, ms in sorted(first.items(), key=lambda item: -item[1]):
        flop, moved, seconds = counted.get(operation, (0, 0, 1))
        rows.append([operation, *(f"{figures['bench'][n]['pass_ms'].get(operation, 0):.2f}" for n in names), f"{ms / sum(first.values()):.3f}",
                     *((f"{flop / seconds / 1e12:.1f}", f"{moved / seconds / 1e12:.2f}") if flop else ("", ""))])
    rows.append(["all", *(f"{sum(figures['bench'][n]['pass_ms'].values()):.1f}" for n in names), "1", "", ""])
    return rendered(["ms of a pass", *(WEIGHTS[n] for n in names), f"share ({WEIGHTS[names[0]]})", "TFLOP/s", "TB/s"], rows)


def bandwidth(figures: dict) -> tuple[float | None, str]:
    """GB/s, reading alone, and what is to be said of it."""
    if speed := figures.get("usual", {}).get("read_gb_per_second"):
        return speed, ""
    return DATA_SHEET.get(figures["bench"].get("full", {}).get("device", "").split(",")[0]), " (data sheet)"


def decoding(figures: dict) -> str:
    (roof, source), rows = bandwidth(figures), []
    for name in on_the_card(figures):
        b = figures["bench"][name]
        moved = b.get("answer_gb_per_s") or b["answer_tokens_per_s"] * (b["weight_bytes"] + b["memory_bytes"]) / 1e9
        rows.append([title(figures, name), f"{b['answer_tokens_per_s']:.0f}", f"{b['weight_bytes'] / 1e9:.2f}", f"{moved / 1e3:.2f}", f"{moved / roof:.2f}" if roof else "",
                     f"{b['first_token_ms']:.0f}", f"{b['load_s']:.1f}"])
    share = f"share of {roof / 1e3:.2f} TB/s{source}" if roof else "share of the bandwidth"
    return rendered(["weights", "answering, tokens/s", "GB a token", "TB/s", share, "first token, ms", "loading, s"], rows)


def usual(figures: dict) -> str:
    measured, own = figures.get("usual", {}).get("reading", []), figures["bench"].get("full", {})
    rows = []
    for row in measured:
        if "error" in row:
            rows.append([power_of_two(row["tokens"]), row["error"].split(":")[0], "", "", ""])
            continue
        rows.append([power_of_two(row["tokens"]), short(row["tokens_per_second"]), f"{row['peak_gb']:.1f}" if row.get("peak_gb") else "",
                     f"{row['decoding_eager']:.0f}", f"{own['reading_tokens_per_s'] / row['tokens_per_second']:.1f}" if own else ""])
    return rendered(["tokens of context", "transformers reads, tokens/s", "peak memory, GB", "decodes after it, tokens/s", "Palimpsest reads faster, times"], rows)


def generating(figures: dict) -> str:
    rows = []
    for row in figures.get("usual", {}).get("generating", []):
        said = row["error"].split("\n")[0][:120] if "error" in row else f"{row['tokens_per_second']:.0f}"
        rows.append([f"static cache, compiled: {row['compiled']}", said])
    if not rows:
        return ""
    return rendered(["transformers after the first context", "decodes, tokens/s"], rows)


def cpu(figures: dict) -> str:
    b = figures["bench"].get("shipped-cpu")
    if not b:
        return ""
    rows = [[figures["machine"].get("cpu", ""), b["device"].removeprefix("CPU, "), short(b["reading_tokens_per_s"]), short(b["products_tokens_per_s"]),
             f"{b['products_gflops'] / 1e3:.2f}", f"{b['share_of_products']:.2f}", f"{b['first_token_ms']:.0f}", f"{b['answer_tokens_per_s']:.0f}"]]
    return rendered(["CPU", "", "reading, tokens/s", "its products alone", "their TFLOP/s", "share", "first token, ms", "answering, tokens/s"], rows)


def machine(figures: dict) -> str:
    said = [figures["machine"][k] for k in ("card", "cpu") if k in figures["machine"]]
    u = figures.get("usual", {})
    said += [f"torch {u['torch']}, transformers {u['transformers']}"] if "torch" in u else []
    return "; ".join(said) + ".\n" if said else ""


def summary(figures: dict) -> str:
    """For README.md."""
    rows = []
    for name in on_the_card(figures):
        b = figures["bench"][name]
        rows.append([title(figures, name), f"{short(b['reading_tokens_per_s'])} tokens/s", f"{b['share_of_products']:.2f}", f"{short(b['answer_tokens_per_s'])} tokens/s", f"{b['load_s']:.1f} s"])
    return rendered(["", "reading", "of its products alone", "answering", "loading"], rows)


TABLES = {"machine": machine, "reading": reading, "stretches": stretches, "card": card, "operations": of_a_pass, "decoding": decoding, "usual": usual,
          "generating": generating, "cpu": cpu, "summary": summary}


def filled(text: str, figures: dict) -> str:
    return _MARKED.sub(lambda m: m[1] + TABLES[m[2]](figures) + m[3] if TABLES[m[2]](figures) else m[0], text)


# --- the plot --------------------------------------------------------------------------------------------------------------

def points(figures: dict) -> list[tuple[str, str, float, float]]:
    """Kind, name, FLOP a byte, TFLOP/s."""
    out, shape, bench = [], shape_of(figures), figures["bench"]
    for name in BYTES:
        counted = operations(figures, name)
        for operation, (flop, moved, seconds) in counted.items():
            out.append((f"operation {name}", operation, flop / moved, flop / seconds / 1e12))
        if counted:
            flop, moved = (sum(c[i] for c in counted.values()) for i in (0, 1))
            passes = bench[name]["reading_tokens_per_s"] / bench[name]["pass_rows"]
            out.append(("reading", f"reading, {WEIGHTS[name]}", flop / moved, flop * passes / 1e12))
    for name in ("full", "int8", "int4"):
        if name in bench and "full" in bench:
            b, flop = bench[name], bench["full"]["weight_bytes"]  # 2 for each weight of 2 bytes
            out.append(("decoding", f"answering, {WEIGHTS[name]}", flop / (b["weight_bytes"] + b["memory_bytes"]), flop * b["answer_tokens_per_s"] / 1e12))
    if shape is None:
        return out
    cache = 4 * shape.layers * shape.kv * shape.dim  # bytes of a token
    attention = 4 * shape.layers * shape.heads * shape.dim  # FLOP of a pair
    between = 2 * shape.layers * (6 * shape.hidden + 2 * (shape.heads + shape.kv) * shape.dim + 3 * shape.inner)  # bytes of a token: in and out of products
    for row in figures.get("usual", {}).get("reading", []):
        if "error" in row:
            continue
        n = row["tokens"]
        flop = 2 * shape.base_layers + attention * n / 2
        moved = 2 * shape.base_layers / min(PORTION, n) + cache * (1 + n / 2 / min(PORTION, n)) + between
        out.append(("usual", f"transformers reads {power_of_two(n)}", flop / moved, flop * row["tokens_per_second"] / 1e12))
    for row in figures.get("usual", {}).get("generating", [])[:1]:
        if "error" not in row:
            flop = 2 * (shape.base_layers + shape.head) + attention * row["tokens"]
            moved = 2 * (shape.base_layers + shape.head) + cache * row["tokens"]
            out.append(("usual", "transformers answers", flop / moved, flop * row["tokens_per_second"] / 1e12))
    return out


def roofs(figures: dict) -> dict[str, float]:
    """TFLOP/s of the products alone."""
    return {WEIGHTS[name]: figures["bench"][name]["products_gflops"] / 1e3 for name in BYTES if name in figures["bench"]}


LOOKS = {"operation full": ("o", "tab:blue", 4), "operation fp8": ("o", "tab:orange", 4), "reading": ("s", "black", 7), "decoding": ("D", "tab:green", 6),
         "usual": ("^", "tab:red", 6)}
NAMED_ABOVE = 0.005  # of a pass's time: shorter operations have a point and no name


def draw(figures: dict, file: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "palimpsest", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
                                "axes.spines.top": False, "axes.spines.right": False})
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(9, 5.2))
    (speed, source), (least, most) = bandwidth(figures), (0.2, 60000)

    def say(words: str, x: float, y: float, right: bool = False, **more) -> None:
        panel.annotate(words, (x, y), xytext=(-7 if right else 7, 0), textcoords="offset points", ha="right" if right else "left", va="center", **more)

    for name, roof in roofs(figures).items():
        edge = roof * 1e3 / speed if speed else least
        panel.plot([edge, most], [roof, roof], color="gray", linewidth=1)
        say(f"products alone, {name}: {roof:.0f} TFLOP/s", edge, roof, right=bool(speed), color="gray")
    if speed:
        edge = max(roofs(figures).values(), default=1e3) * 1e3 / speed
        panel.plot([least, edge], [least * speed / 1e3, edge * speed / 1e3], color="gray", linewidth=1)
        say(f"memory: {speed / 1e3:.2f} TB/s{source}", 12, 12 * speed / 1e3, right=True, color="gray")
    times = figures["bench"].get("full", {}).get("pass_ms", {})
    for kind, name, x, y in points(figures):
        marker, colour, size = LOOKS[kind]
        panel.plot(x, y, marker, color=colour, markersize=size, alpha=0.8)
        if not kind.startswith("operation"):
            say(name, x, y, right=kind == "reading", fontsize=8, color=colour)
        elif kind == "operation full" and not name.startswith("linear") and times[name] >= NAMED_ABOVE * sum(times.values()):
            say(name, x, y, right=x < 1, fontsize=7, color=colour)  # the products lie together, under their roof
    for kind, words in (("operation full", "operations of a pass, bf16"), ("operation fp8", "operations of a pass, fp8")):
        panel.plot([], [], LOOKS[kind][0], color=LOOKS[kind][1], markersize=4, label=words)
    panel.legend(frameon=False, loc="lower right")
    panel.set(xscale="log", yscale="log", xlim=(least, most), xlabel="FLOP for each byte that has to be moved", ylabel="TFLOP/s",
              title=f"8B shape on one {figures['bench'].get('full', {}).get('device', 'card').split(',')[0]}")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("figures", type=Path, metavar="OUT")
    p.add_argument("--write", type=Path, nargs="*", metavar="FILE.md")
    p.add_argument("--plot", type=Path, default=PLOT)
    p.add_argument("--keep", type=Path, default=FIGURES, help="what the tables need, for later")
    a = p.parse_args()
    figures = gather(a.figures) if a.figures.is_dir() else json.loads(a.figures.read_text())
    if not a.write:
        print("\n".join(f"{name}\n\n{table(figures)}" for name, table in TABLES.items()))
        return
    for file in a.write:
        file.write_text(filled(file.read_text(encoding="utf-8"), figures), encoding="utf-8")
    draw(figures, a.plot)
    a.keep.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
