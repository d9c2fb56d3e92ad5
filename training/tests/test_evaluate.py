"""Answers as the evaluation takes them: greedy, with the threshold of "The book does not say" of the model's config."""

from types import SimpleNamespace

import torch
from tokenizers import Tokenizer

from palimpsest_training.cases import Asked
from palimpsest_training.config import ModelConfig
from palimpsest_training.evaluate import Reader, added, calibration, run_cell, shelve
from palimpsest_training.facts import UNKNOWN
from palimpsest_training.model import InfiniLlama, MemoryState
from palimpsest_training.sections import SECTION_TOKENS, section_chosen, section_ends
from palimpsest_training.tokenizer import train_tokenizer


def untrained() -> tuple[Tokenizer, InfiniLlama]:
    tokenizer = train_tokenizer(["The book does not say. The clock stood behind the door, and nobody saw it. " * 20], 300)
    torch.manual_seed(1)
    model = InfiniLlama(ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                    head_dim=8, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=512, memory_heads=2,
                                    memory_kv_heads=2, memory_head_dim=8))
    return tokenizer, model


def test_the_bias_moves_the_first_token_of_the_unknown_answer_alone():
    tokenizer, model = untrained()
    reader = Reader(model, tokenizer, torch.device("cpu"))
    ids = torch.randint(2, 200, (1, 1, 9))
    with torch.no_grad():
        _, _, states = model.read_and_ask(ids, torch.ones(1, 1, 9, dtype=torch.bool), keep_states=True)
    answer = lambda bias: reader.answer([[[5, 6, 7]]], [states], max_new=4, unknown_bias=bias)[0][0]
    first = tokenizer.decode(tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[:1]).strip()
    plain = answer(0.0)
    assert not plain.startswith(first)
    assert answer(-100.0).startswith(first) and answer(-100.0).count(first) < 4  # the first token, not those after it
    assert answer(100.0) == plain


def states(value: float) -> list:
    """Two layers, the first with two parts."""
    state = lambda k: MemoryState(torch.full((1, 2, 3, 4), value * k), torch.full((1, 2, 3), value + k))
    return [[state(1), state(2)], [state(3)]]


def test_a_shelf_is_the_sum_of_its_books_memories():
    a, b, c = states(0.5), states(2.0), states(8.0)
    total = added([a, b, c])
    assert [len(layer) for layer in total] == [2, 1]
    for layer, part in ((0, 0), (0, 1), (1, 0)):
        assert torch.equal(total[layer][part].M, a[layer][part].M + b[layer][part].M + c[layer][part].M)
        assert torch.equal(total[layer][part].z, a[layer][part].z + b[layer][part].z + c[layer][part].z)
    assert torch.equal(added([a])[0][0].M, a[0][0].M)


def test_each_document_is_asked_of_its_own_shelf_without_what_two_books_answer():
    documents = [("t0", [Asked("k", "only 0?", "x"), Asked("k", "in 0 and 1?", "y")]),
                 ("t1", [Asked("k", "in 0 and 1?", "z"), Asked("unknown", "in 1 and 2?", "-")]), ("t2", [Asked("k", "in 1 and 2?", "w")])]
    kept, sums, counts = shelve(documents, [states(1.0), states(10.0), states(100.0)], 2, 1)
    assert counts is None
    assert [[x.question for x in questions] for _, questions in kept] == [["only 0?"], ["in 0 and 1?"], ["in 1 and 2?"]]
    assert [float(s[0][0].M[0, 0, 0, 0]) for s in sums] == [11.0, 110.0, 101.0]


def test_the_questions_of_a_shelf_reach_the_sum():
    """A stand-in that tells what it was asked from: the sum for the memory, another shelf for swapped."""

    class Stub:
        tokenizer = train_tokenizer(["Who? Where? When? Question: Answer: \n" * 20], 300)
        model = type("M", (), {"c": type("C", (), {"unknown_bias": 0.0, "sections": 1, "answers_in_steps": False})})

        def segments(self, text):
            return [text]

        def read(self, segments):
            return states(float(len(segments[0])))

        def answer(self, prompts, given, unknown_bias):
            return [[str(int(s[0][0].M[0, 0, 0, 0])) for _ in p] for p, s in zip(prompts, given)]

    documents = [([0] * n, [Asked("number", f"Who {n}?", str(n + m))]) for n, m in ((1, 10), (10, 100), (100, 1))]
    cell = run_cell(Stub(), documents, books=2)
    assert cell["memory"]["all"]["exact"] == 1.0
    assert cell["swapped"]["all"]["exact"] == 0.0 and cell["zeroed"]["all"]["exact"] == 0.0
    assert run_cell(Stub(), documents)["memory"]["all"]["exact"] == 0.0


def test_a_shelf_in_sections_is_asked_book_by_book():
    """Documents of one, two and three sections: what the reader is told of the shelves, and of those that stand in for them."""
    told = []

    class Stub:
        model = SimpleNamespace(c=ModelConfig(sections=8))
        tokenizer = SimpleNamespace(encode=lambda text, add_special_tokens: SimpleNamespace(ids=[1]))
        segments = lambda self, text: [text]
        read_sections = lambda self, segments, count: [states(float(i)) for i in range(len(segments[0]))]

        def answer_from_sections(self, prompts, sections, unknown_bias, books):
            told.append((books, [len(s) for s in sections]))
            return [["x"] * len(p) for p in prompts]

    documents = [([0] * n, [Asked("number", f"Who {n}?", "x")]) for n in (1, 2, 3)]
    assert run_cell(Stub(), documents, books=2)["memory"]["all"]["exact"] == 1.0
    own, swapped = ([[1, 2], [2, 3], [3, 1]], [3, 5, 4]), ([[2, 3], [3, 1], [1, 2]], [5, 4, 3])
    assert told == [own, own, swapped]  # with the memory, zeroed, swapped
    told.clear()
    run_cell(Stub(), documents, knock_out=False)
    assert told == [(None, [1, 2, 3])]


def test_sections_are_what_each_has_written_and_each_question_goes_to_one():
    tokenizer, model = untrained()
    for name, p in model.named_parameters():
        if "memory_o_proj" in name:
            torch.nn.init.normal_(p, std=3.0)  # so that the memory decides
    reader = Reader(model, tokenizer, torch.device("cpu"))
    step = SECTION_TOKENS // model.c.segment_length
    segments = [torch.randint(2, 200, (2 + i % 5,)).numpy() for i in range(4 * step + 1)]
    sections = reader.read_sections(segments, 3)
    assert len(sections) == 3 and len(reader.read_sections(segments[: 2 * step], 8)) == 2
    whole = reader.read(segments)
    for layer in range(2):
        M, z = added(sections)[layer][0].M, added(sections)[layer][0].z
        largest = whole[layer][0].M.abs().amax(-1, keepdim=True)
        assert ((M - whole[layer][0].M).abs() <= largest * 3 / 7).all() and not torch.equal(M, whole[layer][0].M)
        scales = sum(section[layer][0].M.abs().amax(-1, keepdim=True) / 7 for section in sections)  # of the rows of each, in four bits
        assert ((M - whole[layer][0].M).abs() <= scales * 0.51).all()
        torch.testing.assert_close(z, whole[layer][0].z, rtol=1e-4, atol=1e-4)
    assert torch.equal(reader.read_sections(segments[:step], 3)[0][0][0].M, reader.read(segments[:step])[0][0].M)  # one alone is not rounded

    # each read by itself, so that they differ
    sections = [reader.read([torch.randint(2, 200, (30,)).numpy()]) for _ in range(3)]
    prompts = torch.randint(2, 200, (6, 3)).tolist()
    doubts = reader.doubts([prompts[:2], prompts[:1]], sections[:2])
    with torch.no_grad():
        _, hidden, _ = model.read_and_ask(None, None, torch.tensor([[[0, *prompts[1]]]]), torch.zeros(1, 1, dtype=torch.long), states=sections[0])
        first = tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[0]
        torch.testing.assert_close(model.head(hidden[0, 0, -1]).softmax(-1)[first], torch.tensor(doubts[0][1]))
    assert [len(d) for d in doubts] == [2, 1]

    surest = [2, 0, 2, 0, 2, 2]  # the second section never is
    reader.doubts = lambda asked, states: [[float(k != c) for c in surest] for k in range(3)]
    reader.answer = lambda asked, states, unknown_bias: [[(sections.index(s), q) for q in its] for its, s in zip(asked, states)]
    assert reader.answer_from_sections([prompts], [sections]) == [list(zip(surest, prompts))]
    reader.doubts = lambda asked, states: [[0.001] * 6, [0.004] * 6, [0.5] * 6]
    chosen = lambda **books: reader.answer_from_sections([prompts], [sections], **books)[0]
    assert chosen() == [(0, q) for q in prompts]
    model.c.sure_doubt = 0.05
    assert chosen() == [(1, q) for q in prompts]  # the newest that is sure
    assert chosen(books=[[1, 2]]) == [(0, q) for q in prompts]


def test_the_newest_sure_section_answers_and_of_several_books_the_one_that_doubts_least():
    assert section_chosen([0.9, 0.003, 0.06, 0.5], 0.05) == 1
    assert section_chosen([0.0001, 0.7, 0.004, 0.2], 0.05) == 2 and section_chosen([0.0001, 0.7, 0.004, 0.2]) == 0
    assert section_chosen([0.9, 0.3, 0.4, 0.3], 0.05) == 1
    doubts = [0.0001, 0.03, 0.2, 0.02, 0.6, 0.5]
    assert section_chosen(doubts, 0.05) == 3
    assert section_chosen(doubts, 0.05, [2, 2, 2]) == 1  # the first book's newer one, though the second doubts less than that
    assert section_chosen(doubts, 0.05, [1, 1, 4]) == 0 and section_chosen(doubts, 0.0, [2, 4]) == 0


def test_sections_end_with_segments_and_none_is_much_longer_than_another():
    assert section_ends(2, 128, 8) == [2] and section_ends(4, 128, 8) == [2, 4] and section_ends(17, 128, 1) == [17]
    assert section_ends(5, 128, 8) == [2, 4, 5]
    assert section_ends(18, 128, 8) == [4, 6, 8, 10, 12, 14, 16, 18]  # the ninth: the first two are one now
    assert section_ends(4, 2048, 3) == [2, 3, 4] and section_ends(5, 2048, 3) == [2, 4, 5]
    for n in (100, 177, 1000, 4650):
        ends = section_ends(n, 128, 8)
        sizes = [b - a for a, b in zip([0] + ends, ends)]
        assert len(ends) == 8 and ends[-1] == n and max(sizes) <= 2.3 * n / 8, sizes
        # what has been read so far decides: the same as by going on from an earlier place
        assert set(ends[:-1]) <= {*range(2, n, 2)}


def test_other_biases_are_told_without_asking_again():
    """Of each question: who answers right if made to, and the bias from which on it does."""

    class Stub:
        model = SimpleNamespace(c=ModelConfig())
        answer_from_sections = lambda self, prompts, states, unknown_bias, books: [["1", "x"], ["1"]]
        first_words = lambda self, prompts, states: [[(0.9, 3.0), (0.1, -1.5)][: len(p)] for p in prompts]

    documents = [(None, [Asked("number", "A?", "1"), Asked("unknown", "B?", UNKNOWN)]), (None, [Asked("number", "A?", "2")])]
    table = calibration(Stub(), documents, [[[1], [2]], [[1]]], [["one"], ["one", "two"]])
    assert {b: table[b] for b in ("-2", "0", "4")} == {"-2": [0.0, 1.0, 0.0], "0": [0.0, 1.0, 1.0], "4": [0.5, 0.0, 1.0]}
