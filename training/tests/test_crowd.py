"""Questions that read the memories of all documents of a batch, and of earlier batches: the crowd of a long book."""

import numpy as np
import pytest
import torch

from palimpsest_training.batches import IGNORE
from palimpsest_training.config import ModelConfig
from palimpsest_training.model import Crowd, InfiniLlama, MemoryState
from palimpsest_training.losses import Losses
from palimpsest_training.streams import Crowds

B, N, L, Q, P = 3, 2, 6, 2, 5


def model(**more):
    torch.manual_seed(1)
    net = InfiniLlama(ModelConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                  head_dim=8, vocab_size=60, max_position_embeddings=64,
                                  **{**dict(memory_heads=2, memory_kv_heads=2, memory_head_dim=8), **more}))
    for name, p in net.named_parameters():
        if "memory_o_proj" in name:
            torch.nn.init.normal_(p, std=0.3)
    return net


def batch() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(2)
    draw = lambda *shape: torch.randint(2, 50, shape, generator=g)
    segments, questions = draw(B, N, L), draw(B, Q, P)
    write = torch.ones(B, N, L, dtype=torch.bool)
    write[:, :, 0] = False
    answers = torch.full((B, Q, P), IGNORE)
    answers[:, :, 3:] = 9
    return dict(segments=segments, write=write, labels=draw(B, N, L), questions=questions, answers=answers,
                reads_from=torch.full((B, Q), N), again=torch.tensor([[True, False]] * B))


def plus(*memories):
    return [[MemoryState(sum(m[i][j].M for m in memories), sum(m[i][j].z for m in memories)) for j in range(len(layer))]
            for i, layer in enumerate(memories[0])]


@pytest.mark.parametrize("more", [{}, dict(memory_heads=0, memory_kv_heads=0, memory_gate=True), dict(memory_layers=[1])])
def test_a_question_reads_the_sum_of_all_documents_and_of_earlier_batches(more):
    net, b = model(**more), batch()
    ask = lambda **k: net.read_and_ask(b["segments"], b["write"], b["questions"], b["reads_from"], keep_states=True, **k)
    with torch.no_grad():
        _, alone, states = ask()
        earlier = [[MemoryState(torch.rand_like(s.M[:1]), torch.rand_like(s.z[:1])) for s in layer] for layer in states]
        hidden, crowded, own = ask(crowd=Crowd(earlier))
        whole = [[MemoryState(s.M.sum(0, keepdim=True).expand_as(s.M), s.z.sum(0, keepdim=True).expand_as(s.z)) for s in layer] for layer in states]
        _, expected, _ = net.read_and_ask(None, None, b["questions"], torch.zeros_like(b["reads_from"]), states=plus(whole, earlier))
    torch.testing.assert_close(crowded, expected)
    assert not torch.allclose(crowded, alone)
    for a, o in ((a, o) for layers in zip(states, own) for a, o in zip(*layers)):  # what is written stays the document's own
        torch.testing.assert_close(a.M, o.M)


def test_the_gradient_into_the_other_documents_is_weighted_and_the_value_is_not():
    b = batch()
    b["segments"][1, 0, 2] = 55  # a token of the second document alone, its gradient comes from there

    def gradient(weight: float) -> tuple[torch.Tensor, torch.Tensor]:
        net = model(tie_word_embeddings=False)
        _, asked, _ = net.read_and_ask(b["segments"], b["write"], b["questions"], b["reads_from"], crowd=Crowd(weight=weight))
        asked[0].square().mean().backward()  # asked of the first document
        return asked.detach(), net.model.embed_tokens.weight.grad[55]

    (value, one), (same, three) = gradient(1.0), gradient(3.0)
    torch.testing.assert_close(value, same)
    assert one.norm() > 0
    torch.testing.assert_close(three, 3 * one)


def test_in_a_crowd_only_what_keeps_its_answer_is_asked():
    net, b = model(), batch()
    losses, crowds = Losses(net, False, 1.0), Crowds(4, seed=1)
    _, first = losses(b, None, crowds)
    other = {**b, "answers": b["answers"].clone()}
    other["answers"][:, 1, 3:] = 30  # of the questions that have no answer in a crowd
    torch.testing.assert_close(first, losses(other, None, Crowds(4, seed=1))[1])
    assert not torch.allclose(losses(b)[1], losses(other)[1])


@pytest.mark.parametrize("more", [{}, dict(memory_layers=[1])])
def test_earlier_batches_are_kept_up_to_a_number_and_drawn_without_gradient(more):
    net, b = model(**more), batch()
    at = 1 if more else 0  # a layer with memory heads
    losses, crowds = Losses(net, False, 1.0), Crowds(3, seed=1)
    for _ in range(5):
        losses(b, None, crowds)[1].backward()
    assert len(crowds.earlier) == 3
    with torch.no_grad():
        _, _, states = net.read_and_ask(b["segments"], b["write"], keep_states=True)
    counts = set()
    for _ in range(50):
        crowd = crowds.draw()
        if crowd.earlier is None:
            counts.add(0)
            assert crowd.weight == 1.0
            continue
        M = crowd.earlier[at][0].M
        assert M.shape[0] == 1 and not M.requires_grad
        count = round(float(M.sum() / states[at][0].M.sum()))
        torch.testing.assert_close(M, count * states[at][0].M.sum(0, keepdim=True))
        assert crowd.weight == pytest.approx((1 + count) ** 0.5)
        counts.add(count)
    assert counts == {0, 1, 2, 3}
    assert np.isfinite(crowds.earlier[0][at][0].z.numpy()).all()
