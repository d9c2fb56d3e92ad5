"""Batches for other models' tokenizers: segments as the engine cuts and tokenises them, questions that can be answered."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from palimpsest_training import llama_folder
from palimpsest_training.batches import IGNORE, STAGES
from palimpsest_training.books import Books
from palimpsest_training.convert import SHIPPED
from palimpsest_training.cutter import text_segments
from palimpsest_training.head_batches import Feed, HeadBatches, Vocabulary, scaled_stages
from palimpsest_training.head_training import restored_streams, stream_state
from palimpsest_training.llama_folder import bos_of
from palimpsest_training.model import MemoryState
from palimpsest_training.prepare import prepare
from palimpsest_training.streams import Streams
from palimpsest_training.train import to_device

TOKENIZERS = Path(__file__).resolve().parents[2] / "tests" / "data" / "tokenizers"


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(3)
    lines = [rng.choice([f'"We shall see what comes of number {i}," said {rng.choice(["Ramona", "Felipe"])}.', "The wind was cold. Nobody spoke."])
             for i in range(2500)]
    (folder / "tale.txt").write_text("\n\n".join(lines))
    prepare([folder / "tale.txt"], SHIPPED / "tokenizer.json", folder / "books.npz", None, 1)
    return Books(Tokenizer.from_file(str(SHIPPED / "tokenizer.json")), folder / "books.npz")


def large_vocabulary() -> Tokenizer:
    """llama3_style with ids above 100,000, as Llama 3 has."""
    data = json.loads((TOKENIZERS / "llama3_style.json").read_text())
    move = lambda i: i + 100_000
    data["model"]["vocab"] = {t: move(i) for t, i in data["model"]["vocab"].items()}
    for token in data["added_tokens"]:
        token["id"] = move(token["id"])
    for step in data["post_processor"].get("processors", [data["post_processor"]]):
        for token in step.get("special_tokens", {}).values():
            token["ids"] = [move(i) for i in token["ids"]]
    return Tokenizer.from_str(json.dumps(data))


def vocabulary(name: str) -> Vocabulary:
    tokenizer = large_vocabulary() if name == "large" else Tokenizer.from_file(str(TOKENIZERS / f"{name}.json"))
    return Vocabulary(tokenizer, bos_of(tokenizer), tokenizer.token_to_id("</s>"))


def test_what_opens_a_text_is_the_tokenizers_own():
    assert vocabulary("llama3_style").bos == 1 and vocabulary("sentencepiece_style").bos == 1
    assert vocabulary("large").bos == 100_001 and vocabulary("gpt2_style").bos is None


@pytest.mark.parametrize("name", ["llama3_style", "sentencepiece_style", "gpt2_style", "large"])
@pytest.mark.parametrize("stage", ["dense", "4k", "stream"])
def test_batches_are_what_the_engine_reads_and_can_be_answered(books, name, stage):
    v = vocabulary(name)
    _, batch = HeadBatches(books, v, 128, 1, 0, 8192).batch(3, 0.5, [stage])
    lead = int(v.bos is not None)
    segments, write = batch["segments"], batch["write"]
    assert segments.dtype == np.int32 and segments.shape[2] == lead + scaled_stages(128, 8192)[stage].segment_length
    assert not lead or ((segments[:, :, 0] == v.bos).all() and not write[:, :, 0].any())
    assert 0.6 < write.mean() <= 1
    assert ((batch["labels"] == IGNORE) | (batch["labels"] == np.roll(segments, -1, 2))).all() and (batch["labels"] != IGNORE).any()
    read = [[v.tokenizer.decode(ids[w].tolist()) for ids, w in zip(*row) if w.any()] for row in zip(segments, write)]
    if name != "sentencepiece_style":  # which loses a space at each beginning when it decodes
        text = "".join(read[0])
        again = text_segments(text, v.tokenizer, segments.shape[2] - lead)
        assert again == [ids[w].tolist() for ids, w in zip(segments[0], write[0]) if w.any()]
    short, width = batch["split"]
    assert (batch["answers"][:, :short, width:] == IGNORE).all() and (batch["answers"] != IGNORE).any()
    told = 0
    for b, q in zip(*np.nonzero((batch["answers"] != IGNORE).any(-1))):
        at = np.flatnonzero(batch["answers"][b, q] != IGNORE)
        ids, answer = batch["questions"][b, q], batch["answers"][b, q, at]
        assert (answer[:-1] == ids[at[:-1] + 1]).all() and answer[-1] == v.eos
        given = v.tokenizer.decode(answer[:-1].tolist()).strip()
        prompt = v.tokenizer.decode(ids[lead : at[0] + 1].tolist())
        assert prompt.endswith(("Answer:", "Book card:\n"))
        if re.fullmatch(r"\d+", given):
            told += 1
            assert given in "".join(read[b][: batch["reads_from"][b, q]]), prompt
    assert told or stage == "stream"


def test_answers_are_the_tokens_that_follow_the_prompt():
    for name in ("llama3_style", "sentencepiece_style", "gpt2_style"):
        v = vocabulary(name)
        prompt = "Question: Who was it?\nAnswer:"
        answer = v.answer(prompt, " Ramona")
        assert v.tokenizer.decode(v.encode(prompt) + answer) == prompt + " Ramona"
        assert v.encode(prompt) + answer == v.encode(prompt + " Ramona")


def test_a_batch_depends_on_its_step_alone(books):
    v = vocabulary("llama3_style")
    first, second = (HeadBatches(books, v, 64, 1, 0, 2048) for _ in range(2))
    for step in (0, 1, 7):
        first.batch(step + 20, 0.1)  # whatever was drawn before
        (a, x), (b, y) = first.batch(step, 0.1), second.batch(step, 0.1)
        assert a == b and all((x[k] == y[k]).all() for k in x if k != "split") and x["split"] == y["split"]
    assert (first.batch(1, 0.1, ["dense"])[1]["segments"] != first.batch(2, 0.1, ["dense"])[1]["segments"]).any()


def test_ranks_draw_other_documents_of_the_same_stage(books):
    v = vocabulary("llama3_style")
    ranks = [HeadBatches(books, v, 64, 1, rank, 2048) for rank in (0, 1)]
    for step in range(6):
        (a, x), (b, y) = (r.batch(step, 0.5) for r in ranks)
        assert a == b and (x["segments"] != y["segments"]).any()


def test_workers_hand_over_steps_in_order_from_where_a_run_goes_on(books):
    maker = HeadBatches(books, vocabulary("llama3_style"), 64, 1, 0, 1024)
    feed = Feed(maker, 5, workers=2, steps=100, pace=1.0, names=["dense"])
    for step in (5, 6, 7):
        assert (feed.get()[1]["segments"] == maker.batch(step, step / 100, ["dense"])[1]["segments"]).all()
    feed.close()


def test_stages_keep_their_lengths_in_longer_segments():
    assert {n: (s.segment_length, s.segments) for n, s in scaled_stages(256, 65536).items()} == {
        n: (s.segment_length, s.segments) for n, s in STAGES.items() if not s.stories}
    longer = scaled_stages(1024, 65536)
    assert (longer["dense"].segment_length, longer["16k"].segment_length, longer["64k"].segment_length) == (64, 1024, 1024)
    assert all(s.segment_length * s.segments <= 8192 for s in scaled_stages(256, 8192).values()) and "64k" not in scaled_stages(256, 8192)
    with pytest.raises(llama_folder.FolderError, match="too few"):
        scaled_stages(256, 100)


def test_streams_come_back_from_a_checkpoint(books, tmp_path):
    maker = HeadBatches(books, vocabulary("llama3_style"), 64, 1, 0, 16384)
    streams = Streams(2, 128, 20000, 1, unknown=maker.refusal())
    streams.states = [[MemoryState(torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4))]]
    portions = [maker.batch(i, 1.0, ["stream"])[1] for i in range(4)]
    for p in portions[:2]:
        streams.go_on(p)
    torch.save(stream_state(streams), tmp_path / "streams.pt")
    again = restored_streams(torch.load(tmp_path / "streams.pt", weights_only=True), torch.device("cpu"))
    for p in portions[2:]:
        a, b = to_device(streams.go_on(p), "cpu"), to_device(again.go_on(p), "cpu")
        assert all(torch.equal(a[k], b[k]) for k in a if k != "split") and a["split"] == b["split"]
    assert torch.equal(streams.states[0][0].M, again.states[0][0].M) and torch.equal(streams.since[0][0].z, again.since[0][0].z)


def test_the_8b_shape_is_llamas():
    model = llama_folder.meta_model(llama_folder.SHAPES["8b"])
    assert sum(p.numel() for p in model.parameters()) == 8_030_261_248
