"""Reading texts into memories and answering from them, as the evaluation does: greedily, of one memory or of sections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from . import steps
from .config import PROMPTS
from .cutter import TokenTable, cut_tokens, text_segments
from .export import load_model
from .facts import UNKNOWN
from .llama_folder import bos_of, eos_of
from .model import InfiniLlama, MemoryState
from .questions import BOS, EOS
from .sections import section_chosen, section_ends


class Reader:
    """Reads token arrays or stored text into memories and answers questions from them, greedily."""

    def __init__(self, model: InfiniLlama, tokenizer: Tokenizer, device, pass_segments: int = 256, bos: int | None = BOS, eos: int = EOS,
                 autocast: bool | None = None):
        """bos None: the tokenizer puts nothing before a text. autocast None: on the GPU only."""
        self.model, self.tokenizer, self.device, self.pass_segments = model.to(device).eval(), tokenizer, device, pass_segments
        self.bos, self.eos, self.lead = bos, eos, int(bos is not None)
        self.autocast = torch.device(device).type == "cuda" if autocast is None else autocast
        self.table = TokenTable(tokenizer)

    def segments(self, text: np.ndarray | str) -> list:
        """Token ids of each segment. Of our own tokenizer a text and its token array give the same."""
        S = self.model.c.segment_length
        if isinstance(text, str):
            return text_segments(text, self.tokenizer, S)
        words = self.table.word_ends(text)
        cuts = [0] + cut_tokens(words, self.table.sentence_ends(text, words), S)
        return [text[a:b] for a, b in zip(cuts, cuts[1:])]

    @torch.no_grad()
    def read(self, segments: list, states=None):
        """The memory that these segments leave, per layer and part; `states`: after what has been read before."""
        S = self.model.c.segment_length
        for first in range(0, len(segments), self.pass_segments):
            part = segments[first : first + self.pass_segments]
            ids = np.full((1, len(part), S + self.lead), self.eos, np.int64)
            write = np.zeros(ids.shape, bool)
            ids[:, :, : self.lead] = self.bos if self.lead else 0
            for n, tokens in enumerate(part):
                ids[0, n, self.lead : len(tokens) + self.lead] = tokens
                write[0, n, self.lead : len(tokens) + self.lead] = True
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                _, _, states = self.model.read_and_ask(
                    torch.from_numpy(ids).to(self.device), torch.from_numpy(write).to(self.device), states=states, keep_states=True)
        return states

    def read_sections(self, segments: list, count: int) -> list:
        """What each of at most `count` sections of a document has written, all read in one row: a list of states. Where there are several
        each is rounded to four bits, once (the engine does so with each portion of a pass, and again where two sections are joined)."""
        sections, states, read = [], None, 0
        for end in section_ends(len(segments), self.model.c.segment_length, count):
            before, states = states, self.read(segments[read:end], states)
            sections.append(subtracted(states, before) if before else states)
            read = end
        return [rounded(section) for section in sections] if len(sections) > 1 else sections

    def answer_from_sections(self, prompts: list[list[list[int]]], sections: list, unknown_bias: float = 0.0, books: list[list[int]] | None = None,
                             **options) -> list[list[str]]:
        """sections[document]: a list of states. Each question is answered from one section alone (sections.section_chosen); its doubt is
        the probability of the unknown answer's first token. books: of each document, how many sections its books have, if it is a shelf. A model
        that answers in steps has its further questions answered, too (steps.py)."""
        answers, chosen = self.said_by_sections(prompts, sections, unknown_bias, books, **options)
        if not self.model.c.answers_in_steps:
            return answers
        for d, states in enumerate(sections):
            for q, answer in enumerate(answers[d]):
                section, begin, end = int(chosen[d][q]), 0, len(states)
                for n in books[d] if books else ():  # of a shelf the book that answers is asked on
                    if begin + n > section:
                        end = begin + n
                        break
                    begin += n
                answers[d][q] = self.followed(answer, states[begin:end], section - begin, unknown_bias, **options)
        return answers

    def followed(self, answer: str, sections: list, section: int, unknown_bias: float, **options) -> str:
        """What an answer of one of a book's sections comes to when its further questions are answered."""
        for _ in range(steps.MOST_STEPS):
            further = steps.further_question(answer)
            if not further:
                return answer
            question, before = further
            prompt = self.tokenizer.encode(PROMPTS["question"].format(question=question), add_special_tokens=False).ids
            for asked in (sections[:section], sections[: section + 1]) if before else (sections,):
                if not asked:
                    continue
                given, chosen = self.said_by_sections([[prompt]], [asked], unknown_bias, **options)
                sections, answer, place = asked, given[0][0], int(chosen[0][0])
                if answer != UNKNOWN:
                    break
            section = place
        return UNKNOWN if steps.further_question(answer) else answer

    def said_by_sections(self, prompts: list[list[list[int]]], sections: list, unknown_bias: float = 0.0, books: list[list[int]] | None = None,
                         **options) -> tuple[list[list[str]], list[np.ndarray]]:
        """What the chosen section says to each question, without the sentence that it recalls, and which one it is. A section that recalls a
        sentence first doubts what it doubts behind it, too."""
        doubts = [np.array(self.doubts([asked] * len(states), states)) for asked, states in zip(prompts, sections)]  # of [sections, Q]
        recalls = [{}] * len(doubts)
        if self.model.c.answers_in_steps:
            recalls = [self.recalls(asked, states, doubt) for asked, states, doubt in zip(prompts, sections, doubts)]
        sure = self.model.c.sure_doubt
        chosen = [np.apply_along_axis(section_chosen, 0, d, sure, b) for d, b in zip(doubts, books or [None] * len(doubts))]
        behind = [[recalls[d].get((int(k), q), []) for q, k in enumerate(c)] for d, c in enumerate(chosen)]
        prompts = [[p + ids for p, ids in zip(*both)] for both in zip(prompts, behind)] if any(recalls) else prompts
        used = [(d, k) for d, c in enumerate(chosen) for k in sorted(set(c.tolist()))]
        given: dict[tuple[int, int], list[str]] = {}
        for first in range(0, len(used), 64):
            part = used[first : first + 64]
            asked = [[p for p, c in zip(prompts[d], chosen[d]) if c == k] for d, k in part]
            given |= dict(zip(part, self.answer(asked, [sections[d][k] for d, k in part], unknown_bias=unknown_bias, **options)))
        left = {pair: iter(answers) for pair, answers in given.items()}
        said = [[next(left[d, int(k)]) for k in c] for d, c in enumerate(chosen)]
        for answers, recalled in zip(said, behind):  # a quotation alone is the answer
            answers[:] = [a or self.tokenizer.decode(ids).strip() if ids else a for a, ids in zip(answers, recalled)]
        return said, chosen

    def recalls(self, asked: list[list[int]], sections: list, doubts: np.ndarray) -> dict[tuple[int, int], list[int]]:
        """(section, question) -> the tokens of the sentence with which the answer begins, for those few that doubt least; doubts [sections,
        Q] become what they doubt behind it, too, as the engine's do (chooseByRecall())."""
        mark, out = self.tokenizer.encode(f" {steps.MARK}", add_special_tokens=False).ids, {}
        if len(mark) > 1:
            return out
        first = self.logits_behind([asked] * len(sections), sections).argmax(-1)  # of [sections, Q]
        for q, prompt in enumerate(asked):
            places = [k for k in range(len(sections)) if first[k, q] == mark[0] and doubts[k, q] < steps.MAY_RECALL]
            for n, k in enumerate(sorted(places, key=lambda k: doubts[k, q])):
                ids = self.recalled(prompt, sections[k]) if n < steps.MOST_RECALLS else None
                if ids:
                    out[k, q] = ids
                    doubts[k, q] = 1 - (1 - doubts[k, q]) * (1 - self.doubts([[prompt + ids]], [sections[k]])[0][0])
                else:
                    doubts[k, q] = steps.MAY_RECALL
        return out

    def recalled(self, prompt: list[int], section) -> list[int] | None:
        """The tokens of the sentence up to its closing mark; None where it does not end."""
        ids: list[int] = []
        while len(ids) < steps.RECALL_TOKENS:
            ids.append(int(self.logits_behind([[prompt + ids]], [section])[0, 0].argmax()))
            if ids[-1] == self.eos:
                return None
            if self.tokenizer.decode(ids).count(steps.MARK) > 1:
                return ids
        return None

    def batch_of(self, prompts: list[list[list[int]]], room: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids [documents, Q, longest prompt + 1 + room], BOS first and EOS behind; and how long each prompt is, BOS included."""
        B, Q = len(prompts), max(map(len, prompts))
        ids = torch.full((B, Q, max(len(q) for p in prompts for q in p) + self.lead + room), self.eos, dtype=torch.long)
        ids[:, :, : self.lead] = self.bos if self.lead else 0
        length = torch.full((B, Q), self.lead)
        for b, p in enumerate(prompts):
            for q, tokens in enumerate(p):
                ids[b, q, self.lead : len(tokens) + self.lead] = torch.tensor(tokens)
                length[b, q] = len(tokens) + self.lead
        return ids.to(self.device), length.to(self.device)

    def doubts(self, prompts: list[list[list[int]]], states) -> list[list[float]]:
        """The probability with which each answer would begin as the unknown one."""
        return [[p for p, _ in asked] for asked in self.first_words(prompts, states)]

    @torch.no_grad()
    def first_words(self, prompts: list[list[list[int]]], states) -> list[list[tuple[float, float]]]:
        """Of each answer's first token: the probability of the unknown one, and by how many nats it leads (below 0: follows)
        the likeliest other one. An unknown_bias above that lead makes the model answer."""
        unknown = self.tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[0]
        logits = self.logits_behind(prompts, states)
        p, own = logits.softmax(-1)[..., unknown].cpu(), logits[..., unknown].clone()
        logits[..., unknown] = -torch.inf
        lead = (own - logits.amax(-1)).cpu()
        return [list(zip(p[b, : len(asked)].tolist(), lead[b, : len(asked)].tolist())) for b, asked in enumerate(prompts)]

    @torch.no_grad()
    def logits_behind(self, prompts: list[list[list[int]]], states) -> torch.Tensor:
        """[documents, Q, V] of what follows each prompt."""
        ids, length = self.batch_of(prompts)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            _, hidden, _ = self.model.read_and_ask(None, None, ids, torch.zeros_like(length), states=joined(states))
            hidden = hidden.gather(2, (length - 1).clamp(min=0)[..., None, None].expand(-1, -1, 1, hidden.shape[-1])).squeeze(2)
            return self.model.head(hidden).float()

    @torch.no_grad()
    def answer(self, prompts: list[list[list[int]]], states, max_new: int = 24, unknown_bias: float = 0.0) -> list[list[str]]:
        """prompts[document][question] token ids; states: one list per document. Greedy, until EOS.

        unknown_bias: of config.py, for questions; the book card is no answer.
        """
        ids, length = self.batch_of(prompts, max_new)
        start, done = length.clone(), length == self.lead  # a document with fewer questions: no prompt
        memories = joined(states)
        unknown = self.tokenizer.encode(" " + UNKNOWN, add_special_tokens=False).ids[0]
        for step in range(max_new):
            # only those that are still being answered, in the first columns of each document
            columns = done.int().argsort(dim=1, stable=True)[:, : int((~done).sum(1).max())]
            width, at = int(length[~done].max()), length.gather(1, columns)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                asked = ids[:, :, :width].gather(1, columns.unsqueeze(-1).expand(-1, -1, width))
                _, hidden, _ = self.model.read_and_ask(None, None, asked, torch.zeros_like(columns), states=memories)
                last = (at - 1).clamp(0, width - 1)
                last = hidden.gather(2, last[..., None, None].expand(-1, -1, 1, hidden.shape[-1])).squeeze(2)
                logits = self.model.head(last).float()
                if step == 0:
                    logits[..., unknown] -= unknown_bias
                token = torch.full_like(length, self.eos).scatter_(1, columns, logits.argmax(-1))
            token = torch.where(done, torch.full_like(token, self.eos), token)
            ids.scatter_(2, length.unsqueeze(-1), token.unsqueeze(-1))
            done |= token == self.eos
            length = length + (~done).long()
            if done.all():
                break
        out = []
        for b, p in enumerate(prompts):
            out.append([self.tokenizer.decode(ids[b, q, start[b, q] : length[b, q]].tolist()).strip() for q in range(len(p))])
        return out


def reader_of(model: str, tokenizer: Tokenizer, device) -> Reader:
    """Of a checkpoint, which has the shipped model's tokenizer, or of a folder with whatever tokenizer."""
    ends = dict(bos=bos_of(tokenizer), eos=eos_of(Path(model), tokenizer)) if Path(model).is_dir() else {}
    return Reader(load_model(model), tokenizer, device, **ends)


def joined(states):
    """One batch of the states of single documents."""
    cat = lambda l, i: MemoryState(torch.cat([s[l][i].M for s in states]), torch.cat([s[l][i].z for s in states]))
    return [[cat(l, i) for i in range(len(states[0][l]))] for l in range(len(states[0]))]


def subtracted(states, before):
    """What has been written since."""
    return [[MemoryState(s.M - b.M, s.z - b.z) for s, b in zip(layer, earlier)] for layer, earlier in zip(states, before)]


def rounded(states):
    """To four bits, each row of M by a scale of its own; z stays as it is (section_memory.h)."""

    def row_by_row(M: torch.Tensor) -> torch.Tensor:
        scale = M.abs().amax(-1, keepdim=True) / 7
        return (M / scale.where(scale > 0, 1)).round() * scale

    return [[MemoryState(row_by_row(s.M), s.z) for s in layer] for layer in states]


def zeroed(states):
    return [[MemoryState(torch.zeros_like(s.M), torch.zeros_like(s.z)) for s in layer] for layer in states]


def added(shelf: list):
    """The sum of several books' states, in the order given: what the engine's addMemories() makes of their memories."""
    add = lambda parts: MemoryState(sum((s.M for s in parts[1:]), parts[0].M), sum((s.z for s in parts[1:]), parts[0].z))
    return [[add([states[l][i] for states in shelf]) for i in range(len(shelf[0][l]))] for l in range(len(shelf[0]))]
