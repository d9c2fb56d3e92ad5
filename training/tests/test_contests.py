"""A question that several documents of a batch are asked: who tells it, and the loss of choosing that document."""

import math

import numpy as np
import torch

from palimpsest_training.babi import Stories
from palimpsest_training.batches import BatchMaker
from palimpsest_training.contests import OWN_SECTIONS
from palimpsest_training.config import ModelConfig
from palimpsest_training.facts import UNKNOWN
from palimpsest_training.model import InfiniLlama
from palimpsest_training.questions import IGNORE
from palimpsest_training.sections import section_chosen
from palimpsest_training.losses import FEW_CONTESTS, Losses

U = 7  # the token with which the unknown answer begins


def test_all_documents_but_those_that_tell_it_refuse_a_contested_question(plain_books, story_file):
    maker = BatchMaker(plain_books, seed=3, tokens_per_batch=8192, stories=Stories([story_file]))
    refusal = plain_books.tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids
    contests = without_teller = 0
    for name in ("2k", "dense", "talk-512", "talk-2k", "babi-512", "babi-2k") * 5:
        batch = maker.memory_batch(name)
        B = len(batch["segments"])
        for g in range(1, int(np.abs(batch["contest"]).max()) + 1):
            rows, columns = np.nonzero(np.abs(batch["contest"]) == g)
            if not len(rows):
                continue
            asked = np.bincount(rows, minlength=B)
            assert (asked > 1).sum() <= 1 and asked.max() <= 1 + OWN_SECTIONS  # each once, but for a story's own sections
            prompts, tellers = set(), 0
            for b, q in zip(rows, columns):
                answer = batch["answers"][b, q]
                first = int((answer != IGNORE).argmax())
                tells = batch["contest"][b, q] > 0
                tellers += tells
                assert (answer[first : first + len(refusal)].tolist() == refusal) != tells
                prompts.add(tuple(batch["questions"][b, q, 1 : first + 1].tolist()[-12:]))  # a turn may stand before it
            assert len(prompts) == 1 and tellers <= 1
            contests += 1
            without_teller += not tellers
    assert contests > 40 and 0.1 < without_teller / contests < 0.45


def test_streams_and_single_documents_contest_nothing(plain_books):
    maker = BatchMaker(plain_books, seed=3, tokens_per_batch=8192)
    assert not maker.memory_batch("stream")["contest"].any()
    assert not maker.memory_batch("8k")["contest"].any()


def losses() -> Losses:
    torch.manual_seed(1)
    model = InfiniLlama(ModelConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
                                    vocab_size=30, max_position_embeddings=64))
    return Losses(model, False, 1.0, unknown=U, contest_weight=0.5)


def material():
    """Two groups of questions of three documents: question 1 is told by the second document, question 3 by none; question 2 is asked
    of nobody, for its answers were cut off."""
    torch.manual_seed(2)
    hidden = [torch.randn(3, 2, 5, 16), torch.randn(3, 1, 9, 16)]
    contest = [torch.tensor([[-1, 0], [0, 1], [-3, -1]]), torch.tensor([[2], [-3], [-2]])]
    answers = [torch.full((3, 2, 5), IGNORE), torch.full((3, 1, 9), IGNORE)]
    answers[0][:, :, 3], answers[0][:, :, 4] = 9, 1
    answers[1][1, 0, 6] = 9
    return hidden, answers, contest


def test_the_loss_is_that_of_choosing_by_doubt():
    net = losses()
    hidden, answers, contest = material()
    odds = lambda h: math.log(1 / float((net.head @ h).softmax(-1)[U].detach()) - 1)
    first = {0: odds(hidden[0][0, 0, 3]), 1: odds(hidden[0][1, 1, 3]), 2: odds(hidden[0][2, 1, 3])}  # question 1 of each document
    third = {1: odds(hidden[1][1, 0, 6]), 2: odds(hidden[0][2, 0, 3])}
    chosen = math.exp(first[1]) / (1 + sum(map(math.exp, first.values())))
    none = 1 / (1 + sum(map(math.exp, third.values())))
    got = float(net.contest(hidden, answers, contest).detach())
    assert abs(got - (-math.log(chosen) - math.log(none)) / FEW_CONTESTS) < 1e-5
    doubts = [1 / (1 + math.exp(first[b])) for b in range(3)]
    assert section_chosen(doubts) == max(first, key=first.get)  # the same order


def test_the_loss_teaches_which_document_answers():
    net = losses()
    hidden, answers, contest = material()
    hidden = [h.requires_grad_() for h in hidden]
    optimizer = torch.optim.Adam(hidden, lr=3.0)
    before = float(net.contest(hidden, answers, contest).detach())
    for _ in range(60):
        optimizer.zero_grad()
        net.contest(hidden, answers, contest).backward()
        optimizer.step()
    assert float(net.contest(hidden, answers, contest).detach()) < 0.05 < before
    assert not hidden[0].grad[:, :, :3].any()  # where no answer begins


def test_nothing_contested_costs_nothing():
    net = losses()
    hidden, answers, contest = material()
    nothing = net.contest(hidden, answers, [c * 0 for c in contest])
    assert float(nothing) == 0


def test_contests_count_in_a_training_step(plain_books):
    from palimpsest_training.train import to_device

    torch.manual_seed(1)
    unknown = plain_books.tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[0]
    model = InfiniLlama(ModelConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
                                    vocab_size=plain_books.tokenizer.get_vocab_size(), max_position_embeddings=256, segment_length=64, memory_heads=2,
                                    memory_kv_heads=2, memory_head_dim=8))
    batch = to_device(BatchMaker(plain_books, seed=5, tokens_per_batch=2048).memory_batch("dense"), "cpu")
    (_, plain), net = Losses(model, False, 1.0)(batch), Losses(model, False, 1.0, unknown, 0.5)
    _, both = net(batch)
    assert net.last_contest > 0 and torch.isclose(both, plain + 0.5 * net.last_contest)
    both.backward()
    assert model.model.embed_tokens.weight.grad.isfinite().all()
