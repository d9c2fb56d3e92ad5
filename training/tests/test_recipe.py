"""The whole recipe at tiny sizes on the CPU: it must run, learn, and leave a folder that others can load."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from palimpsest_training.corpus import is_held_out
from palimpsest_training.export import export, load_folder, load_model

TRAINING = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    books, out = tmp_path_factory.mktemp("books"), tmp_path_factory.mktemp("out")
    rng = random.Random(1)
    nouns, verbs = "river house garden letter horse window captain winter road fire".split(), "saw left found kept followed remembered".split()
    for i in range(40):  # enough names that some fall to the held-out side
        people = [rng.choice("Anna Peter Mark Julia Clara Hugh".split()) for _ in range(3)]
        sentences = [f"The {rng.choice(nouns)} {rng.choice(verbs)} the {rng.choice(nouns)}, and {rng.choice(people)} {rng.choice(verbs)} it." for _ in range(700)]
        for k in range(0, 700, 5):
            sentences[k] = f'"We {rng.choice(verbs)} the {rng.choice(nouns)} number {k}," said {rng.choice(people)}.'
        (books / f"book_{i}.txt").write_text("\n\n".join(" ".join(sentences[k : k + 5]) for k in range(0, 700, 5)))
    asked = [{"doc": f"tale {i}", "context": f"Once Hugh had {i} geese and a red hat.", "question": "What colour was the hat?", "answers": ["red"]}
             for i in range(20)]
    questions = tmp_path_factory.mktemp("qa") / "tales.jsonl"
    questions.write_text("\n".join(json.dumps(row) for row in asked))
    done = subprocess.run([TRAINING / "recipe.sh", books, out, questions], env=os.environ | {"TINY": "1", "PYTHON": sys.executable},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def test_recipe_leaves_every_file(recipe):
    folder = recipe[0] / "palimpsest-mini"
    for name in ("config.json", "generation_config.json", "model.safetensors", "memory_heads.safetensors", "tokenizer.json",
                 "tokenizer_config.json", "evaluation.json"):
        assert (folder / name).stat().st_size > 0, name


def test_no_held_out_book_is_trained_on(recipe):
    names = {side: [str(n) for n in np.load(recipe[0] / f"{side}.npz")["book_name"]] for side in ("train", "heldout")}
    trained = [n for n in names["train"] if n.endswith(".txt")]
    tales = [n.split(": ")[1] for n in names["train"] if not n.endswith(".txt")]  # split by their own names
    assert len(trained) > 20 and tales and names["heldout"]
    assert not any(is_held_out(n) for n in trained + tales)
    assert all(is_held_out(n) for n in names["heldout"])


def test_questions_of_people_stand_beside_the_mined_ones(recipe):
    packed = np.load(recipe[0] / "train.npz")
    assert "asked" in packed["mined_kind"] and "said" in packed["mined_kind"]
    assert "asked" not in np.load(recipe[0] / "heldout.npz")["mined_kind"]


def test_the_base_has_learned_something(recipe):
    out, log = recipe
    model = load_model(out / "base.pt")
    ids = torch.arange(2, 60).unsqueeze(0).unsqueeze(0)
    with torch.no_grad():
        hidden, _, _ = model.read_and_ask(ids, None)
    assert torch.isfinite(hidden).all()
    # 60 steps are enough to be far from the uniform guess, log(512) = 6.2
    from palimpsest_training.batches import BatchMaker
    from palimpsest_training.books import Books
    from palimpsest_training.losses import Losses
    from palimpsest_training.train import to_device
    from tokenizers import Tokenizer
    books = Books(Tokenizer.from_file(str(out / "tokenizer" / "tokenizer.json")), out / "heldout.npz")
    batch = to_device(BatchMaker(books, 9, 4096).base_batch(256), torch.device("cpu"))
    with torch.no_grad():
        lm, _ = Losses(model, False, 1.0).base(batch)
    assert float(lm) < 4.5


def test_memory_phase_leaves_the_base_alone(recipe, tmp_path):
    out = recipe[0]
    done = subprocess.run([sys.executable, "-m", "palimpsest_training.train", "--phase", "memory", "--data", out / "train.npz", "--tokenizer",
                           out / "tokenizer", "--init", out / "base.pt", "--out", tmp_path / "memory.pt", "--steps", "20", "--stages", "dense",
                           "--tokens", "2048", "--workers", "1", "--memory-heads", "2", "--memory-head-dim", "16"],
                          cwd=TRAINING, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    before = torch.load(out / "base.pt", weights_only=True)["weights"]
    after = torch.load(tmp_path / "memory.pt", weights_only=True)["weights"]
    for name, w in before.items():
        assert torch.equal(w, after[name]), name
    assert any(after[n].abs().sum() > 0 for n in after if n.endswith("memory_o_proj.weight"))


def test_a_run_goes_on_with_more_heads_in_fewer_layers(recipe, tmp_path):
    out, config = recipe[0], load_model(recipe[0] / "last.pt").c

    def go_on(*arguments):
        return subprocess.run([sys.executable, "-m", "palimpsest_training.train", "--phase", "all", "--data", out / "train.npz", "--tokenizer",
                               out / "tokenizer", "--init", out / "last.pt", "--out", tmp_path / "upper.pt", "--steps", "12", "--stages", "dense",
                               "stream", "--longest", "20000", "--crowd-share", "0.5", "--tokens", "2048", "--workers", "1", *arguments],
                              cwd=TRAINING, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)

    done = go_on("--memory-heads", "4", "--memory-layers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    upper = load_model(tmp_path / "upper.pt")
    assert (config.memory_heads, upper.c.memory_heads, upper.c.memory_layers) == (2, 4, [1])
    assert upper.model.layers[1].self_attn.memory_o_proj.weight[:, 2 * config.memory_head_dim :].any()  # the new heads have learned
    refused = go_on("--memory-layers", "2")
    assert refused.returncode == 1 and refused.stderr.strip().splitlines()[-1].startswith("train: There is no layer 2"), refused.stderr


def test_transformers_reads_the_exported_base(recipe, tmp_path):
    saved = torch.load(recipe[0] / "last.pt", weights_only=True)
    from palimpsest_training.config import ModelConfig
    export(ModelConfig(**saved["config"]), saved["weights"], recipe[0] / "tokenizer", tmp_path, "float32", "test")
    theirs = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, attn_implementation="eager").eval()
    ours = load_folder(tmp_path).eval()
    ids = torch.randint(2, 500, (1, 40))
    with torch.no_grad():
        hidden, _, _ = ours.read_and_ask(ids.unsqueeze(0), torch.ones(1, 1, 40, dtype=torch.bool))  # empty memory: the base alone
        torch.testing.assert_close(ours.head(hidden[0]), theirs(ids).logits, rtol=1e-3, atol=1e-4)


def test_int8_changes_little(recipe):
    exact, rounded = load_model(recipe[0] / "last.pt").eval(), load_folder(recipe[0] / "palimpsest-mini").eval()
    assert (rounded.c.sections, rounded.c.sure_doubt) == (128, 0.02)
    ids, write = torch.randint(2, 500, (1, 3, 40)), torch.ones(1, 3, 40, dtype=torch.bool)
    with torch.no_grad():
        a, b = (m.head(m.read_and_ask(ids, write)[0]).log_softmax(-1) for m in (exact, rounded))
    assert float((a.exp() * (a - b)).sum(-1).mean()) < 0.01  # nats
