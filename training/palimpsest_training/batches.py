"""Training batches: documents (documents.py) cut into segments, and questions that read the memory.

A batch of the memory phase, as numpy arrays (B documents, N segments, L = S + 1 positions, Q questions, P positions):
  segments u16 [B, N, L], write bool [B, N, L], labels i64 [B, N, L] (-100 = no loss)
  questions u16 [B, Q, P], reads_from i64 [B, Q], answers i64 [B, Q, P] (-100 = no loss)
  begins i64 [B, Q], of stages of stories and of sectioned batches: how many segments stand before the section that is asked
  split (Qs, Ps): the first Qs questions of every document fit in Ps positions (by_length)
  contest i64 [B, Q]: g or -g: of the documents and sections that are asked question g, this one tells the answer, or does not; 0: asked
  alone
  again bool [B, Q]: may be asked where more has been read: after later portions of a stream, or in a crowd (model.Crowd);
  has_key bool [B]: a pass key stands in the text
A batch of the base phase has N = 1 segment a row, its questions inside the same row (answers marked in `answers`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .absent import Acquaintances
from . import babi
from .babi import Stories, Told
from .books import Books
from .contests import OWN_SECTIONS, Contest, draw_contests
from .cutter import cut_tokens
from .documents import DocumentMaker
from .facts import UNKNOWN
from .questions import BOS, EOS, IGNORE, Question, by_length, memories, section_around, section_begins, section_without
from .stages import STAGES, Stage
from .steps import parted, quoted

SECTIONS_SHARE = 0.6  # of the questions of which it is known where the text answers them: asked of a section of it
TIGHT_SHARE = 0.5  # of a story's questions: asked of few segments, as the sections of a short book are
RECALLED_SHARE = 0.6  # of the base phase's rows, where there are stories: what a recalled sentence says, and nothing else
STRANGERS = 3  # of a document's questions, one more for so many is of another document
SHORTEST_SECTION = 256  # tokens, in sectioned batches, as the engine's; a quarter of a document that is shorter than four
WHOLE_SHARE = 0.2  # of such a batch's questions: asked of all that has been read, as in other batches
NEIGHBOURS_SHARE = 0.5  # of the batches: their documents are one book's, one after another


@dataclass(frozen=True)
class Put:
    """A question as it is put to segments `begin` to `read` of a document, what is answered, and which contest that belongs to (0: none)."""

    question: Question
    begin: int
    read: int
    answer: list[int]
    contest: int


class BatchMaker(DocumentMaker):
    stages = STAGES
    bos, ids = BOS, np.uint16  # of a batch; `ids` is the type that holds any token of the model

    def __init__(self, books: Books, seed: int, tokens_per_batch: int = 65536, question_length: int = 80, stories: Stories | None = None,
                 sectioned_share: float = 0.0):
        """sectioned_share: of the batches (not of stories, nor streams), whose questions are asked of sections of a document that has been
        read as a whole, as the program asks them."""
        super().__init__(books, seed, stories)
        self.tokens_per_batch, self.P, self.sectioned_share = tokens_per_batch, question_length, sectioned_share

    # -- what another tokenizer does in its own way (head_batches.py) ---------------------------------------------

    def cut(self, tokens: np.ndarray, asked: list[Question], stage: Stage) -> tuple[np.ndarray, list[int], list[Question]]:
        """The document in the model's tokens, where its segments end (at most stage.segments of them), and its questions."""
        words = self.books.table.word_ends(tokens)
        return tokens, cut_tokens(words, self.books.table.sentence_ends(tokens, words), stage.segment_length)[: stage.segments], asked

    def refusal(self) -> list[int]:
        return self.encode(" " + UNKNOWN) + [EOS]

    def after_turn(self, earlier: Question, prompt: list[int]) -> list[int]:
        """The prompt with an earlier question and its answer before it."""
        return earlier.prompt + earlier.answer[:-1] + self.encode("\n\n") + prompt

    # -- memory phase --------------------------------------------------------------------------------------------

    def memory_batch(self, name: str) -> dict[str, np.ndarray]:
        stage, rng = self.stages[name], self.rng
        if stage.shortest:
            halves = [n for k in range(16) if (n := stage.segments >> k) >= stage.shortest]
            stage = replace(stage, segments=rng.choice(halves or [stage.segments]))
        S, N, P = stage.segment_length, stage.segments, self.P
        B, L = max(1, self.tokens_per_batch // (S * N)), S + 1
        self.sectioned = not (stage.stream or stage.stories) and rng.random() < self.sectioned_share
        # A stream's own earlier sections serve for that.
        strangers = stage.strangers or stage.questions // STRANGERS if (B > 1 or self.sectioned) and not stage.stream else 0
        Q = stage.questions + strangers
        segments = np.full((B, N, L), EOS, self.ids)  # padding, whatever the model's own end is
        write = np.zeros((B, N, L), bool)
        labels = np.full((B, N, L), IGNORE, np.int64)
        questions = np.full((B, Q, P), EOS, self.ids)
        answers = np.full((B, Q, P), IGNORE, np.int64)
        reads_from = np.zeros((B, Q), np.int64)
        begins, contest = np.zeros((B, Q), np.int64), np.zeros((B, Q), np.int64)
        again, has_key = np.zeros((B, Q), bool), np.zeros(B, bool)
        segments[:, :, 0] = questions[:, :, 0] = self.bos
        documents, met, self.neighbours = [], Acquaintances(), None
        if B > 1 and not stage.stream and rng.random() < NEIGHBOURS_SHARE:
            self.begin_neighbours(S * N, B)
        for b in range(B):
            if stage.stream:
                tokens, asked, has_key[b] = self.portion(stage, b, B)
                told = set()
            else:
                tokens, asked, told = self.document(stage, met)
            tokens, cuts, asked = self.cut(tokens, asked, stage)
            asked = [a for a in asked if a.after <= cuts[-1] and memories(a, cuts)]
            rng.shuffle(asked)
            documents.append((tokens, cuts, asked, told))
        contests = self.contests(stage, [asked[: Q - strangers] for _, _, asked, _ in documents], strangers)
        for b, (tokens, cuts, asked, told) in enumerate(documents):
            start = 0
            for n, end in enumerate(cuts):
                ids = tokens[start:end]
                segments[b, n, 1 : len(ids) + 1] = ids
                write[b, n, 1 : len(ids) + 1] = True
                labels[b, n, : len(ids)] = ids
                start = end
            own = asked[: Q - strangers]
            for q, put in enumerate(self.put_to(b, documents, own, contests, stage, strangers)[:Q]):
                prompt, answer = put.question.prompt, put.answer
                # a conversation: an earlier question and its answer, which was the same then, stand before it
                if 0 < q < len(own) and (self.sectioned or not put.begin and put.read in memories(own[q - 1], cuts)) and rng.random() < 0.15:
                    turn = self.after_turn(own[q - 1], prompt)
                    if len(turn) + len(answer) + 1 <= P:
                        prompt = turn
                ids = prompt + answer
                if len(ids) + 1 > P:
                    continue
                questions[b, q, 1 : len(ids) + 1] = ids
                answers[b, q, len(prompt) : len(ids)] = answer
                again[b, q], reads_from[b, q], begins[b, q] = put.question.again, put.read, put.begin
                # negative: a section in which it is not told
                contest[b, q] = -abs(put.contest) if answer == self.refusal() else put.contest
        self.neighbours = None
        return by_length(dict(segments=segments, write=write, labels=labels, questions=questions, answers=answers, reads_from=reads_from,
                              again=again, has_key=has_key, contest=contest) | (dict(begins=begins) if stage.stories or self.sectioned else {}))

    def contests(self, stage: Stage, asked: list[list[Question]], strangers: int) -> list[Contest]:
        """asked: of each document, what it is asked of its own; strangers: for how many more questions each has room."""
        shared = 0 if len(asked) == 1 else strangers // 4 if stage.stories else (strangers + 1) // 2
        room = strangers - shared if self.sectioned or stage.stories else 0
        return draw_contests(self.rng, asked, shared, -(-room // OWN_SECTIONS))

    def put_to(self, b: int, documents: list[tuple], own: list[Question], contests: list[Contest], stage: Stage, strangers: int) -> list[Put]:
        """All that document b is asked: its own questions, what others of the batch tell, and of its own sections what another one tells."""
        _, cuts, asked, told = documents[b]
        tale = next((q.story for q in asked if q.story), None)
        contestant = {id(c.question): g for g, c in enumerate(contests, 1) if c.teller == b and c.answered}
        refused, others = [], []
        for g, c in enumerate(contests, 1):
            if c.teller != b:
                if c.shared and self.untold(asked, told, [c.question]):
                    refused.append(self.refused(c.question, tale))
                    contestant[id(refused[-1])] = -g
            elif c.question.told_at is not None and (self.sectioned or stage.stories):
                sections = (section_without(self.rng, c.question, cuts, self.shortest_section(stage)) for _ in range(OWN_SECTIONS))
                others += [self.put(c.question, cuts, *section, self.refusal(), -g) for section in sections if section]
        others = others[: strangers - len(refused)]
        elsewhere = [d[2] for d in documents[:b] + documents[b + 1 :]]
        refused += self.strangers(strangers - len(refused) - len(others), asked, told, elsewhere, tale)
        return [self.put(question, cuts, *self.asked_of(question, cuts, stage), contestant.get(id(question), 0)) for question in own + refused] + others

    def put(self, question: Question, cuts: list[int], begin: int, read: int, answer: list[int], contest: int) -> Put:
        """What a section of a document of stories answers is told by those of its sentences that it holds. One that recalls the wrong sentence
        does not refuse with its first token, which a contest is about; one that was to refuse and has another answer is asked alone."""
        if question.story:
            said = question.story.said(question.about, cuts[begin - 1] if begin else 0, cuts[read - 1])
            answer = self.encode(" " + said) + [EOS] if said else self.refusal()
            if said and (contest < 0 or parted(said)[1] == UNKNOWN):
                contest = 0
        return Put(question, begin, read, answer, contest)

    def strangers(self, count: int, own: list[Question], told: set, others: list[list[Question]], tale: Told | None = None) -> list[Question]:
        """What other documents of the batch are asked: this one does not say. So a section learns what is not in it, above all
        (half of them, if there are) of somebody of whom it says something else. told: what this one tells beside `own`."""
        told = told | {q.about for q in own}
        subjects = {about[1] for about in told if isinstance(about, tuple)}
        asked = self.untold(own, told, [q for other in others for q in other if q.elsewhere])
        known = [q for q in asked if (q.about[1] in subjects if isinstance(q.about, tuple) else self.neighbours)]
        chosen = self.rng.sample(known, min(count // 2, len(known)))
        drawn = {id(q) for q in chosen}
        rest = [q for q in asked if id(q) not in drawn]
        chosen += self.rng.sample(rest, min(count - len(chosen), len(rest)))
        return [self.refused(q, tale) for q in chosen]

    def refused(self, question: Question, tale: Told | None) -> Question:
        """As it is asked of another document. tale: what stories that one tells."""
        return Question(question.prompt, self.refusal(), about=question.about, story=question.story and tale)

    @staticmethod
    def untold(own: list[Question], told: set, asked: list[Question]) -> list[Question]:
        """Those of `asked` that a document which tells `told` and is asked `own` does not answer."""
        prompts, told = {tuple(q.prompt) for q in own}, told | {q.about for q in own}
        return [q for q in asked if q.about not in told and tuple(q.prompt) not in prompts]

    def asked_of(self, question: Question, cuts: list[int], stage: Stage) -> tuple[int, int, list[int]]:
        """Of which segments of its document a question is asked, the first and the one behind the last, and what is answered of them."""
        rng, may_read = self.rng, memories(question, cuts)
        if not self.sectioned:
            if stage.stories and question.told_at is not None and rng.random() < TIGHT_SHARE:
                return section_begins(question, cuts, may_read[0])[0][-1], may_read[0], question.answer
            read = may_read[-1] if rng.random() < 0.6 else rng.choice(may_read)
            begin, answer = self.of_section(question, cuts, read) if stage.stories and rng.random() < SECTIONS_SHARE else (0, question.answer)
            return begin, read, answer
        least, refused = self.shortest_section(stage), question.answer == self.refusal()
        if not question.just_this and (rng.random() < WHOLE_SHARE or (question.told_at is None and not refused)):
            return 0, may_read[-1], question.answer
        return *(section_without if refused else section_around)(rng, question, cuts, least), question.answer

    @staticmethod
    def shortest_section(stage: Stage) -> int:
        """In segments."""
        return max(1, min(SHORTEST_SECTION // stage.segment_length, stage.segments // 4))

    def of_section(self, question: Question, cuts: list[int], read: int) -> tuple[int, list[int]]:
        """Where a section begins that ends after `read` segments, and what is answered of it; the whole text for questions of
        which nothing tells where they are answered."""
        if question.answer == self.refusal():
            return self.rng.randrange(read), question.answer
        holds, lacks = section_begins(question, cuts, read)
        if lacks and (not holds or self.rng.random() < 0.12):
            return self.rng.choice(lacks), self.refusal()
        return self.rng.choice(holds), question.answer

    # -- base phase ----------------------------------------------------------------------------------------------

    def base_batch(self, length: int) -> dict[str, np.ndarray]:
        """Rows of prose with facts and, behind it, questions and answers as in a conversation; all inside the row."""
        rng = self.rng
        B = max(1, self.tokens_per_batch // length)
        segments = np.full((B, 1, length), EOS, np.uint16)
        labels = np.full((B, 1, length), IGNORE, np.int64)
        answers = np.full((B, 1, length), IGNORE, np.int64)
        segments[:, :, 0] = BOS
        for b in range(B):
            prose = not self.stories or rng.random() >= RECALLED_SHARE
            row, marks = self._base_row(length - 1) if prose else self._recalled_row(length - 1)
            row = row[: length - 1]
            segments[b, 0, 1 : len(row) + 1] = row
            if prose:
                labels[b, 0, : len(row)] = row
            for at, target in marks:
                if at < length:
                    answers[b, 0, at] = target
                    labels[b, 0, at] = IGNORE
        return dict(segments=segments, labels=labels, answers=answers)

    def _recalled_row(self, room: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Of questions whose answers recall a sentence, what stands behind it alone: nothing but attention tells it."""
        row, marks, gap = [], [], self.encode("\n\n")
        while True:
            question, sentence, said = babi.told_by_one(self.rng)
            # as it is written in steps: the first token behind the sentence does not depend on what follows
            recalled = self.prompt(question) + self.encode(" " + quoted(sentence, "").rstrip())
            answer = self.encode(" " + said) + [EOS]
            if len(row) + len(recalled) + len(answer) > room:
                return row, marks
            row += recalled
            marks += [(len(row) + i, t) for i, t in enumerate(answer[:1] if said == UNKNOWN else answer)]  # the rest of a refusal is known
            row += answer[:-1] + gap

    def _base_row(self, room: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Tokens without BOS, and (position in the row with BOS, target) of every answer token."""
        tokens, asked = self.base_document(room)
        row, marks = tokens.tolist(), []
        gap = self.encode("\n\n")
        for prompt, answer in ((q.prompt, q.answer) for q in asked[:8]):
            if len(row) + len(gap) + len(prompt) + len(answer) > room:
                break
            row += gap + prompt
            marks += [(len(row) + i, t) for i, t in enumerate(answer)]
            row += answer[:-1]  # the end token is predicted, the next question follows
        return row, marks
