"""The engine's answers make the cells that evaluate.py makes of the same answers, and nothing else of evaluation.json changes."""

import json
import sys

import pytest
import torch

from palimpsest_training import answers, cases
from palimpsest_training.cases import Asked, Document
from palimpsest_training.config import ModelConfig
from palimpsest_training.evaluate import Reader, run_cases
from palimpsest_training.facts import UNKNOWN
from palimpsest_training.model import InfiniLlama
from palimpsest_training.scores import by_sure_doubt, with_examples
from palimpsest_training.tables import table
from palimpsest_training.tokenizer import train_tokenizer

WORDS = "the clock stood behind the door and nobody saw who came in from the garden".split()


def documents_of(first: int, count: int) -> list[tuple[str, Document]]:
    """Of two sizes; row "turns" of some, "passkey" of one."""
    made = []
    for i in range(first, first + count):
        facts = [Asked("owner", f"Who had the {w}?", w) for w in WORDS[i : i + 3]] + [Asked("closed:colour", "Which colour?", "red")]
        rows = {"facts-8": [*facts, Asked("unknown", "Who sang?", UNKNOWN)]}
        if i % 2:
            rows["turns"] = [Asked("owner", "Who had it?", "clock", (("Who came?", "nobody"),))]
        if i == 1:
            rows["passkey"] = [Asked("passkey", "What is the pass key?", "1234")]
        made.append(("2K" if i % 3 else "1K", Document(" ".join((WORDS * 9)[i:]), rows)))
    return made


def write(path, documents):
    line = lambda size, d: {"size": size, "paragraphs": [d.text], "rows": {row: [a.to_json() for a in asked] for row, asked in d.rows.items()}}
    path.write_text("".join(json.dumps(x) + "\n" for x in [{"palimpsest_cases": 1}, *(line(*d) for d in documents)]))
    return path


class Noting(Reader):
    """Notes what it answers, by the memory that it is asked of; the untrained model's own words would never be right."""

    def __init__(self, *args):
        super().__init__(*args)
        self.calls = []

    def answer(self, prompts, states, unknown_bias):
        given = super().answer(prompts, states, max_new=6, unknown_bias=unknown_bias)
        own = len(self.calls) % 3 == 0  # memory, zeroed, swapped
        say = lambda k, text: "red" if k == 3 else UNKNOWN if k == 4 and own else WORDS[(len(prompts) + k) % 5] if k == 1 else text
        self.calls.append([[say(k, text) for k, text in enumerate(texts)] for texts in given])
        return self.calls[-1]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The cases in one file; what evaluate.py makes of them; the same answers as the engine would write them."""
    folder = tmp_path_factory.mktemp("answers")
    write(folder / "cases.jsonl", documents_of(0, 7))
    tokenizer = train_tokenizer([" ".join(WORDS) + " Question: Who had it? Answer: " + UNKNOWN] * 20, 300)
    torch.manual_seed(1)
    model = InfiniLlama(ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                                    vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=512, segment_length=64, memory_heads=2,
                                    memory_kv_heads=2, memory_head_dim=8))
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.self_attn.memory_o_proj.weight, std=0.5)  # so that the memory counts
    documents = cases.load(folder / "cases.jsonl")[1]
    lines, by_row = [], {}
    for (row, size), places in answers.cells_of(documents).items():
        reader = Noting(model, tokenizer, torch.device("cpu"))
        part = [(size, Document(documents[p][1].text, {row: documents[p][1].rows[row]})) for p in places]
        cell = run_cases(reader, part)[row][size]
        by_row.setdefault(row, {})[size] = with_examples(cell, [d.rows[row] for _, d in part])
        for condition, given in zip(("memory", "zeroed", "swapped"), reader.calls):
            for p, texts in zip(places, given):
                tokens = sum(map(len, reader.segments(documents[p][1].text)))
                said = [None if condition != "memory" and a.kind == "unknown" else {"text": t, "unknown": t == UNKNOWN, "doubt": None, "section": None}
                        for a, t in zip(documents[p][1].rows[row], texts)]
                lines.append({"size": size, "row": row, "document": p, "tokens": tokens, "condition": condition, "answers": said})
    return folder, by_row, lines


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def into(folder, monkeypatch, case_files, answer_files, evaluation, *more):
    """What the command makes of evaluation.json."""
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    monkeypatch.setattr(sys, "argv", ["answers", "--cases", *map(str, case_files), "--answers", *map(str, answer_files), "--into",
                                      str(folder / "evaluation.json"), *more])
    answers.main()
    return json.loads((folder / "evaluation.json").read_text())


def test_the_cells_are_those_of_evaluate(evaluated, monkeypatch):
    folder, by_row, lines = evaluated
    kept = {"documents": 3, "memory": {"all": {}}}
    before = {"model": "m", "seed": 7, "sections": 1, "layers": [1],
              "table": {"facts-8": {"8K": kept, "1K": {"documents": 99, "by_unknown_bias": {}}}, "perplexity": {"128K": kept}}}
    got = into(folder, monkeypatch, [folder / "cases.jsonl"], [write_lines(folder / "a.jsonl", lines)], before)
    assert {k: v for k, v in got.items() if k != "table"} == {k: v for k, v in before.items() if k != "table"}
    assert got["table"]["perplexity"] == {"128K": kept} and list(got["table"]["facts-8"]) == ["1K", "2K", "8K"]
    assert got["table"]["facts-8"].pop("8K") == kept
    made = {row: cells for row, cells in got["table"].items() if row != "perplexity"}
    for cells in by_row.values():
        for cell in cells.values():
            cell.pop("tokens_per_second", None)
    assert made == {row: {size: cell | {"by": "engine"} for size, cell in cells.items()} for row, cells in by_row.items()}
    cell = made["facts-8"]["2K"]
    assert 0 < cell["memory"]["all"]["exact"] < 1 and cell["answered_anyway"] == 0 and "swapped" in cell and "interval" in cell["zeroed"]["all"]
    assert "zeroed" not in made["passkey"]["2K"]
    assert "from memory" in table("recall", {"table": made})


def test_answers_that_had_to_be_given_tell_what_other_biases_would(evaluated, monkeypatch):
    folder, _, lines = evaluated
    forced = lambda k, said: said and said | {"lead": 0.5 * k - 1.6} | ({"forced": "red", "lead": 0.25} if said["unknown"] else {})
    with_leads = [line | {"answers": [forced(k, said) for k, said in enumerate(line["answers"])]} for line in lines]
    cell = into(folder, monkeypatch, [folder / "cases.jsonl"], [write_lines(folder / "e.jsonl", with_leads)], {"table": {}})["table"]["facts-8"]["2K"]
    by_bias = cell["by_unknown_bias"]
    assert by_bias["0"] == [cell["memory"]["names_and_numbers"]["exact"], cell["false_unknown"], cell["answered_anyway"]]
    assert by_bias["-1.5"] == [0, 0.75, 0] and by_bias["1"][1:] == [0, 1]  # one in four leads by -1.6
    some = [line | {"answers": [said and {k: v for k, v in said.items() if k != "forced"} for said in line["answers"]]} for line in with_leads]
    cell = into(folder, monkeypatch, [folder / "cases.jsonl"], [write_lines(folder / "e.jsonl", some)], {"table": {}})["table"]["facts-8"]["2K"]
    assert "by_unknown_bias" not in cell


def test_what_each_section_said_tells_what_other_bounds_of_sureness_would(evaluated, monkeypatch):
    folder, _, lines = evaluated
    documents = cases.load(folder / "cases.jsonl")[1]

    def sections(line: dict) -> dict:  # the first doubts least and is right, the last, less sure, is wrong, and the one that answers
        asked = documents[line["document"]][1].rows[line["row"]]
        tell = lambda a: {"text": "wrong", "unknown": False, "section": 2, "doubts": [0.003, 0.5, 0.03], "said": {"0": a.answer, "2": "wrong"}}
        return line | {"answers": [said and tell(a) for a, said in zip(asked, line["answers"])]} if line["condition"] == "memory" else line

    file = write_lines(folder / "s.jsonl", [sections(line) for line in lines])
    by_sure = into(folder, monkeypatch, [folder / "cases.jsonl"], [file], {"table": {}})["table"]["facts-8"]["2K"]["by_sure_doubt"]
    assert by_sure["0.05"] == by_sure["0.2"] == [0, 1] and by_sure["0.02"] == by_sure["0.005"] == by_sure["0"] == [1, 0]
    exact = lambda *more: into(folder, monkeypatch, [folder / "cases.jsonl"], [file], {"table": {}}, *more)["table"]["facts-8"]["2K"]["memory"]["all"]["exact"]
    assert exact() == exact("--sure-doubt", "0.05") == 0 and exact("--sure-doubt", "0.02") == 1
    with pytest.raises(SystemExit):
        exact("--sure-doubt", "0.3")


def test_bounds_of_sureness_are_told_of_rows_without_names_and_numbers(evaluated):
    asked = Asked("closed:place", "Where is Mary?", "garden")
    assert not asked.is_open
    assert by_sure_doubt([(asked, "kitchen", ([0.03, 0.01], {"0": "kitchen", "1": "garden"}))])["0.02"] == [1, 0]


def test_knock_outs_of_a_pass_key_and_missing_ones_are_left_out(evaluated, monkeypatch):
    folder, by_row, lines = evaluated
    passkey = next(line for line in lines if line["row"] == "passkey")
    file = write_lines(folder / "b.jsonl", lines + [passkey | {"condition": "zeroed"}])
    assert "zeroed" not in into(folder, monkeypatch, [folder / "cases.jsonl"], [file], {"table": {}})["table"]["passkey"]["2K"]
    file = write_lines(folder / "b.jsonl", [line for line in lines if line["condition"] == "memory"])
    cell = into(folder, monkeypatch, [folder / "cases.jsonl"], [file], {"table": {}})["table"]["facts-8"]["2K"]
    assert cell["memory"] == by_row["facts-8"]["2K"]["memory"] and "zeroed" not in cell and "swapped" not in cell


def test_several_files_make_one_table(evaluated, monkeypatch):
    folder, _, lines = evaluated
    whole = into(folder, monkeypatch, [folder / "cases.jsonl"], [write_lines(folder / "c.jsonl", lines)], {"table": {}})
    parts = [write(folder / f"cases-{i}.jsonl", documents_of(first, n)) for i, (first, n) in enumerate(((0, 4), (4, 3)))]
    files = [write_lines(folder / f"answers-{i}.jsonl", [line | {"document": line["document"] - first} for line in lines if line["document"] in range(first, first + n)])
             for i, (first, n) in enumerate(((0, 4), (4, 3)))]
    assert into(folder, monkeypatch, parts, files, {"table": {}}) == whole


@pytest.mark.parametrize("change, sentence", [
    (lambda lines: lines[1:], "Row facts-8 of 1K, memory: 1 of 3 documents have no answers."),
    (lambda lines: [line for line in lines if (line["condition"], line["document"]) != ("zeroed", 3)], "zeroed: 1 of "),
    (lambda lines: [lines[0], lines[0]], "Line 2 of .* is there twice, memory"),
    (lambda lines: [lines[0] | {"answers": []}], "Line 1 of .* does not answer what is asked"),
    (lambda lines: [lines[0] | {"answers": [None] * 5}], "Line 1 of .* does not answer what is asked"),
    (lambda lines: [lines[0] | {"document": 7}], "a document that is not in the cases"),
    (lambda lines: [lines[0] | {"size": "8K"}], "a document that is not in the cases"),
    (lambda lines: [lines[0] | {"condition": "dreamt"}], "a condition that is unknown .*, dreamt"),
    (lambda lines: [{"size": "1K"}], "Line 1 of .* is no line of answers"),
    (lambda lines: [[]], "Line 1 of .* is no line of answers")])
def test_what_does_not_answer_the_cases_is_refused_and_nothing_changes(evaluated, monkeypatch, change, sentence):
    folder, _, lines = evaluated
    with pytest.raises(SystemExit, match=sentence):
        into(folder, monkeypatch, [folder / "cases.jsonl"], [write_lines(folder / "d.jsonl", change(lines))], {"table": {"kept": {}}})
    assert json.loads((folder / "evaluation.json").read_text()) == {"table": {"kept": {}}}


def test_files_that_are_missing_are_named(evaluated, monkeypatch, capsys):
    folder, _, lines = evaluated
    with pytest.raises(SystemExit, match="none.jsonl"):
        into(folder, monkeypatch, [folder / "cases.jsonl"], [folder / "none.jsonl"], {"table": {}})
    with pytest.raises(SystemExit):
        into(folder, monkeypatch, [folder / "cases.jsonl"] * 2, [folder / "none.jsonl"], {"table": {}})
    assert "each file of cases needs its file of answers" in capsys.readouterr().err
