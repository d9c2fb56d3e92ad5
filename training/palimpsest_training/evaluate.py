"""What the model remembers: tables from held-out books, names and numbers, answered from memory alone by free decoding.

    python -m palimpsest_training.evaluate --model FILE.pt|FOLDER --data heldout.npz --tokenizer DIR --out evaluation.json
    python -m palimpsest_training.evaluate --model FOLDER --cases cases.jsonl      # the cases of a file, as the engine runs them
    python -m palimpsest_training.evaluate ... --babi babi_train.jsonl --tales fairytaleqa_train.jsonl     # with the rows drawn from these

Each cell: documents of T tokens of unseen prose (whole books in sequence) with facts at random sentence ends; every
question asked after the last token. Beside the score stand the same questions with the memory zeroed, with another
document's memory, and the commonest answer of the cell. Intervals: 95 %, bootstrap over documents.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from . import babi, cases, rows as own
from .books import Books
from .cases import SIZES, Asked
from .config import ModelConfig
from .reader import Reader, added, reader_of, zeroed
from .scores import by_unknown_bias, cells_of, knocked_out, line_of, scored, with_examples
from .sections import section_chosen


def calibration(reader: Reader, documents: list, prompts: list, states: list, books: list[list[int]] | None = None) -> dict:
    """by_unknown_bias of these documents. states: of each a list of sections; books: as in answer_from_sections."""
    forced = reader.answer_from_sections(prompts, states, unknown_bias=1e9, books=books)
    leads = []
    for asked, sections, b in zip(prompts, states, books or [None] * len(states)):
        words = reader.first_words([asked] * len(sections), sections)  # [sections][Q]
        leads.append([w[section_chosen([doubt for doubt, _ in w], reader.model.c.sure_doubt, b)][1] for w in zip(*words)])
    return by_unknown_bias([(a, g, lead) for (_, asked), gs, ls in zip(documents, forced, leads) for a, g, lead in zip(asked, gs, ls)])


def shelve(documents: list, states: list, books: int, sections: int):
    """Every document on a shelf with the next ones: its own questions, and the shelf's sum, or the sections of all. What another book of the shelf is
    asked as well is left out: the sum would hold two answers, and what is unknown of one book is known of the other. Third: how many sections
    each book of each shelf has, None with sums."""
    around = lambda i: [(i + k) % len(documents) for k in range(books)]
    asked = [{x.question for x in questions} for _, questions in documents]
    kept = [(t, [x for x in questions if not any(x.question in asked[k] for k in around(i)[1:])]) for i, (t, questions) in enumerate(documents)]
    shelves = [[states[k] for k in around(i)] for i in range(len(documents))]
    if sections == 1:
        return kept, [added(shelf) for shelf in shelves], None
    return kept, [[section for book in shelf for section in book] for shelf in shelves], [[len(book) for book in shelf] for shelf in shelves]


def run_cell(reader: Reader, documents: list[tuple[np.ndarray | str, list[Asked]]], knock_out: bool = True, books: int = 1,
             sections: int | None = None, calibrate: bool = False) -> dict:
    """Scores per kind, and the knock-outs; "answers": what was said, per document. books > 1: each document is asked as one
    of a shelf of so many, from the sum of their memories or from the sections of all; swapped is then a shelf without it. sections > 1 (the
    model's own if None): of so many sections of a document one answers (Reader.answer_from_sections)."""
    sections = reader.model.c.sections if sections is None else sections
    segments = [reader.segments(text) for text, _ in documents]
    started = time.time()
    states = [reader.read_sections(s, sections) if sections > 1 else reader.read(s) for s in segments]
    read_seconds = time.time() - started
    lengths = [sum(map(len, s)) for s in segments]
    counts = None
    if books > 1:
        assert len(documents) > books, "a shelf without the document needs one document more"
        documents, states, counts = shelve(documents, states, books, sections)
    prompts = [[reader.tokenizer.encode(a.prompt, add_special_tokens=False).ids for a in asked] for _, asked in documents]
    conditions = {"memory": states}
    if knock_out:
        conditions["zeroed"] = [[zeroed(x) for x in s] if sections > 1 else zeroed(s) for s in states]
        if len(states) > 1:
            conditions["swapped"] = states[1:] + states[:1]
    bias = reader.model.c.unknown_bias
    if sections == 1 and reader.model.c.answers_in_steps:
        answers = {k: reader.answer_from_sections(prompts, [[x] for x in s], bias) for k, s in conditions.items()}
    elif sections > 1:
        moved = {"swapped": counts and counts[1:] + counts[:1]}
        answers = {k: reader.answer_from_sections(prompts, s, bias, moved.get(k, counts)) for k, s in conditions.items()}
    else:
        answers = {k: reader.answer(prompts, s, unknown_bias=bias) for k, s in conditions.items()}

    asked = [its for _, its in documents]
    out: dict = {"documents": len(documents), "tokens": int(np.mean(lengths)), "tokens_per_second": round(sum(lengths) / read_seconds)}
    out |= scored(asked, answers)
    out["answers"] = answers["memory"]
    if calibrate and not reader.model.c.answers_in_steps and any(a.kind == "unknown" for its in asked for a in its):
        out["by_unknown_bias"] = calibration(reader, documents, prompts, states if sections > 1 else [[s] for s in states], counts)
    return out


ROWS = (*cases.ROWS, *cases.BABILONG, *own.ROWS)
SHELVES = {"shelf-2": 2, "shelf-4": 4, "shelf-8": 8}  # facts-8 in each of so many books, asked of the sum of their memories


def has_cell(row: str, size: str) -> bool:
    if row in SHELVES:
        return SIZES[size] <= 131072
    return own.has_cell(row, size) if row in own.ROWS else cases.belongs(row, size)


@dataclass
class Material:
    """What the rows are drawn from. babi, tales: of the evaluation's side; without them there are no such rows."""

    books: Books
    babi: dict[str, list[babi.Story]] = field(default_factory=dict)
    tales: list[own.Tale] = field(default_factory=list)


def own_row(reader: Reader, material: Material, row: str, size: str, documents: int, seed: int, sections: int | None) -> dict:
    if row == "book-card people":
        return own.cards(reader, material.books, SIZES[size], min(documents, 40), seed, sections)
    return own.fairytale(reader, material.tales, sections) if row == "fairytale" else own.perplexity(reader, material.books, SIZES[size], documents, seed)


def cell(reader: Reader, material: Material, row: str, size: str, documents: int, seed: int, sections: int | None = None, calibrate: bool = False) -> dict:
    if row in own.ROWS:
        r = own_row(reader, material, row, size, documents, seed, sections)
        print(row, size, {k: v for k, v in r.items() if k != "examples"}, *r.get("examples", [])[:1], flush=True)
        return r
    drawn_row = "facts-8" if row in SHELVES else row
    drawn = [(d.text, d.rows[drawn_row]) for d in cases.draw(material.books, drawn_row, size, cases.count_of(row, documents), seed, material.babi)]
    r = with_examples(run_cell(reader, drawn, knocked_out(row), SHELVES.get(row, 1), sections, calibrate), [asked for _, asked in drawn])
    print(line_of(row, size, r), flush=True)
    return r


def run_cases(reader: Reader, documents: list[tuple[str, cases.Document]], knock_out: bool = True) -> dict:
    """The table of a file's documents, as `palimpsest-cli eval` makes it: row -> size -> cell, with the answers."""
    cells = cells_of(documents)
    table: dict = {row: {} for row, _ in cells}
    for (row, size), places in cells.items():
        found = [documents[place][1] for place in places]
        table[row][size] = run_cell(reader, [(d.text, d.rows[row]) for d in found], knock_out and knocked_out(row))
        print(line_of(row, size, table[row][size]), flush=True)
    return table


_reader: Reader | None = None
_material: Material | None = None


def _start(model: str, data: Path, tokenizer: str, babi_files: list[Path], tales: Path | None, devices) -> None:
    """A process of its own for each GPU, which it takes from the queue."""
    global _reader, _material
    torch.backends.cuda.matmul.allow_tf32 = False
    books = Books(Tokenizer.from_file(str(Path(tokenizer) / "tokenizer.json")), data)
    _material = Material(books, babi.load(babi_files, evaluation=True), own.load_tales(tales) if tales else [])
    _reader = reader_of(model, books.tokenizer, torch.device(devices.get()))


def _cell(task: tuple) -> tuple[tuple, dict | list]:
    return task, memory_norms(_reader, _material.books) if task[0] == "layers" else cell(_reader, _material, *task)


def evaluate(model: str, data: Path, tokenizer: str, devices: list[str], sizes: list[str], rows: list[str], documents: int, seed: int = 7,
             sections: int | None = None, calibrate: bool = False, finished=lambda table: None, babi_files: list[Path] = (),
             tales: Path | None = None) -> dict:
    """The table of all cells, spread over the devices, the longest first. `finished` gets what there is after each cell."""
    tasks = [(row, size, documents, seed, sections, calibrate)
             for size in sorted(sizes, key=SIZES.get, reverse=True) for row in rows if has_cell(row, size)] + [("layers",)]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for d in devices:
        queue.put(d)
    done: dict[tuple, dict | list] = {}

    def table() -> dict:
        cells: dict = {row: {} for row in rows}
        for task, result in sorted(done.items(), key=lambda x: SIZES.get(x[0][1], 0) if len(x[0]) > 1 else 0):
            if len(task) > 1:
                cells[task[0]][task[1]] = result
        used = ModelConfig.from_folder(Path(model)).sections if sections is None and Path(model).is_dir() else sections
        return {"model": Path(model).name, "seed": seed, "sections": used or 1, "table": cells, "layers": done.get(("layers",), [])}

    def collect(results) -> None:
        for task, result in results:
            done[task] = result
            finished(table())

    if len(devices) == 1:
        _start(model, data, tokenizer, babi_files, tales, queue)
        collect(map(_cell, tasks))
    else:
        with context.Pool(len(devices), _start, (model, data, tokenizer, babi_files, tales, queue)) as pool:
            collect(pool.imap_unordered(_cell, tasks, chunksize=1))
    return table()


def memory_norms(reader: Reader, books: Books) -> list[dict]:
    """Per layer: the mean size of z per token, and the norm of the memory heads' output projection; nothing of a layer without memory."""
    model, states = reader.model, reader.read(reader.segments(books.tokens[:65536]))
    out = []
    for layer, state in zip(model.model.layers, states):
        a, row = layer.self_attn, {}
        if model.c.memory_gate:
            row["gates"] = [round(float(g), 3) for g in torch.sigmoid(a.memory_gate.detach())]
        if layer.has_memory_heads:
            row["o_norm"] = round(float(a.memory_o_proj.weight.detach().norm()), 2)
        row["z_per_token"] = [[round(float(z.mean() / 65536), 4) for z in s.z[0]] for s in state]
        row["M_norm"] = [[round(float(M.norm()), 1) for M in s.M[0]] for s in state]
        out.append(row)
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", required=True)
    p.add_argument("--cases", type=Path, help="a file of cases (cases.py) instead of drawing them from --data")
    p.add_argument("--data", type=Path)
    p.add_argument("--tokenizer", help="folder; the model's own if not given")
    p.add_argument("--out", type=Path)
    p.add_argument("--sizes", nargs="*", default=["8K", "128K"], choices=list(SIZES))
    p.add_argument("--rows", nargs="*", choices=(*ROWS, *SHELVES), help="default: all but shelves, babilong with --babi, fairytale with --tales")
    p.add_argument("--babi", type=Path, nargs="*", default=[], metavar="FILE.jsonl", help="bAbI stories, of which the held-out ones are used (babi.py)")
    p.add_argument("--tales", type=Path, metavar="FILE.jsonl", help="FairytaleQA, of which the held-out tales are used")
    p.add_argument("--documents", type=int, default=50)
    p.add_argument("--sections", type=int, help="so many sections of a document are remembered apart; the surest one answers (default: the model's)")
    p.add_argument("--calibrate", action="store_true", help="tell what other values of unknown_bias would give")
    p.add_argument("--device", help="cpu, cuda:1, ...; all GPUs if not given (with --cases: the first)")
    a = p.parse_args()
    if not (a.cases or a.data):
        p.error("either --cases or --data is needed")
    missing = {*(() if a.babi else cases.BABILONG), *(() if a.tales else ("fairytale",))}
    if a.rows and missing.intersection(a.rows):
        p.error("the rows of stories need --babi, row fairytale needs --tales")
    wanted = a.rows or [row for row in ROWS if row not in missing]
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    devices, tokenizer = [a.device] if a.device else gpus or ["cpu"], a.tokenizer or a.model
    write = lambda table: a.out and a.out.write_text(json.dumps(table, indent=1) + "\n")
    if a.cases:
        reader = reader_of(a.model, Tokenizer.from_file(str(Path(tokenizer) / "tokenizer.json")), torch.device(devices[0]))
        write({"model": Path(a.model).name, "cases": a.cases.name, "table": run_cases(reader, cases.load(a.cases)[1])})
    else:
        for layer in evaluate(a.model, a.data, tokenizer, devices, a.sizes, wanted, a.documents, sections=a.sections,
                              calibrate=a.calibrate, finished=write, babi_files=a.babi, tales=a.tales)["layers"]:
            print(layer)


if __name__ == "__main__":
    main()
