"""Documents that a run goes on reading from step to step: what is carried over, asked again and begun anew."""

import numpy as np
import pytest
import torch

from palimpsest_training.batches import IGNORE
from palimpsest_training.config import ModelConfig
from palimpsest_training.model import InfiniLlama, MemoryState
from palimpsest_training.losses import Losses
from palimpsest_training.streams import Streams
from palimpsest_training.train import to_device

B, N, L, Q, P = 2, 3, 7, 2, 6


def portion(seed: int, has_key=(False, False)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    segments = rng.integers(2, 50, (B, N, L)).astype(np.uint16)
    segments[:, :, 0] = 0
    write = np.ones((B, N, L), bool)
    write[:, :, 0] = False
    questions = rng.integers(2, 50, (B, Q, P)).astype(np.uint16)
    answers = np.full((B, Q, P), IGNORE, np.int64)
    answers[:, 0, 3:5] = 9  # the second question of each row has no answer: it is padding
    return dict(segments=segments, write=write, labels=np.full((B, N, L), 5, np.int64), questions=questions, answers=answers,
                reads_from=np.full((B, Q), N, np.int64), again=np.array([[True, True]] * B), has_key=np.array(has_key))


def model(**more):
    torch.manual_seed(1)
    return InfiniLlama(ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                   head_dim=8, vocab_size=50, max_position_embeddings=64, memory_heads=2, memory_kv_heads=2, memory_head_dim=8, **more))


@pytest.mark.parametrize("more", [{}, dict(memory_layers=[1])])
def test_what_is_carried_over_is_the_memory_of_the_whole(more):
    net = model(**more)
    losses, streams = Losses(net, False, 1.0), Streams(B, N, longest=1000, seed=1)
    streams.until = [1000.0, 1000.0]
    parts = [portion(s) for s in range(3)]
    for p in parts:
        losses.memory(to_device(streams.go_on(p), "cpu"), streams)[1].backward()
    whole = {k: torch.from_numpy(np.concatenate([p[k] for p in parts], 1).astype(np.int64)) for k in ("segments", "write")}
    with torch.no_grad():
        _, _, states = net.read_and_ask(whole["segments"], whole["write"].bool(), keep_states=True)
    assert [len(layer) for layer in streams.states] == [int(layer.has_memory_heads) for layer in net.model.layers]
    for once, carried in ((s, c) for layers in zip(states, streams.states) for s, c in zip(*layers)):
        torch.testing.assert_close(once.M, carried.M)
        torch.testing.assert_close(once.z, carried.z)
        assert not carried.M.requires_grad


def test_earlier_questions_are_asked_again_of_the_longer_memory():
    streams = Streams(B, N, longest=1000, seed=1, again=4)
    streams.until = [1000.0, 1000.0]
    first, second = portion(0), portion(1)
    asked = lambda batch: (batch["answers"] != IGNORE).any(2).sum(1).tolist()
    assert asked(streams.go_on(first)) == [1] * B  # nothing has been asked before
    batch = streams.go_on(second)
    assert asked(batch) == [2] * B and batch["questions"].shape == (B, Q + 1, P)  # columns that nobody asks are left out
    for row in range(B):
        again = [q for q in range(Q + 1) if (batch["questions"][row, q] == first["questions"][row, 0]).all()]
        assert len(again) == 1 and batch["reads_from"][row, again[0]] == N
        assert (batch["answers"][row, again[0]] == first["answers"][row, 0]).all()


def test_a_document_that_is_long_enough_or_would_get_a_second_key_begins_anew():
    net = model()
    losses, streams = Losses(net, False, 1.0), Streams(B, N, longest=1000, seed=1)
    streams.until = [float(N), 1000.0]
    losses.memory(to_device(streams.go_on(portion(0, (False, True))), "cpu"), streams)
    streams.until[1] = 1000.0
    streams.go_on(portion(1))
    assert streams.read == [N, 2 * N]
    assert streams.states[0][0].M[0].abs().sum() == 0 and streams.states[0][0].M[1].abs().sum() > 0
    streams.go_on(portion(2, (False, True)))  # row 1 holds a key already
    assert streams.states[0][0].M[1].abs().sum() == 0 and len(streams.bank[1]) == 1


@pytest.mark.parametrize("more", [{}, dict(memory_layers=[1])])
def test_a_section_is_asked_of_what_it_has_written_and_refuses_what_stood_before(more):
    net = model(**more)
    for layer in net.model.layers:
        if layer.has_memory_heads:
            torch.nn.init.normal_(layer.self_attn.memory_o_proj.weight)  # so that the memory counts
    unknown = [7, 8, 1]
    losses, streams = Losses(net, False, 1.0), Streams(B, N, longest=1000, seed=1, again=8, unknown=unknown)
    streams.until, streams.section_end = [1000.0, 1000.0], [float(N), float("inf")]  # row 0: a new section after the first portion
    parts = [portion(s) for s in range(2)]
    losses.memory(to_device(streams.go_on(parts[0]), "cpu"), streams)
    first = [[(p.M.clone(), p.z.clone()) for p in layer] for layer in streams.states]
    streams.section_end[0] = float(N)
    batch = streams.go_on(parts[1])
    for layer, begun in zip(first, streams.since):
        for part, (M, _) in zip(begun, layer, strict=True):
            torch.testing.assert_close(part.M[0], M[0])
            assert part.M[1].abs().sum() == 0  # row 1 is asked as a whole
    # row 0: the first portion's question again, and now the book does not say
    q, a = batch["questions"][0, Q], batch["answers"][0, Q]
    assert (q[:4] == parts[0]["questions"][0, 0, :4]).all() and list(q[4:7]) == unknown
    assert list(a[3:6]) == unknown and (a[:3] == IGNORE).all() and (a[6:] == IGNORE).all()
    assert (batch["answers"][1, Q] == np.pad(parts[0]["answers"][1, 0], (0, len(a) - P), constant_values=IGNORE)).all()

    # what its questions read is the second portion's writing alone: the difference of the memories after it and before
    moved = to_device(batch, "cpu")
    with torch.no_grad():
        args = (moved["segments"], moved["write"], moved["questions"], moved["reads_from"])
        _, asked, after = net.read_and_ask(*args, states=streams.states, keep_states=True, since=streams.since)
        written = [[MemoryState(p.M - b.M, p.z - b.z) for p, b in zip(layer, begun)] for layer, begun in zip(after, streams.since)]
        _, alone, _ = net.read_and_ask(None, None, moved["questions"], torch.zeros_like(moved["reads_from"]), states=written)
        _, whole, _ = net.read_and_ask(*args, states=streams.states)
    last = moved["reads_from"] == N
    torch.testing.assert_close(asked[last], alone[last], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(asked[0][last[0]], whole[0][last[0]], atol=1e-3)


def test_a_document_that_begins_anew_begins_a_section():
    streams = Streams(B, N, longest=1000, seed=1, unknown=[7, 1])
    net = model()
    losses = Losses(net, False, 1.0)
    streams.until = [float(2 * N), 1000.0]
    for seed in range(2):
        streams.section_end = [float(N), float(N)]
        losses.memory(to_device(streams.go_on(portion(seed)), "cpu"), streams)
    assert streams.earlier_bank[0] and streams.since[0][0].M[0].abs().sum() > 0
    streams.go_on(portion(2))
    assert not streams.earlier_bank[0] and streams.since[0][0].M[0].abs().sum() == 0
