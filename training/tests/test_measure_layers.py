"""measure_layers.py on a model of two layers, of which the first one's memory counts for nothing."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import measure_layers  # noqa: E402

from palimpsest_training.cases import Asked  # noqa: E402
from palimpsest_training.config import ModelConfig  # noqa: E402
from palimpsest_training.export import export  # noqa: E402
from palimpsest_training.model import InfiniLlama, MemoryState, read_memory, segment_writes  # noqa: E402
from palimpsest_training.reader import Reader  # noqa: E402


def make(plain_books, **more) -> Reader:
    torch.manual_seed(1)
    model = InfiniLlama(ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                                    vocab_size=plain_books.tokenizer.get_vocab_size(), max_position_embeddings=512, segment_length=64, memory_heads=4,
                                    memory_kv_heads=2, memory_head_dim=8, **more))
    torch.nn.init.normal_(model.model.embed_tokens.weight)
    torch.nn.init.normal_(model.model.layers[1].self_attn.memory_o_proj.weight, std=2)
    return Reader(model, plain_books.tokenizer, torch.device("cpu"))


@pytest.fixture
def reader(plain_books):
    return make(plain_books)


def test_a_fact_shows_in_the_reads_and_an_unused_layer_in_what_is_lost(reader, plain_books):
    segments = reader.segments(plain_books.tokens[:900])
    answer = reader.tokenizer.decode([int(t) for t in segments[5][2:20]]).strip()
    assert measure_layers.told_by(reader, segments, answer) == [5]
    asked = [Asked("name", "Where is Mary?", answer), Asked("unknown", "Where is John?", "The book does not say.")]
    states = reader.read(segments)
    (fact, mean), = measure_layers.shares(reader, segments, states, asked)
    assert fact.shape == mean.shape == (2, 4) and (fact > 0).all() and (fact < 3).all() and (mean > 0).all()
    told, prose = measure_layers.written(reader, segments, asked)
    assert told.shape == prose.shape == (2, 2) and (told > 0).all()  # of KV heads
    assert reader.model.read_memory is read_memory and reader.model.segment_writes is segment_writes  # as before
    # what the model says is the truth here: the opposite memory changes it in the layer that counts, not in the other
    other = [[MemoryState(-s.M, s.z) for s in layer] for layer in states]
    prompt = reader.tokenizer.encode(asked[0].prompt, add_special_tokens=False).ids
    truth = [[Asked("name", asked[0].question, reader.answer([[prompt]], [states])[0][0])]]
    assert truth[0][0].answer != reader.answer([[prompt]], [other])[0][0]
    assert measure_layers.right(reader, truth, [states]) == measure_layers.right(reader, truth, [[other[0], states[1]]]) == 1
    assert measure_layers.right(reader, truth, [[states[0], other[1]]]) == 0


def test_rows_are_those_of_the_layers_with_memory_heads(plain_books, tmp_path, monkeypatch):
    reader = make(plain_books, memory_layers=[1])
    segments = reader.segments(plain_books.tokens[:900])
    asked = [Asked("name", "Where is Mary?", reader.tokenizer.decode([int(t) for t in segments[5][2:20]]).strip())]
    (fact, mean), = measure_layers.shares(reader, segments, reader.read(segments), asked)
    told, prose = measure_layers.written(reader, segments, asked)
    assert fact.shape == mean.shape == (1, 4) and told.shape == prose.shape == (1, 2)
    # the whole program
    export(reader.model.c, reader.model.state_dict(), plain_books.folder / "tokenizer", tmp_path / "model", "float32", "upper")
    monkeypatch.setattr(sys, "argv", ["measure_layers.py", "--model", str(tmp_path / "model"), "--data", str(plain_books.folder / "books.npz"),
                                      "--tokens", "2K", "--documents", "2", "--probed", "1", "--out", str(tmp_path / "layers.json")])
    measure_layers.main()
    out = json.loads((tmp_path / "layers.json").read_text())
    assert out["layers"] == [1] and len(out["fact"]) == len(out["told"]) == 1 and len(out["one_layer_swapped"]) == 2
    assert out["one_layer_swapped"][0] == out["right"]  # there is nothing to swap
