"""What a cell of evaluation.json says of answers, whoever gave them: PyTorch (evaluate.py) or the engine (answers.py)."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from .cases import SIZES, Asked, Document
from .facts import UNKNOWN
from .sections import section_chosen


def interval(per_document: list[list[bool]], seed: int = 0, rounds: int = 1000) -> list[float]:
    rng = np.random.default_rng(seed)
    hits, totals = np.array([sum(d) for d in per_document]), np.array([len(d) for d in per_document])
    pick = rng.integers(0, len(hits), (rounds, len(hits)))
    rates = hits[pick].sum(1) / np.maximum(1, totals[pick].sum(1))
    return [round(float(x), 3) for x in np.quantile(rates, [0.025, 0.975])]


def scored(asked: list[list[Asked]], answers: dict[str, list[list[str | None]]]) -> dict:
    """The scores of a cell. asked: per document; answers: of each condition beside it, "memory" among them. What is unanswerable
    counts with the memory alone: in the other conditions its answers may be None."""

    def score(given, select) -> dict:
        per_document = [[g == a.answer for g, a in zip(gs, its) if select(a)] for gs, its in zip(given, asked)]
        flat = [x for d in per_document for x in d]
        return {"exact": round(sum(flat) / max(1, len(flat)), 4), "n": len(flat), "interval": interval(per_document)} if flat else {}

    out: dict = {}
    for name, given in answers.items():
        out[name] = {"all": score(given, lambda a: a.kind != "unknown"), "names_and_numbers": score(given, lambda a: a.is_open)}
    answerable = [a for its in asked for a in its if a.kind != "unknown"]
    flat = Counter(a.answer for a in answerable if a.is_open) or Counter(a.answer for a in answerable)
    out["commonest_answer"] = round(flat.most_common(1)[0][1] / max(1, sum(flat.values())), 4) if flat else 0
    by_kind = defaultdict(lambda: [0, 0])
    false_unknown = total = answered_anyway = unanswerable = 0
    for gs, its in zip(answers["memory"], asked):
        for g, a in zip(gs, its):
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
    return out


BIASES = (-6, -4, -3, -2, -1.5, -1, -0.7, -0.5, -0.3, 0, 1, 2, 4)


def by_unknown_bias(said: list[tuple[Asked, str, float]]) -> dict:
    """What other values of unknown_bias would give: by bias, the share of right answers (names and numbers), of answerable
    questions refused, and of unanswerable ones answered. said: of each question its answer if it had to be answered, and by how
    many nats the unknown answer led there."""
    share = lambda hits: round(sum(hits) / max(1, len(hits)), 4)
    return {str(b): [share([text == a.answer and lead <= b for a, text, lead in said if a.is_open]),
                     share([lead > b for a, _, lead in said if a.kind != "unknown"]),
                     share([lead <= b for a, _, lead in said if a.kind == "unknown"])] for b in BIASES}


# Below the engine's kMayAnswer (engine/cases.h), for which it asks.
SURE = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0)


def by_sure_doubt(said: list[tuple[Asked, str, tuple[list[float], dict[str, str]] | None]]) -> dict:
    """What other values of sure_doubt would give: by value, the share of right answers (names and numbers, where there are such), and of
    unanswerable questions answered. said: of each question its answer, and where sections were asked the doubts of all, and what those answered
    that have less than the largest value here."""
    share = lambda hits: round(sum(hits) / max(1, len(hits)), 4)
    texts = lambda sure: [(a, s[1][str(section_chosen(s[0], sure))] if s else text) for a, text, s in said]
    some_open = any(a.is_open for a, _, _ in said)
    return {str(sure): [share([text == a.answer for a, text in texts(sure) if a.kind != "unknown" and (a.is_open or not some_open)]),
                        share([text != UNKNOWN for a, text in texts(sure) if a.kind == "unknown"])] for sure in SURE}


def with_examples(r: dict, asked: list[list[Asked]]) -> dict:
    """A few questions with both answers instead of all that was said."""
    said = r.pop("answers")
    return r | {"examples": [[a.question, a.answer, g] for its, gs in list(zip(asked, said))[:3] for a, g in list(zip(its, gs))[:6]]}


def knocked_out(row: str) -> bool:
    """Whether a row is also asked without its memory; nobody guesses a pass key."""
    return row != "passkey"


def cells_of(documents: list[tuple[str, Document]]) -> dict[tuple[str, str], list[int]]:
    """(row, size) -> the places of its documents, shorter documents first."""
    cells: dict = defaultdict(list)
    for place, (size, d) in enumerate(documents):
        for row in d.rows:
            cells[row, size].append(place)
    return dict(sorted(cells.items(), key=lambda c: SIZES[c[0][1]]))


def line_of(row: str, size: str, r: dict) -> str:
    def names(condition: str) -> dict:  # of a row that has none: everything
        cell = r.get(condition, {})
        return cell.get("names_and_numbers") or cell.get("all", {})

    speed = f" ({r['tokens_per_second'] / 1e3:.1f}K tokens/s)" if "tokens_per_second" in r else ""
    return (f"{row:12} {size:>5} exact {names('memory').get('exact')} {names('memory').get('interval')} all {r['memory']['all'].get('exact')} "
            f"zeroed {names('zeroed').get('exact')} swapped {names('swapped').get('exact')} "
            f"anyway {r['answered_anyway']} false-unknown {r['false_unknown']}{speed}")
