"""The table of recall, by the program's engine: drawn by many processes, asked on several devices, made into evaluation.json.

    python -m palimpsest_training.measure_recall cases --data heldout.npz --tokenizer DIR --babi FILE.jsonl ... --out OUT
    python -m palimpsest_training.measure_recall ask --bench palimpsest-engine-bench --model DIR --devices cuda:0 cuda:1 --out OUT
    python -m palimpsest_training.measure_recall cells --out OUT --into evaluation.json

A batch of cells is drawn whole (cases.py) and then dealt out to files of a few documents, so that a batch's documents are the same
however many parts it has. `ask` takes the files in the order of BATCHES, several at a time on each device, and may run while
`cases` still draws. What is there already is left as it is: each command can be begun again. `cells` leaves out, with a word, what
has not been answered whole.
  OUT/parts.json             into how many parts each batch is dealt out
  OUT/cases/NAME-K.jsonl     part K of a batch              OUT/answers/NAME-K.jsonl   what the engine answered
  OUT/answers/NAME-K.log     what it said of that
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import answers
from .cases import BABILONG


@dataclass(frozen=True)
class Batch:
    """Cells of one size. documents: what cases.py is told, which draws more of pass keys and of stories. parts: at most. asked: at most
    so many questions of a row of a document; 0: all."""

    name: str
    size: str
    rows: tuple[str, ...]
    documents: int = 50
    parts: int = 1
    asked: int = 0


# Those first that take longest or are wanted most, were there no time for all.
BATCHES = (
    Batch("facts-4m", "4M", ("facts-8",), 50, 25), Batch("passkey-4m", "4M", ("passkey",), 20, 10),
    Batch("facts-1m", "1M", ("facts-8",), 50, 10), Batch("qa1-1m", "1M", ("babilong-qa1",), 25, 5), Batch("passkey-1m", "1M", ("passkey",), 50, 5),
    Batch("facts-512k", "512K", ("facts-8", "passkey"), 50, 8), Batch("qa1-512k", "512K", ("babilong-qa1",), 25, 3),
    Batch("crowd-1m", "1M", ("facts-64",), 50, 10, 16), Batch("crowd-512k", "512K", ("facts-64",), 50, 8, 16),
    Batch("stories-128k", "128K", tuple(BABILONG), 25, 4), Batch("facts-128k", "128K", ("facts-8", "turns", "paraphrased", "passkey"), 50, 4),
    Batch("natural-128k", "128K", ("natural",), 50, 4), Batch("crowd-128k", "128K", ("facts-64",), 50, 4, 16),
    Batch("facts-32k", "32K", ("facts-8", "passkey"), 50, 2), Batch("natural-32k", "32K", ("natural",), 50, 2),
    Batch("crowd-32k", "32K", ("facts-64",), 50, 4), Batch("stories-32k", "32K", tuple(BABILONG), 25, 2),
    Batch("facts-8k", "8K", ("facts-8", "turns", "paraphrased", "passkey"), 50, 2), Batch("natural-8k", "8K", ("natural",), 50, 1),
    Batch("crowd-8k", "8K", ("facts-64",), 50, 2), Batch("stories-8k", "8K", tuple(BABILONG), 25, 1),
)


def part_files(folder: Path, name: str, parts: int) -> list[Path]:
    return [folder / f"{name}-{k}.jsonl" for k in range(parts)]


def draw(a: argparse.Namespace, batch: Batch, parts: int) -> str:
    """Of one batch, in a process of its own; what went wrong, else empty."""
    files = part_files(a.out / "cases", batch.name, parts)
    if all(f.exists() for f in files):
        return ""
    whole = a.out / "cases" / f"{batch.name}.whole"
    command = [sys.executable, "-m", "palimpsest_training.cases", "--data", a.data, "--tokenizer", a.tokenizer, "--sizes", batch.size, "--rows", *batch.rows,
               "--documents", min(batch.documents, a.documents), "--seed", a.seed, "--out", whole, "--babi", *a.babi]
    done = subprocess.run([*map(str, command), *(["--asked", str(batch.asked)] if batch.asked else [])], capture_output=True, text=True)
    if done.returncode:
        return f"{batch.name}: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
    with open(whole, encoding="utf-8") as lines:
        head, *documents = lines
    for k, file in enumerate(files):
        half = file.with_suffix(".half")
        half.write_text("".join([head, *documents[k::parts]]), encoding="utf-8")
        half.replace(file)
    whole.unlink()
    return ""


def cases(a: argparse.Namespace) -> list[str]:
    (a.out / "cases").mkdir(parents=True, exist_ok=True)
    # Two documents of each row in every part: one is the other's other book.
    parts = {b.name: max(1, min(b.parts, min(b.documents, a.documents) // 2)) for b in a.batches}
    dealt = a.out / "parts.json"
    known = json.loads(dealt.read_text()) if dealt.exists() else {}
    if changed := [name for name in parts if known.get(name, parts[name]) != parts[name]]:
        raise ValueError(f"{', '.join(changed)}: dealt out to another number of parts before; draw into another folder.")
    half = dealt.with_suffix(".half")
    half.write_text(json.dumps(known | parts))
    half.replace(dealt)
    with ThreadPoolExecutor(a.jobs) as pool:
        return [wrong for wrong in pool.map(lambda b: draw(a, b, parts[b.name]), a.batches) if wrong]


def dealt_out(a: argparse.Namespace) -> dict[str, int]:
    """How many parts each batch has that is, or will be, drawn; in the order of BATCHES."""
    parts = json.loads((a.out / "parts.json").read_text())
    return {b.name: parts[b.name] for b in a.batches if b.name in parts}


class Turns:
    """Deals out the files to those who ask, first those that come first; one that is not drawn yet is passed over until it is."""

    def __init__(self, files: list[Path], wait: float):
        self.left, self.lock, self.until = list(files), threading.Lock(), time.time() + wait

    def take(self) -> Path | None:
        while True:
            with self.lock:
                ready = next((f for f in self.left if f.exists()), None)
                if ready:
                    self.left.remove(ready)
                    return ready
                if not self.left or time.time() > self.until:
                    return None
            time.sleep(0.5)


def ask(a: argparse.Namespace) -> list[str]:
    given = a.out / "answers"
    given.mkdir(parents=True, exist_ok=True)
    files = [f for name, parts in dealt_out(a).items() for f in part_files(a.out / "cases", name, parts) if not (given / f.name).exists()]
    turns, wrong = Turns(files, a.wait), []

    def answer(file: Path, device: str) -> None:
        half, log = given / f"{file.name}.half", given / f"{file.stem}.log"
        command = [a.bench, a.model, "--cases", file, "--answers", half, "--knock-out", "--forced", "--by-section", "--device", device]
        with open(log, "w", encoding="utf-8") as said:
            done = subprocess.run(list(map(str, command)), stdout=said, stderr=subprocess.STDOUT)
        if done.returncode:
            raise ValueError(log.read_text(encoding="utf-8", errors="replace").strip()[-400:])
        half.replace(given / file.name)

    def worker(device: str) -> None:
        while file := turns.take():
            try:
                answer(file, device)
            except (OSError, ValueError) as error:
                wrong.append(f"{file.stem} on {device}: {error}")

    workers = [threading.Thread(target=worker, args=(device,)) for device in a.devices for _ in range(a.at_once)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return wrong + [f"{f.stem} was not drawn within {a.wait:.0f} s" for f in turns.left]


def cells(a: argparse.Namespace) -> list[str]:
    """Some of a batch's parts would be other documents than the cell's."""
    drawn, given, wrong = [], [], []
    for name, parts in dealt_out(a).items():
        asked, said = (part_files(a.out / folder, name, parts) for folder in ("cases", "answers"))
        there = [f.exists() for f in (*asked, *said)]
        if all(there):
            drawn += asked
            given += said
        elif any(there[len(asked) :]):
            wrong.append(f"{name} is left out: {sum(there[len(asked):])} of {parts} parts are answered")
    if drawn:
        answers.run(drawn, given, a.into, a.sure_doubt)
    return wrong


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("command", choices=["cases", "ask", "cells"])
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--only", nargs="+", metavar="BATCH", choices=[b.name for b in BATCHES], help="these cells only: " + " ".join(b.name for b in BATCHES))
    p.add_argument("--data", type=Path, help="cases: packed held-out books")
    p.add_argument("--tokenizer", type=Path, help="cases: the model's folder")
    p.add_argument("--babi", type=Path, nargs="*", default=[], metavar="FILE.jsonl", help="cases: bAbI stories; without them there are no such rows")
    p.add_argument("--seed", type=int, default=7, help="cases: another draws other documents")
    p.add_argument("--documents", type=int, default=1000, help="cases: at most so many, see Batch")
    p.add_argument("--jobs", type=int, default=2, help="cases: processes")
    p.add_argument("--bench", type=Path, help="ask: palimpsest-engine-bench")
    p.add_argument("--model", type=Path, help="ask: its folder")
    p.add_argument("--devices", nargs="+", default=["cpu"], help="ask")
    p.add_argument("--at-once", type=int, default=1, help="ask: files at a time on each device; five of the shipped model fill an H200")
    p.add_argument("--wait", type=float, default=600, help="ask: seconds for files that are still being drawn")
    p.add_argument("--into", type=Path, help="cells: evaluation.json")
    p.add_argument("--sure-doubt", type=float, metavar="X", help="cells: choose again among what the sections said (answers.py)")
    a = p.parse_args()
    needs = {"cases": ["data", "tokenizer"], "ask": ["bench", "model"], "cells": ["into"]}[a.command]
    for name in needs:
        if getattr(a, name) is None:
            p.error(f"{a.command} needs --{name}")
    a.batches = [b for b in BATCHES if (not a.only or b.name in a.only) and (a.babi or a.command != "cases" or not set(b.rows) & set(BABILONG))]
    try:
        wrong = {"cases": cases, "ask": ask, "cells": cells}[a.command](a)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
