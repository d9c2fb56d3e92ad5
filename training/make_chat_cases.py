"""Writes tests/data/chat_cases.json: chats as apply_chat_template of transformers renders them with real templates.

    python training/make_chat_cases.py FOLDER

FOLDER holds, by the names below, the chat templates of the models, as they stand in "chat_template" of their
tokenizer_config.json. They are not kept here: they belong to their models, and the engine only knows their forms.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

CASES = Path(__file__).resolve().parent.parent / "tests" / "data" / "chat_cases.json"
BOS, EOS = "<s>", "</s>"  # those of the tiny model, with which the engine's tests write the same chats

# File, form that the engine should see in it, special tokens of the form that its tokenizer has, and whether the
# tokenizer is one of SentencePiece, which puts a space before each text.
TEMPLATES = [
    ("llama-3-instruct.jinja", "llama3", ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], False),
    # Not 3.2 and later: where they are asked for the date they give today's, and the engine the default of them all.
    ("llama-3.1-instruct.jinja", "llama3.1", ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], False),
    ("mistral-7b-instruct-v0.2.jinja", "mistral", [], False),
    ("mistral-7b-instruct-v0.3.jinja", "mistral", ["[INST]", "[/INST]"], True),
    ("mistral-nemo-instruct-2407.jinja", "mistral", ["[INST]", "[/INST]"], False),
    ("chatml.jinja", "chatml", ["<|im_start|>", "<|im_end|>"], False),
    ("qwen2.5-instruct.jinja", "qwen2.5", ["<|im_start|>", "<|im_end|>"], False),
    ("smollm2-instruct.jinja", "smollm2", ["<|im_start|>", "<|im_end|>"], False),
]

# Earlier turns, then the question.
CHATS = [
    ([], "Who is Weena?"),
    ([("What is it?", "A machine.")], "Who built it?"),
    ([("What is it?", "A machine."), ("Whose?", "His:\n\n* the Time Traveller's\n* nobody else's")], "\u201cWhen\u201d was it,\nin 1895 or 802701?"),
]


def render(template: str, turns: list[tuple[str, str]], question: str) -> str:
    messages = []
    for asked, answered in turns:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    messages.append({"role": "user", "content": question})
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token=BOS, eos_token=EOS)
    return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)


def main() -> None:
    folder = Path(sys.argv[1])
    cases = []
    for name, form, special, leading_space in TEMPLATES:
        template = (folder / name).read_text()
        for turns, question in CHATS:
            cases.append(
                {
                    "template": name.removesuffix(".jinja"),
                    "form": form,
                    "special": special,
                    "leading_space": leading_space,
                    "turns": turns,
                    "question": question,
                    "text": render(template, turns, question),
                }
            )
    CASES.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
