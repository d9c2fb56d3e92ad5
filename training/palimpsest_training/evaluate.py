"""What the model remembers: tables from held-out books, names and numbers, answered from memory alone by free decoding.

    python -m palimpsest_training.evaluate --model FILE.pt|FOLDER --data heldout.npz --tokenizer DIR --out evaluation.json
    python -m palimpsest_training.evaluate --model FOLDER --cases cases.jsonl      # the cases of a file, as the engine runs them

Each cell: documents of T tokens of unseen prose (whole books in sequence) with facts at random sentence ends; every
question asked after the last token. Beside the score stand the same questions with the memory zeroed, with another
document's memory, and the commonest answer of the cell. Intervals: 95 %, bootstrap over documents.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from . import book_cards, cases
from .batches import BOS, EOS
from .books import Books, book_card
from .cases import SIZES, Asked
from .config import PROMPTS, ModelConfig
from .cutter import TokenTable, cut_tokens, text_segments
from .export import load_model
from .facts import UNKNOWN
from .llama_folder import bos_of, eos_of
from .model import InfiniLlama, MemoryState
from .sections import section_ends


class Reader:
    """Reads token arrays or stored text into memories and answers questions from them, greedily."""

    def __init__(self, model: InfiniLlama, tokenizer: Tokenizer, device, pass_segments: int = 256, bos: int | None = BOS, eos: int = EOS,
                 autocast: bool | None = None):
        """bos None: the tokenizer puts nothing before a text. autocast None: on the GPU only."""
        self.model, self.tokenizer, self.device, self.pass_segments = model.to(device).eval(), tokenizer, device, pass_segments
        self.bos, self.eos, self.lead = bos, eos, int(bos is not None)
        self.autocast = torch.device(device).type == "cuda" if autocast is None else autocast
        self.table = TokenTable(tokenizer)

    def segments(self, text: np.ndarray | str) -> list:
        """Token ids of each segment. Of our own tokenizer a text and its token array give the same."""
        S = self.model.c.segment_length
        if isinstance(text, str):
            return text_segments(text, self.tokenizer, S)
        words = self.table.word_ends(text)
        cuts = [0] + cut_tokens(words, self.table.sentence_ends(text, words), S)
        return [text[a:b] for a, b in zip(cuts, cuts[1:])]

    @torch.no_grad()
    def read(self, segments: list, states=None):
        """The memory that these segments leave, per layer and part; `states`: after what has been read before."""
        S = self.model.c.segment_length
        for first in range(0, len(segments), self.pass_segments):
            part = segments[first : first + self.pass_segments]
            ids = np.full((1, len(part), S + self.lead), self.eos, np.int64)
            write = np.zeros(ids.shape, bool)
            ids[:, :, : self.lead] = self.bos if self.lead else 0
            for n, tokens in enumerate(part):
                ids[0, n, self.lead : len(tokens) + self.lead] = tokens
                write[0, n, self.lead : len(tokens) + self.lead] = True
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                _, _, states = self.model.read_and_ask(
                    torch.from_numpy(ids).to(self.device), torch.from_numpy(write).to(self.device), states=states, keep_states=True)
        return states

    def read_sections(self, segments: list, count: int) -> list:
        """What each of at most `count` sections of a document has written, all read in one row: a list of states."""
        sections, states, read = [], None, 0
        for end in section_ends(len(segments), self.model.c.segment_length, count):
            before, states = states, self.read(segments[read:end], states)
            sections.append(subtracted(states, before) if before else states)
            read = end
        return sections

    def answer_from_sections(self, prompts: list[list[list[int]]], sections: list, unknown_bias: float = 0.0) -> list[list[str]]:
        """sections[document]: a list of states. Each question is answered from the section alone that doubts least that the
        text says it: the one with the smallest probability of the unknown answer's first token."""
        chosen = [np.array(self.doubts([asked] * len(states), states)).argmin(0) for asked, states in zip(prompts, sections)]  # of [sections, Q]
        used = [(d, k) for d, c in enumerate(chosen) for k in sorted(set(c.tolist()))]
        given: dict[tuple[int, int], list[str]] = {}
        for first in range(0, len(used), 64):
            part = used[first : first + 64]
            asked = [[p for p, c in zip(prompts[d], chosen[d]) if c == k] for d, k in part]
            given |= dict(zip(part, self.answer(asked, [sections[d][k] for d, k in part], unknown_bias=unknown_bias)))
        left = {pair: iter(answers) for pair, answers in given.items()}
        return [[next(left[d, int(k)]) for k in c] for d, c in enumerate(chosen)]

    def batch_of(self, prompts: list[list[list[int]]], room: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids [documents, Q, longest prompt + 1 + room], BOS first and EOS behind; and how long each prompt is, BOS included."""
        B, Q = len(prompts), max(map(len, prompts))
        ids = torch.full((B, Q, max(len(q) for p in prompts for q in p) + self.lead + room), self.eos, dtype=torch.long)
        ids[:, :, : self.lead] = self.bos if self.lead else 0
        length = torch.full((B, Q), self.lead)
        for b, p in enumerate(prompts):
            for q, tokens in enumerate(p):
                ids[b, q, self.lead : len(tokens) + self.lead] = torch.tensor(tokens)
                length[b, q] = len(tokens) + self.lead
        return ids.to(self.device), length.to(self.device)

    def doubts(self, prompts: list[list[list[int]]], states) -> list[list[float]]:
        """The probability with which each answer would begin as the unknown one."""
        return [[p for p, _ in asked] for asked in self.first_words(prompts, states)]

    @torch.no_grad()
    def first_words(self, prompts: list[list[list[int]]], states) -> list[list[tuple[float, float]]]:
        """Of each answer's first token: the probability of the unknown one, and by how many nats it leads (below 0: follows)
        the likeliest other one. An unknown_bias above that lead makes the model answer."""
        unknown = self.tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[0]
        ids, length = self.batch_of(prompts)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            _, hidden, _ = self.model.read_and_ask(None, None, ids, torch.zeros_like(length), states=joined(states))
            hidden = hidden.gather(2, (length - 1).clamp(min=0)[..., None, None].expand(-1, -1, 1, hidden.shape[-1])).squeeze(2)
            logits = self.model.head(hidden).float()
            p, own = logits.softmax(-1)[..., unknown].cpu(), logits[..., unknown].clone()
            logits[..., unknown] = -torch.inf
            lead = (own - logits.amax(-1)).cpu()
        return [list(zip(p[b, : len(asked)].tolist(), lead[b, : len(asked)].tolist())) for b, asked in enumerate(prompts)]

    @torch.no_grad()
    def answer(self, prompts: list[list[list[int]]], states, max_new: int = 24, unknown_bias: float = 0.0) -> list[list[str]]:
        """prompts[document][question] token ids; states: one list per document. Greedy, until EOS.

        unknown_bias: of config.py, for questions; the book card is no answer.
        """
        ids, length = self.batch_of(prompts, max_new)
        start, done = length.clone(), length == self.lead  # a document with fewer questions: no prompt
        memories = joined(states)
        unknown = self.tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[0]
        for step in range(max_new):
            # only those that are still being answered, in the first columns of each document
            columns = done.int().argsort(dim=1, stable=True)[:, : int((~done).sum(1).max())]
            width, at = int(length[~done].max()), length.gather(1, columns)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                asked = ids[:, :, :width].gather(1, columns.unsqueeze(-1).expand(-1, -1, width))
                _, hidden, _ = self.model.read_and_ask(None, None, asked, torch.zeros_like(columns), states=memories)
                last = (at - 1).clamp(0, width - 1)
                last = hidden.gather(2, last[..., None, None].expand(-1, -1, 1, hidden.shape[-1])).squeeze(2)
                logits = self.model.head(last).float()
                if step == 0:
                    logits[..., unknown] -= unknown_bias
                token = torch.full_like(length, self.eos).scatter_(1, columns, logits.argmax(-1))
            token = torch.where(done, torch.full_like(token, self.eos), token)
            ids.scatter_(2, length.unsqueeze(-1), token.unsqueeze(-1))
            done |= token == self.eos
            length = length + (~done).long()
            if done.all():
                break
        out = []
        for b, p in enumerate(prompts):
            out.append([self.tokenizer.decode(ids[b, q, start[b, q] : length[b, q]].tolist()).strip() for q in range(len(p))])
        return out


def reader_of(model: str, tokenizer: Tokenizer, device) -> Reader:
    """Of a checkpoint, which has the shipped model's tokenizer, or of a folder with whatever tokenizer."""
    ends = dict(bos=bos_of(tokenizer), eos=eos_of(Path(model), tokenizer)) if Path(model).is_dir() else {}
    return Reader(load_model(model), tokenizer, device, **ends)


def joined(states):
    """One batch of the states of single documents."""
    cat = lambda l, i: MemoryState(torch.cat([s[l][i].M for s in states]), torch.cat([s[l][i].z for s in states]))
    return [[cat(l, i) for i in range(len(states[0][l]))] for l in range(len(states[0]))]


def subtracted(states, before):
    """What has been written since."""
    return [[MemoryState(s.M - b.M, s.z - b.z) for s, b in zip(layer, earlier)] for layer, earlier in zip(states, before)]


def zeroed(states):
    return [[MemoryState(torch.zeros_like(s.M), torch.zeros_like(s.z)) for s in layer] for layer in states]


def added(shelf: list):
    """The sum of several books' states, in the order given: what the engine's addMemories() makes of their memories."""
    add = lambda parts: MemoryState(sum((s.M for s in parts[1:]), parts[0].M), sum((s.z for s in parts[1:]), parts[0].z))
    return [[add([states[l][i] for states in shelf]) for i in range(len(shelf[0][l]))] for l in range(len(shelf[0]))]


def calibration(reader: Reader, documents: list, prompts: list, states: list, biases=(-6, -4, -3, -2, -1, 0, 1, 2, 4)) -> dict:
    """What other values of unknown_bias would give: by bias, the share of right answers (names and numbers), of answerable
    questions refused, and of unanswerable ones answered. states: of each document a list of sections."""
    forced = reader.answer_from_sections(prompts, states, unknown_bias=1e9)
    leads = []
    for asked, sections in zip(prompts, states):
        words = reader.first_words([asked] * len(sections), sections)  # [sections][Q]
        leads.append([min(w)[1] for w in zip(*words)])
    flat = [(a, g, lead) for (_, asked), gs, ls in zip(documents, forced, leads) for a, g, lead in zip(asked, gs, ls)]
    share = lambda hits: round(sum(hits) / max(1, len(hits)), 4)
    return {str(b): [share([g == a.answer and lead <= b for a, g, lead in flat if a.is_open]),
                     share([lead > b for a, _, lead in flat if a.kind != "unknown"]),
                     share([lead <= b for a, _, lead in flat if a.kind == "unknown"])] for b in biases}


def shelve(documents: list, states: list, books: int, sections: int):
    """Every document on a shelf with the next ones: its own questions, and the shelf's sum, or the sections of all. What another book of the shelf is
    asked as well is left out: the sum would hold two answers, and what is unknown of one book is known of the other."""
    around = lambda i: [(i + k) % len(documents) for k in range(books)]
    asked = [{x.question for x in questions} for _, questions in documents]
    kept = [(t, [x for x in questions if not any(x.question in asked[k] for k in around(i)[1:])]) for i, (t, questions) in enumerate(documents)]
    together = (lambda shelf: [section for book in shelf for section in book]) if sections > 1 else added
    return kept, [together([states[k] for k in around(i)]) for i in range(len(documents))]


def interval(per_document: list[list[bool]], seed: int = 0, rounds: int = 1000) -> list[float]:
    rng = np.random.default_rng(seed)
    hits, totals = np.array([sum(d) for d in per_document]), np.array([len(d) for d in per_document])
    pick = rng.integers(0, len(hits), (rounds, len(hits)))
    rates = hits[pick].sum(1) / np.maximum(1, totals[pick].sum(1))
    return [round(float(x), 3) for x in np.quantile(rates, [0.025, 0.975])]


def run_cell(reader: Reader, documents: list[tuple[np.ndarray | str, list[Asked]]], knock_out: bool = True, books: int = 1,
             sections: int | None = None, calibrate: bool = False) -> dict:
    """Scores per kind, and the knock-outs; "answers": what was said, per document. books > 1: each document is asked as one
    of a shelf of so many, from the sum of their memories or from the sections of all; swapped is then a shelf without it. sections > 1 (the
    model's own if None): of so many sections of a document the surest one answers (Reader.answer_from_sections)."""
    sections = reader.model.c.sections if sections is None else sections
    segments = [reader.segments(text) for text, _ in documents]
    started = time.time()
    states = [reader.read_sections(s, sections) if sections > 1 else reader.read(s) for s in segments]
    read_seconds = time.time() - started
    lengths = [sum(map(len, s)) for s in segments]
    if books > 1:
        assert len(documents) > books, "a shelf without the document needs one document more"
        documents, states = shelve(documents, states, books, sections)
    prompts = [[reader.tokenizer.encode(a.prompt, add_special_tokens=False).ids for a in asked] for _, asked in documents]
    conditions = {"memory": states}
    if knock_out:
        conditions["zeroed"] = [[zeroed(x) for x in s] if sections > 1 else zeroed(s) for s in states]
        if len(states) > 1:
            conditions["swapped"] = states[1:] + states[:1]
    answer = reader.answer_from_sections if sections > 1 else reader.answer
    answers = {k: answer(prompts, s, unknown_bias=reader.model.c.unknown_bias) for k, s in conditions.items()}

    def score(given, select) -> dict:
        per_document = [[g == a.answer for g, a in zip(gs, asked) if select(a)] for gs, (_, asked) in zip(given, documents)]
        flat = [x for d in per_document for x in d]
        return {"exact": round(sum(flat) / max(1, len(flat)), 4), "n": len(flat), "interval": interval(per_document)} if flat else {}

    out: dict = {"documents": len(documents), "tokens": int(np.mean(lengths)), "tokens_per_second": round(sum(lengths) / read_seconds)}
    for name, given in answers.items():
        out[name] = {"all": score(given, lambda a: a.kind != "unknown"), "names_and_numbers": score(given, lambda a: a.is_open)}
    flat = Counter(a.answer for _, asked in documents for a in asked if a.is_open)
    out["commonest_answer"] = round(flat.most_common(1)[0][1] / max(1, sum(flat.values())), 4) if flat else 0
    by_kind = defaultdict(lambda: [0, 0])
    false_unknown = total = answered_anyway = unanswerable = 0
    for gs, (_, asked) in zip(answers["memory"], documents):
        for g, a in zip(gs, asked):
            by_kind[a.kind][0] += g == a.answer
            by_kind[a.kind][1] += 1
            if a.kind == "unknown":
                unanswerable += 1
                answered_anyway += g != UNKNOWN
            else:
                total += 1
                false_unknown += g == UNKNOWN
    out["by_kind"] = {k: {"exact": round(a / n, 3), "n": n} for k, (a, n) in sorted(by_kind.items())}
    out["answered_anyway"] = round(answered_anyway / max(1, unanswerable), 4)
    out["false_unknown"] = round(false_unknown / max(1, total), 4)
    out["answers"] = answers["memory"]
    if calibrate and unanswerable:
        out["by_unknown_bias"] = calibration(reader, documents, prompts, states if sections > 1 else [[s] for s in states])
    return out


def with_examples(r: dict, documents: list[tuple[np.ndarray | str, list[Asked]]]) -> dict:
    """A few questions with both answers instead of all that was said."""
    said = r.pop("answers")
    return r | {"examples": [[a.question, a.answer, g] for (_, asked), gs in list(zip(documents, said))[:3] for a, g in list(zip(asked, gs))[:6]]}


def people_of(card: str) -> list[str]:
    return dict(book_cards.parse(card) or []).get("People", [])


def cards(reader: Reader, books: Books, size: int, count: int, seed: int, sections: int | None = None) -> dict:
    """Recall of the five most frequent people of a stretch, from memory, zeroed and swapped. Of sections (the model's own
    number if None): by the card that their cards make."""
    rng = random.Random(seed)
    sections = reader.model.c.sections if sections is None else sections
    spans = []
    while len(spans) < count:
        begin, end = books.range(rng, size)
        if len(books.card(begin, end)[0]) == 5:
            spans.append((begin, end))
    states = [reader.read_sections(reader.segments(books.tokens[a:b]), sections) for a, b in spans]
    prompt = books.tokenizer.encode(PROMPTS["summary"], add_special_tokens=False).ids
    out = {"documents": count, "sections": sections}
    for name, used in {"memory": states, "zeroed": [[zeroed(s) for s in d] for d in states], "swapped": states[1:] + states[:1]}.items():
        given = []
        for document in used:
            each = [g[0] for g in reader.answer([[prompt]] * len(document), document, max_new=90)]
            given.append(each[0] if len(each) == 1 else book_cards.merge(each) or "")
        recall = [sum(p in people_of(text) for p in books.card(a, b)[0]) / 5 for (a, b), text in zip(spans, given)]
        out[name] = round(float(np.mean(recall)), 4)
        if name == "memory":
            out["examples"] = [[book_card(*books.card(a, b)), text] for (a, b), text in list(zip(spans, given))[:3]]
    return out


ROWS = (*cases.ROWS, "book-card people")
SHELVES = {"shelf-2": 2, "shelf-4": 4, "shelf-8": 8}  # facts-8 in each of so many books, asked of the sum of their memories


def knocked_out(row: str) -> bool:
    """Whether a row is also asked without its memory; nobody guesses a pass key."""
    return row != "passkey"


def has_cell(row: str, size: str) -> bool:
    if row in SHELVES:
        return SIZES[size] <= 131072
    return size in ("32K", "128K") if row == "book-card people" else cases.belongs(row, size)


def line_of(row: str, size: str, r: dict) -> str:
    names = lambda condition: r.get(condition, {}).get("names_and_numbers", {})
    return (f"{row:12} {size:>5} exact {names('memory').get('exact')} {names('memory').get('interval')} all {r['memory']['all'].get('exact')} "
            f"zeroed {names('zeroed').get('exact')} swapped {names('swapped').get('exact')} "
            f"anyway {r['answered_anyway']} false-unknown {r['false_unknown']} ({r['tokens_per_second'] / 1e3:.1f}K tokens/s)")


def cell(reader: Reader, books: Books, row: str, size: str, documents: int, seed: int, sections: int | None = None, calibrate: bool = False) -> dict:
    if row == "book-card people":
        r = cards(reader, books, SIZES[size], min(documents, 40), seed, sections)
        print(row, size, {k: v for k, v in r.items() if k != "examples"}, r["examples"][0], flush=True)
        return r
    drawn_row = "facts-8" if row in SHELVES else row
    drawn = [(d.text, d.rows[drawn_row]) for d in cases.draw(books, drawn_row, size, cases.count_of(row, documents), seed)]
    r = with_examples(run_cell(reader, drawn, knocked_out(row), SHELVES.get(row, 1), sections, calibrate), drawn)
    print(line_of(row, size, r), flush=True)
    return r


def run_cases(reader: Reader, documents: list[tuple[str, cases.Document]], knock_out: bool = True) -> dict:
    """The table of a file's documents, as `palimpsest-cli eval` makes it: row -> size -> cell, with the answers."""
    cells: dict = defaultdict(list)
    for size, d in documents:
        for row, asked in d.rows.items():
            cells[row, size].append((d.text, asked))
    table: dict = {row: {} for row, _ in cells}
    for (row, size), cell_documents in sorted(cells.items(), key=lambda c: SIZES[c[0][1]]):
        table[row][size] = run_cell(reader, cell_documents, knock_out and knocked_out(row))
        print(line_of(row, size, table[row][size]), flush=True)
    return table


_reader: Reader | None = None
_books: Books | None = None


def _start(model: str, data: Path, tokenizer: str, devices) -> None:
    """A process of its own for each GPU, which it takes from the queue."""
    global _reader, _books
    torch.backends.cuda.matmul.allow_tf32 = False
    _books = Books(Tokenizer.from_file(str(Path(tokenizer) / "tokenizer.json")), data)
    _reader = reader_of(model, _books.tokenizer, torch.device(devices.get()))


def _cell(task: tuple) -> tuple[tuple, dict | list]:
    return task, memory_norms(_reader, _books) if task[0] == "layers" else cell(_reader, _books, *task)


def evaluate(model: str, data: Path, tokenizer: str, devices: list[str], sizes: list[str], rows: list[str], documents: int, seed: int = 7,
             sections: int | None = None, calibrate: bool = False, finished=lambda table: None) -> dict:
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
        _start(model, data, tokenizer, queue)
        collect(map(_cell, tasks))
    else:
        with context.Pool(len(devices), _start, (model, data, tokenizer, queue)) as pool:
            collect(pool.imap_unordered(_cell, tasks, chunksize=1))
    return table()


def memory_norms(reader: Reader, books: Books) -> list[dict]:
    """Per layer: the mean size of z per token, and the norm of the memory heads' output projection."""
    model, states = reader.model, reader.read(reader.segments(books.tokens[:65536]))
    out = []
    for layer, state in zip(model.model.layers, states):
        a, row = layer.self_attn, {}
        if model.c.memory_gate:
            row["gates"] = [round(float(g), 3) for g in torch.sigmoid(a.memory_gate.detach())]
        if model.c.memory_heads:
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
    p.add_argument("--rows", nargs="*", default=list(ROWS), choices=(*ROWS, *SHELVES))
    p.add_argument("--documents", type=int, default=50)
    p.add_argument("--sections", type=int, help="so many sections of a document are remembered apart; the surest one answers (default: the model's)")
    p.add_argument("--calibrate", action="store_true", help="tell what other values of unknown_bias would give")
    p.add_argument("--device", help="cpu, cuda:1, ...; all GPUs if not given (with --cases: the first)")
    a = p.parse_args()
    if not (a.cases or a.data):
        p.error("either --cases or --data is needed")
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    devices, tokenizer = [a.device] if a.device else gpus or ["cpu"], a.tokenizer or a.model
    write = lambda table: a.out and a.out.write_text(json.dumps(table, indent=1) + "\n")
    if a.cases:
        reader = reader_of(a.model, Tokenizer.from_file(str(Path(tokenizer) / "tokenizer.json")), torch.device(devices[0]))
        write({"model": Path(a.model).name, "cases": a.cases.name, "table": run_cases(reader, cases.load(a.cases)[1])})
    else:
        for layer in evaluate(a.model, a.data, tokenizer, devices, a.sizes, a.rows, a.documents, sections=a.sections,
                              calibrate=a.calibrate, finished=write)["layers"]:
            print(layer)


if __name__ == "__main__":
    main()
