"""The curriculum: which shapes of documents are drawn when."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One shape of the curriculum.

    A stream's batch is the next portion of documents that the trainer goes on reading from step to step: the memory is
    carried over without its gradient. So a step costs what its portion costs, and yet a question meets the crowd that a
    million tokens leave in the memory.
    """

    segment_length: int
    segments: int
    facts: tuple[float, float]  # fewest and most facts of a document, drawn log-uniformly; of a stream: by row, see portion()
    questions: int  # per document
    stream: bool = False
    speeches: tuple[float, float] | None = None  # fewest and most lines that somebody says; None: a few
    shortest: int | None = None  # segments of the shortest batch, if they differ: so many, twice as many, ... to `segments`
    stories: tuple[int, int] | None = None  # fewest and most bAbI stories of a document, instead of facts
    strangers: int = 0  # questions per document, in addition, of other documents and of sections that do not tell; 0: some
    told: tuple[int, int] | None = None  # fewest and most sentences of such a story; None: also those of the files, as they are


STAGES = {
    "dense": Stage(64, 8, (4, 10), 10),
    "2k": Stage(128, 16, (6, 20), 16),
    "4k": Stage(256, 16, (8, 48), 32),
    "8k": Stage(256, 32, (8, 80), 56),
    "16k": Stage(256, 64, (8, 96), 80),
    "64k": Stage(256, 255, (8, 128), 128),
    # Who said a line is what novels give most questions for: as short texts full of such lines first, then longer ones.
    "talk-512": Stage(64, 8, (1, 2), 10, speeches=(2, 5)),
    "talk-2k": Stage(256, 8, (2, 8), 32, speeches=(8, 32)),
    "talk-8k": Stage(256, 32, (4, 32), 64, speeches=(8, 64)),
    "stream": Stage(256, 32, (0.04, 3), 24, stream=True),
    # Who is where by now, and with what: drawn where there are files of stories. Many are asked of a section of the text that
    # has been read as a whole: to know in it where the milk is, what is written when John moves must tell what he carries.
    # In segments as the model reads.
    "babi-512": Stage(256, 2, (0, 0), 16, strangers=8, stories=(1, 2), told=(2, 12)),
    "babi-2k": Stage(256, 8, (0, 0), 28, strangers=14, stories=(1, 3), told=(4, 30)),
    "babi": Stage(256, 64, (0, 0), 24, shortest=8, stories=(1, 4)),
}
# Share of the run at which a stage begins to be drawn, and the weights with which the stages are drawn then.
CURRICULUM = (
    (0.00, {"dense": 1.0}),
    (0.16, {"dense": 0.25, "2k": 0.75}),
    (0.30, {"dense": 0.10, "2k": 0.30, "4k": 0.60}),
    (0.42, {"dense": 0.05, "2k": 0.15, "4k": 0.25, "8k": 0.55}),
    (0.58, {"dense": 0.03, "2k": 0.10, "4k": 0.17, "8k": 0.30, "16k": 0.40}),
    # A book is kept in many sections, so that what a question meets is mostly the crowd of 1K to 16K tokens.
    (0.75, {"dense": 0.03, "2k": 0.14, "4k": 0.14, "8k": 0.14, "16k": 0.09, "64k": 0.03, "talk-512": 0.05, "talk-2k": 0.10, "talk-8k": 0.10,
            "stream": 0.06, "babi-512": 0.03, "babi-2k": 0.03, "babi": 0.09}),
)


def stage_at(progress: float, rng: random.Random, stories: bool = False) -> str:
    """stories: whether there are any; without them the others' weights keep their proportions."""
    weights = [{name: w for name, w in stages.items() if stories or not STAGES[name].stories} for at, stages in CURRICULUM if progress >= at][-1]
    return rng.choices(list(weights), list(weights.values()))[0]
