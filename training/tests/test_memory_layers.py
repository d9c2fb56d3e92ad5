"""Memory heads in some of the layers: the folder that says so, and how a run goes on with other heads than its checkpoint's."""

import json

import pytest
import torch

from palimpsest_training import train
from palimpsest_training.config import ModelConfig
from palimpsest_training.evaluate import memory_norms
from palimpsest_training.export import export, load_folder, load_model
from palimpsest_training.model import InfiniLlama
from palimpsest_training.reader import Reader, added, joined, subtracted, zeroed
from palimpsest_training.tokenizer import save_tokenizer, train_tokenizer
from palimpsest_training.train import build_model, parser, save

SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8, vocab_size=60,
             max_position_embeddings=512, segment_length=64, memory_heads=2, memory_kv_heads=2, memory_head_dim=8)


def make(**more) -> InfiniLlama:
    torch.manual_seed(1)
    model = InfiniLlama(ModelConfig(**SMALL | more))
    for name, p in model.named_parameters():
        if name.endswith("memory_o_proj.weight"):
            torch.nn.init.normal_(p, std=0.3)
    return model.eval()


def asked(model: InfiniLlama) -> torch.Tensor:
    """Logits of segments and of questions that read what these have written."""
    g = torch.Generator().manual_seed(3)
    segments, questions = torch.randint(2, 60, (2, 3, 8), generator=g), torch.randint(2, 60, (2, 2, 5), generator=g)
    with torch.no_grad():
        hidden, answers, _ = model.read_and_ask(segments, torch.ones_like(segments, dtype=torch.bool), questions, torch.full((2, 2), 3))
        return torch.cat([model.head(t).flatten(0, -2) for t in (hidden, answers)])


def going_on(checkpoint, *arguments: str, phase: str = "all", books=None) -> InfiniLlama:
    args = parser().parse_args(["--phase", phase, "--data", "-", "--tokenizer", "-", "--out", "-", "--init", str(checkpoint), *arguments])
    return build_model(args, torch.device("cpu"), books).eval()


@pytest.fixture
def checkpoint(tmp_path):
    def write(**more):
        model = make(**more)
        save(model, tmp_path / "model.pt")
        return model, tmp_path / "model.pt"

    return write


def test_a_folder_tells_each_layer_its_heads(tmp_path):
    save_tokenizer(train_tokenizer(["What stands here does not matter. " * 20], 300), tmp_path, 512)
    for more, heads, dims in ((dict(memory_layers=[2, 1]), [0, 2, 2], [0, 8, 8]), ({}, 2, 8), (dict(memory_layers=[0, 1, 2]), 2, 8)):
        model = make(**more)
        export(model.c, model.state_dict(), tmp_path, tmp_path, "float32", "test")
        infini = json.loads((tmp_path / "config.json").read_text())["infini_attention"]
        assert (infini["memory_heads"], infini["memory_kv_heads"], infini["memory_head_dim"]) == (heads, heads, dims)
        assert "memory_layers" not in infini  # the engine reads the numbers
        read = load_folder(tmp_path)
        assert read.c == model.c
        assert torch.equal(asked(read), asked(model))


def test_what_the_engine_accepts_of_lists_and_what_training_does_not(tmp_path):
    def config(**infini) -> ModelConfig:
        data = ModelConfig(**SMALL).to_json("test")
        data["infini_attention"] |= infini
        (tmp_path / "config.json").write_text(json.dumps(data))
        return ModelConfig.from_folder(tmp_path)

    upper = config(memory_heads=[0, 4, 4], memory_kv_heads=[5, 2, 2], memory_head_dim=16)  # of a layer without heads nothing else counts
    assert (upper.memory_layers, upper.memory_heads, upper.memory_kv_heads, upper.memory_head_dim) == ([1, 2], 4, 2, 16)
    none = config(memory_heads=[0, 0, 0])
    assert (none.memory_layers, none.memory_heads, none.has_memory) == (None, 0, False)
    with pytest.raises(ValueError, match="memory_heads in config.json differs from layer to layer \\(2, 4\\)"):
        config(memory_heads=[0, 2, 4])
    with pytest.raises(ValueError, match="memory_head_dim in config.json differs"):
        config(memory_head_dim=[8, 8, 16])
    with pytest.raises(ValueError, match="one entry for each of the 3 layers, not 2"):
        config(memory_heads=[0, 2])


def test_layers_that_are_not_there_have_no_memory_heads():
    with pytest.raises(ValueError, match="no layer 3 to have memory heads; the model's layers are 0 to 2"):
        ModelConfig(**SMALL, memory_layers=[1, 3])
    with pytest.raises(ValueError, match="no layers chosen"):
        ModelConfig(**SMALL, memory_layers=[])


def test_more_heads_change_nothing_until_they_have_learned_something(checkpoint):
    old, file = checkpoint()
    grown = going_on(file, "--memory-heads", "4")
    assert (grown.c.memory_heads, grown.c.memory_kv_heads, grown.c.memory_head_dim, grown.c.memory_layers) == (4, 4, 8, None)
    torch.testing.assert_close(asked(grown), asked(old), rtol=0, atol=1e-6)
    for a, b in zip(grown.model.layers, old.model.layers):
        a, b = a.self_attn, b.self_attn
        assert torch.equal(a.memory_k_proj.weight[:16], b.memory_k_proj.weight) and a.memory_k_proj.weight[16:].abs().min(0).values.sum() > 0
        assert torch.equal(a.memory_o_proj.weight[:, :16], b.memory_o_proj.weight) and not a.memory_o_proj.weight[:, 16:].any()
    for layer in grown.model.layers:  # the new ones do count once they have
        torch.nn.init.normal_(layer.self_attn.memory_o_proj.weight[:, 16:])
    assert not torch.allclose(asked(grown), asked(old), atol=1e-2)


def test_wider_heads_begin_as_what_they_were(checkpoint, monkeypatch):
    """Keys repeat themselves, values get new dimensions that count for nothing yet; both kinds of width are their own."""
    old, file = checkpoint()
    monkeypatch.setattr(train, "NOISE", 0.0)  # repeated as they are: exactly what they were
    wide = going_on(file, "--memory-heads", "3", "--memory-head-dim", "24", "--memory-value-dim", "12")
    assert (wide.c.memory_head_dim, wide.c.value_dim, wide.c.memory_heads) == (24, 12, 3)
    torch.testing.assert_close(asked(wide), asked(old), rtol=0, atol=1e-5)
    a, b = wide.model.layers[1].self_attn, old.model.layers[1].self_attn
    assert torch.equal(a.memory_v_proj.weight[12:20], b.memory_v_proj.weight[8:]) and a.memory_v_proj.weight[20:24].any()
    assert torch.equal(a.memory_o_proj.weight[:, 12:20], b.memory_o_proj.weight[:, 8:]) and not a.memory_o_proj.weight[:, 8:12].any()
    monkeypatch.undo()
    keys = going_on(file, "--memory-head-dim", "16").model.layers[1].self_attn.memory_k_proj.weight
    assert torch.equal(keys[16:24], b.memory_k_proj.weight[8:])
    assert 0.2 < (keys[24:] - keys[16:24]).norm() / keys[16:24].norm() < 0.8  # each repetition is a little different
    narrow = going_on(file, "--memory-head-dim", "16")
    assert narrow.c.value_dim == 8 and narrow.c.to_json("x")["infini_attention"]["memory_value_dim"] == 8


def test_reads_begin_to_be_scaled_where_they_were_not(checkpoint, plain_books):
    """Power 0 at first; the sizes are what the heads read in a text. More heads of such a model have sizes of their own."""
    old, file = checkpoint(vocab_size=plain_books.tokenizer.get_vocab_size())
    scaled = going_on(file, "--scaled-reads", books=plain_books)
    torch.testing.assert_close(asked(scaled), asked(old), rtol=0, atol=1e-6)
    sizes = [layer.self_attn.memory_size for layer in scaled.model.layers]
    assert all(s.shape == (2,) and (s > 0).all() and not (s == 1).any() for s in sizes)
    for layer in scaled.model.layers:
        torch.nn.init.constant_(layer.self_attn.memory_power, -0.5)
    save(scaled, file)
    grown = going_on(file, "--memory-heads", "4")
    assert grown.c.memory_scaled and torch.equal(grown.model.layers[1].self_attn.memory_power, torch.tensor([-0.5, -0.5, 0, 0]))
    torch.testing.assert_close(asked(grown), asked(scaled), rtol=0, atol=1e-6)


def test_layers_that_are_not_chosen_lose_their_heads(checkpoint):
    old, file = checkpoint()
    upper = going_on(file, "--memory-heads", "4", "--memory-layers", "1", "2")
    assert upper.c.memory_layers == [1, 2]
    assert not any("layers.0" in n and "memory_" in n for n in upper.state_dict())
    torch.nn.init.zeros_(old.model.layers[0].self_attn.memory_o_proj.weight)
    torch.testing.assert_close(asked(upper), asked(old), rtol=0, atol=1e-6)  # as if the first layer's heads gave nothing


def test_a_run_goes_on_with_the_checkpoints_layers_or_with_more(checkpoint):
    old, file = checkpoint(memory_layers=[2])
    same = going_on(file)
    assert same.c == old.c and torch.equal(asked(same), asked(old))
    more = going_on(file, "--memory-layers", "1", "2")  # new heads in a layer that had none
    assert more.c.memory_layers == [1, 2]
    torch.testing.assert_close(asked(more), asked(old), rtol=0, atol=1e-6)
    assert load_model(file).c == old.c


def test_a_plain_model_gets_heads_in_the_layers_named(checkpoint):
    old, file = checkpoint(memory_heads=0, memory_kv_heads=0)
    new = going_on(file, "--memory-layers", "2", "--memory-heads", "3", "--memory-head-dim", "16", phase="memory")
    trained = [n for n, p in new.named_parameters() if p.requires_grad]
    assert len(trained) == 4 and all(n.startswith("model.layers.2.self_attn.memory_") for n in trained)
    assert new.model.layers[2].self_attn.memory_q_proj.weight.shape == (48, 32)
    torch.testing.assert_close(asked(new), asked(old), rtol=0, atol=1e-6)


@pytest.mark.parametrize("arguments, sentence", [
    (["--memory-heads", "1"], "has 2 heads a layer; they can become more, not 1"),
    (["--memory-head-dim", "4"], "has 8 dimensions of a key; they can become more, not 4"),
    (["--memory-value-dim", "4"], "has 8 dimensions of a value; they can become more, not 4"),
    (["--memory-head-dim", "12"], "Keys of 8 dimensions can become twice or three times as long, not 12"),
    (["--memory-layers", "7"], "no layer 7"),
])
def test_what_heads_cannot_become(checkpoint, arguments, sentence):
    _, file = checkpoint()
    with pytest.raises(ValueError, match=sentence):
        going_on(file, *arguments)


def test_values_of_scaled_heads_stay_as_long_as_they_are(checkpoint):
    _, file = checkpoint(memory_scaled=True)
    with pytest.raises(ValueError, match="scale what they read cannot become longer"):
        going_on(file, "--memory-value-dim", "16")
    assert going_on(file, "--memory-head-dim", "16").c.value_dim == 8


def test_folders_tell_of_long_keys(tmp_path):
    model = make(memory_head_dim=16, memory_value_dim=8, memory_layers=[1, 2], sure_doubt=0.05)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tokenizer / file).write_text("{}")
    export(model.c, model.state_dict(), tokenizer, tmp_path, "float32", "test")
    read = load_folder(tmp_path)
    assert (read.c.memory_head_dim, read.c.value_dim, read.c.memory_layers, read.c.sure_doubt) == (16, 8, [1, 2], 0.05)
    assert torch.equal(asked(read), asked(model))
    config = json.loads((tmp_path / "config.json").read_text())
    config["infini_attention"]["memory_value_dim"] = [0, 8, 4]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="memory_value_dim in config.json differs from layer to layer \\(4, 8\\)"):
        ModelConfig.from_folder(tmp_path)


def test_heads_that_share_a_memory_do_not_become_more(checkpoint):
    _, file = checkpoint(memory_kv_heads=1)
    for wish in ("--memory-heads", "4"), ("--memory-head-dim", "16"):
        with pytest.raises(ValueError, match="share 1 memory KV heads; only heads with one each can become more or wider"):
            going_on(file, *wish)
    assert going_on(file, "--memory-layers", "2").c.memory_kv_heads == 1


def test_texts_are_read_and_answered_and_measured(tmp_path, plain_books):
    model = make(memory_layers=[1, 2], vocab_size=plain_books.tokenizer.get_vocab_size())
    reader = Reader(model, plain_books.tokenizer, torch.device("cpu"))
    first, second = (reader.read(reader.segments(plain_books.tokens[a : a + 400])) for a in (0, 400))
    shapes = [[tuple(s.M.shape) for s in layer] for layer in first]
    assert shapes == [[], [(1, 2, 8, 8)], [(1, 2, 8, 8)]]
    torch.testing.assert_close(subtracted(added([first, second]), second)[2][0].M, first[2][0].M, rtol=1e-3, atol=1e-3)
    assert joined([first, second])[0] == zeroed(first)[0] == [] and joined([first, second])[1][0].M.shape[0] == 2
    said = reader.answer([[[5, 6, 7]], [[8, 9]]], [first, second], max_new=3)
    assert [len(s) for s in said] == [1, 1]
    assert len(reader.answer_from_sections([[[5, 6, 7]]], [reader.read_sections(reader.segments(plain_books.tokens[:5000]), 2)], max_new=3)[0]) == 1
    norms = memory_norms(reader, plain_books)
    assert norms[0] == {"z_per_token": [], "M_norm": []} and all(len(n["M_norm"][0]) == 2 and n["o_norm"] > 0 for n in norms[1:])
