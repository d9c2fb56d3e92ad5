"""The parallel definition (model.py) against the slow one (reference.py)."""

import pytest
import torch

from palimpsest_training import reference
from palimpsest_training.config import ModelConfig
from palimpsest_training.model import Crowd, InfiniLlama, detached

TINY = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
            vocab_size=50, max_position_embeddings=64, segment_length=6)
VARIANTS = {
    "plain": dict(memory_heads=0, memory_kv_heads=0),
    "memory_heads": dict(memory_heads=2, memory_kv_heads=1, memory_head_dim=16),
    "gates": dict(memory_heads=0, memory_kv_heads=0, memory_gate=True),
    "both": dict(memory_heads=2, memory_kv_heads=2, memory_head_dim=8, memory_gate=True),
    "scaled": dict(memory_heads=2, memory_kv_heads=1, memory_head_dim=16, memory_scaled=True),
    "delta": dict(memory_heads=2, memory_kv_heads=1, memory_head_dim=16, memory_update="delta"),
    "upper": dict(memory_heads=4, memory_kv_heads=2, memory_head_dim=16, memory_layers=[1]),
    "lower": dict(memory_heads=2, memory_kv_heads=2, memory_head_dim=8, memory_layers=[0]),
    "long_keys": dict(memory_heads=2, memory_kv_heads=1, memory_head_dim=16, memory_value_dim=12),
    "long_keys_delta": dict(memory_heads=2, memory_kv_heads=2, memory_head_dim=8, memory_value_dim=12, memory_update="delta"),
    "upper_and_gates": dict(memory_heads=2, memory_kv_heads=2, memory_head_dim=16, memory_layers=[1], memory_gate=True),
}


def make(variant):
    torch.manual_seed(1)
    model = InfiniLlama(ModelConfig(**TINY, **VARIANTS[variant]))
    for name, p in model.named_parameters():  # zero-initialised output projections would hide the memory
        if name.endswith("memory_o_proj.weight"):
            torch.nn.init.normal_(p, std=0.2)
        if name.endswith(("memory_power", "memory_size")):
            torch.nn.init.uniform_(p, 0.3, 0.8)
    return model.eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_segments_at_once_equal_one_after_another(variant):
    model = make(variant)
    lengths = [6, 4, 6]
    texts = [torch.randint(2, 50, (n,)).tolist() for n in lengths]
    question = torch.randint(2, 50, (5,)).tolist()
    segments = torch.ones(1, 3, 7, dtype=torch.long)
    write = torch.zeros(1, 3, 7, dtype=torch.bool)
    for i, t in enumerate(texts):
        segments[0, i, : len(t) + 1] = torch.tensor([0] + t)
        write[0, i, 1 : len(t) + 1] = True
    questions = torch.tensor([[[0] + question] * 3])
    with torch.no_grad():
        hidden, asked, states = model.read_and_ask(segments, write, questions, torch.tensor([[0, 2, 3]]), keep_states=True)
    memory = reference.Memory(model)
    expected_asked = {0: reference.segment(model, question, memory, False, 0)}
    for i, t in enumerate(texts):
        logits = reference.segment(model, t, memory, True, 0)
        torch.testing.assert_close(model.head(hidden[0, i, : len(t) + 1]), logits, rtol=1e-4, atol=1e-5)
        expected_asked[i + 1] = reference.segment(model, question, memory, False, 0)
    for row, at in enumerate([0, 2, 3]):
        torch.testing.assert_close(model.head(asked[0, row]), expected_asked[at], rtol=1e-4, atol=1e-5)
    for layer, parts in zip(states, memory.parts):
        assert len(layer) == len(parts)
        for state, (M, z) in zip(layer, parts.values()):
            torch.testing.assert_close(state.M[0], M, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(state.z[0], z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ["both", "delta", "upper", "upper_and_gates"])
def test_reading_in_two_calls_equals_one(variant):
    model = make(variant)
    segments = torch.randint(2, 50, (2, 4, 7))
    segments[:, :, 0] = 0
    write = torch.ones(2, 4, 7, dtype=torch.bool)
    write[:, :, 0] = False
    with torch.no_grad():
        _, _, once = model.read_and_ask(segments, write, keep_states=True)
        _, _, half = model.read_and_ask(segments[:, :2], write[:, :2], keep_states=True)
        _, _, twice = model.read_and_ask(segments[:, 2:], write[:, 2:], states=detached(half), keep_states=True)
        q = torch.randint(2, 50, (2, 3, 5))
        _, a, _ = model.read_and_ask(segments, write, q, torch.full((2, 3), 4))
        _, b, _ = model.read_and_ask(None, None, q, torch.full((2, 3), 4), states=twice)
    for x, y in zip(once, twice):
        for s, t in zip(x, y):
            torch.testing.assert_close(s.M, t.M, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_added_heads_leave_the_base_as_it_is():
    torch.manual_seed(1)
    base = InfiniLlama(ModelConfig(**TINY, **VARIANTS["plain"]))
    grown = InfiniLlama(ModelConfig(**TINY, **VARIANTS["memory_heads"]))
    grown.load_state_dict(base.state_dict(), strict=False)
    torch.nn.init.normal_(grown.model.layers[0].self_attn.memory_o_proj.weight)
    ids = torch.randint(2, 50, (2, 1, 7))
    write = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        a, _, _ = base.read_and_ask(ids, write)
        b, _, _ = grown.read_and_ask(ids, write)
    assert torch.equal(a, b)  # on an empty memory, bit for bit


def test_gradients_reach_what_an_early_segment_writes():
    model = make("memory_heads")
    segments = torch.randint(2, 50, (1, 3, 7))
    embedded = model.model.embed_tokens.weight
    write = torch.ones(1, 3, 7, dtype=torch.bool)
    _, asked, _ = model.read_and_ask(segments, write, torch.randint(2, 50, (1, 1, 4)), torch.tensor([[3]]))
    asked.sum().backward()
    assert model.model.layers[0].self_attn.memory_k_proj.weight.grad.abs().sum() > 0
    assert embedded.grad.abs().sum() > 0


def test_memories_of_the_delta_rule_are_no_crowd():
    model = make("delta")
    segments, write = torch.randint(2, 50, (2, 3, 7)), torch.ones(2, 3, 7, dtype=torch.bool)
    with pytest.raises(ValueError, match="do not add"):
        model.read_and_ask(segments, write, torch.randint(2, 50, (2, 1, 4)), torch.full((2, 1), 3), crowd=Crowd())


def read_from(model, states):
    q = torch.arange(2, 6).view(1, 1, 4)
    return model.read_and_ask(None, None, q, torch.zeros(1, 1, dtype=torch.long), states=states)[1]


def test_a_scaled_read_depends_less_on_its_size():
    """Power 0 is the plain read, bit for bit; with power 1 a read of a tenth changes nothing; an empty memory gives no NaN."""
    model, plain = make("scaled"), make("memory_heads")
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.endswith(("memory_power", "memory_size"))})
    segments, write = torch.randint(2, 50, (1, 3, 7)), torch.ones(1, 3, 7, dtype=torch.bool)
    changes = {}
    for power in (0.0, 0.5, 1.0):
        for layer in model.model.layers:
            layer.self_attn.memory_power.data.fill_(power)
        with torch.no_grad():
            _, _, states = model.read_and_ask(segments, write, keep_states=True)
            if power == 0:
                assert torch.equal(read_from(model, states), read_from(plain, states))
            fainter = [[type(s)(0.1 * s.M, s.z) for s in layer] for layer in states]
            changes[power] = (read_from(model, states) - read_from(model, fainter)).abs().max().item()
            assert torch.isfinite(read_from(model, [[type(s)(0 * s.M, 0 * s.z) for s in layer] for layer in states])).all()
    assert changes[1.0] < 1e-4 < changes[0.5] < changes[0.0]


def test_gradients_of_a_scaled_read_are_finite_on_an_empty_memory():
    model = make("scaled")
    segments, write = torch.randint(2, 50, (1, 3, 7)), torch.ones(1, 3, 7, dtype=torch.bool)
    hidden, asked, _ = model.read_and_ask(segments, write, torch.randint(2, 50, (1, 2, 4)), torch.tensor([[0, 3]]))
    (hidden.sum() + asked.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert model.model.layers[0].self_attn.memory_power.grad.abs().sum() > 0
