"""Steps of an answer: what the model says before it, as it was taught to (babi.py), and what the program does with that (engine/answer_steps.h).

An answer may begin with a sentence that is recalled from the memory, in quotation marks; what stands behind it rests on that sentence,
and is told from it by attention, not by the memory. And an answer may be a question, which is asked in its place: of the same sections,
or, behind BEFORE, of what stands before the section that said so (of that section as well where nothing before it answers). (Recall
before reasoning: scratchpads, arXiv 2112.00114; further questions: self-ask, arXiv 2210.03350.)
"""

from __future__ import annotations

MARK = '"'
BEFORE = "Before: "
MOST_STEPS = 3  # questions that may follow one another
MOST_RECALLS = 8  # sections of which a sentence is recalled, for each question
RECALL_TOKENS = 48
MAY_RECALL = 0.5  # a section that doubts more is not asked for it; one that was not asked, or does not end its sentence, doubts so


def quoted(sentence: str, rest: str) -> str:
    return f"{MARK}{sentence}{MARK} {rest}"


def parted(answer: str) -> tuple[str, str]:
    """The recalled sentence, empty if there is none, and the answer. Of a quotation alone that is the answer."""
    end = answer.find(MARK, 1) if answer.startswith(MARK) else -1
    rest = answer[end + 1 :].strip() if end > 0 else ""
    return (answer[1:end], rest) if rest else ("", answer)


def further_question(answer: str) -> tuple[str, bool] | None:
    """The question that the answer asks, and whether only of what stands before; None: it is an answer."""
    said = parted(answer)[1]
    if not said.endswith("?"):
        return None
    return said.removeprefix(BEFORE), said.startswith(BEFORE)
