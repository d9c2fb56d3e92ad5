"""Any Llama gets memory heads: what a conversion leaves alone, what it learns, how it goes on, and what it refuses."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from palimpsest_training import convert, llama_folder
from palimpsest_training.export import load_model
from palimpsest_training.head_batches import HeadBatches, Vocabulary, open_books
from palimpsest_training.head_training import HeadLosses
from palimpsest_training.llama_folder import FolderError
from palimpsest_training.model import InfiniLlama
from palimpsest_training.losses import Losses
from palimpsest_training.train import to_device

ROOT = Path(__file__).resolve().parents[2]
TOKENIZERS = ROOT / "tests" / "data" / "tokenizers"
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
SMALL = ["--memory-heads", "4", "--memory-kv-heads", "2", "--memory-head-dim", "16", "--segment-length", "64", "--tokens", "8192", "--workers", "1",
         "--dtype", "float32", "--device", "cpu", "--steps", "8", "--stages", "dense", "2k", "stream", "--log-seconds", "0"]


def write_base(folder: Path, tokenizer: str = "llama3_style", **changed) -> Path:
    """A plain Llama with random weights as transformers writes it: grouped queries, untied, Llama 3's scaling, sharded."""
    made = Tokenizer.from_file(str(TOKENIZERS / f"{tokenizer}.json"))
    torch.manual_seed(1)
    numbers = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                   vocab_size=made.get_vocab_size() + 8, max_position_embeddings=512, tie_word_embeddings=False, bos_token_id=1, eos_token_id=[2, 5],
                   rope_parameters=LLAMA3)
    LlamaForCausalLM(LlamaConfig(**numbers | changed)).save_pretrained(folder, max_shard_size="60KB")
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "chat_template": "{{ messages }}"}))
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the same bits in every process
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(3)
    people = ["Ramona", "Felipe", "Alessandro", "Margarita"]
    for i in range(20):  # of which some are held out by their names
        a, b = rng.sample(people, 2)
        lines = [rng.choice([f'"We shall see what comes of number {rng.randint(1, 10**6)}," said {a}.', "The wind was cold. Nobody spoke; the fire was low.",
                             f"In the morning {a} walked with {b} to Temecula, and there they talked of sheep and shearing."]) for _ in range(150)]
        (folder / f"tale_{i}.txt").write_text("\n\n".join(lines))
    return folder


def command(base, books, out, *more) -> list[str]:
    return ["--base", str(base), "--data", str(books), "--out", str(out), *SMALL, *map(str, more)]


def run(*arguments) -> None:
    convert.Run(convert.parser().parse_args(command(*arguments))).train()


def log_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "conversion.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(base, books, tmp_path_factory):
    """A run without interruption, with an evaluation on the way."""
    out = tmp_path_factory.mktemp("whole") / "model"
    run(base, books, out, "--eval-documents", 2, "--eval-tokens", 300, "--eval-steps", 4)
    return out


def test_the_base_is_read_as_transformers_reads_it(base):
    config, device = llama_folder.read_config(base), torch.device("cpu")
    model = llama_folder.meta_model(config, torch.float32)
    llama_folder.materialise(model, llama_folder.base_weights(llama_folder.checked_files(base, config), device), llama_folder.new_heads(1), device)
    theirs = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.randint(3, 400, (1, 300))
    with torch.no_grad():
        torch.testing.assert_close(model.head(model.read_and_ask(ids.unsqueeze(0), None)[0][0]), theirs(ids).logits, rtol=1e-3, atol=1e-4)


def test_the_base_stays_bit_identical(whole, base):
    evaluations = [e["evaluation"] for e in log_of(whole) if "evaluation" in e]
    assert len(evaluations) == 2 and all(e["base_bit_identical"] and e["base_difference"] == 0 for e in evaluations)
    assert all({"exact", "zeroed", "swapped"} <= e.keys() for e in evaluations)
    for file in base.glob("*.safetensors"):
        assert (whole / file.name).read_bytes() == file.read_bytes()


def test_heads_learn(base, books, tmp_path):
    out = tmp_path / "model"
    run(base, books, out, "--eval-documents", 0, "--tokens", 1024, "--stages", "dense", "--steps", 30)
    packed = open_books([books], convert.SHIPPED, out / "checkpoints", True, held_out=True)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    batch = to_device(HeadBatches(packed, Vocabulary(tokenizer, 1, 2), 64, 9, 0, 4096).batch(0, 0.0, ["dense"])[1], "cpu")
    with torch.no_grad():  # the same unseen documents
        before, after = (HeadLosses(load_model(folder), False, 1.0)(batch) for folder in (base, out))
    assert after[0] < before[0] - 0.05 and after[1] < before[1] - 0.05  # prose, answers


def test_the_folder_loads(whole, base):
    heads = load_file(whole / "memory_heads.safetensors")
    assert len(heads) == 8 and all(w.dtype == torch.bfloat16 for w in heads.values())
    model = load_model(whole)
    for name, w in heads.items():
        assert torch.equal(model.state_dict()[name], w.float()) and w.abs().sum() > 0
    config = json.loads((whole / "config.json").read_text())
    infini = config.pop("infini_attention")
    assert config == json.loads((base / "config.json").read_text())
    assert (infini["memory_heads"], infini["memory_kv_heads"], infini["memory_head_dim"], infini["segment_length"]) == (4, 2, 16, 64)
    assert "chat_template" not in json.loads((whole / "tokenizer_config.json").read_text())


def test_a_killed_run_ends_with_the_same_bits(whole, base, books, tmp_path):
    out = tmp_path / "model"
    arguments = command(base, books, out, "--eval-documents", 0, "--save-steps", 3)
    killed = subprocess.Popen([sys.executable, "-m", "palimpsest_training.convert", *arguments], cwd=ROOT / "training", stdout=subprocess.DEVNULL,
                              env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, start_new_session=True)
    until = time.time() + 120
    while not (out / "checkpoints" / "step-00000003").exists():
        assert killed.poll() is None and time.time() < until, killed.stderr.read().decode()
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (out / "memory_heads.safetensors").exists()
    run(base, books, out, "--eval-documents", 0, "--save-steps", 3, "--resume")
    assert (out / "memory_heads.safetensors").read_bytes() == (whole / "memory_heads.safetensors").read_bytes()
    steps = [e["step"] for e in log_of(out) if "losses" in e]
    assert sorted(set(steps)) == list(range(1, 9)) and len(list((out / "checkpoints").glob("step-*"))) == 2


def test_heads_only_where_they_are_asked_for(base, books, tmp_path):
    out = tmp_path / "model"
    run(base, books, out, "--memory-layers", 1, "--memory-value-dim", 12, "--eval-documents", 0, "--steps", 2)
    assert len(load_file(out / "memory_heads.safetensors")) == 4
    assert json.loads((out / "config.json").read_text())["infini_attention"]["memory_heads"] == [0, 4]
    assert json.loads((out / "config.json").read_text())["infini_attention"]["memory_value_dim"] == [0, 12]
    assert [layer.has_memory_heads for layer in load_model(out).model.layers] == [False, True]
    with pytest.raises(FolderError, match="made with memory_layers = \\[1\\], not None"):
        run(base, books, out, "--memory-value-dim", 12, "--eval-documents", 0, "--steps", 2, "--resume")
    with pytest.raises(FolderError, match="made with memory_value_dim = 12, not 16"):
        run(base, books, out, "--memory-layers", 1, "--eval-documents", 0, "--steps", 2, "--resume")
    with pytest.raises(FolderError, match="no layer 2 to have memory heads"):
        run(base, books, tmp_path / "other", "--memory-layers", 2)


def under_torchrun(base, books, out, *more) -> str:
    arguments = command(base, books, out, "--eval-documents", 0, "--tokens", 1024, "--stages", "dense", "--steps", 3, *more)
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "palimpsest_training.convert",
                           *arguments], cwd=ROOT / "training", env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_processes_make_one_model_spread_over_both_or_not(base, books, tmp_path):
    whole, spread = tmp_path / "ddp", tmp_path / "fsdp"
    assert "2 ranks (ddp)" in under_torchrun(base, books, whole, "--parallel", "ddp")
    assert "2 ranks (fsdp)" in under_torchrun(base, books, spread, "--parallel", "fsdp")
    heads = [load_file(out / "memory_heads.safetensors") for out in (whole, spread)]
    for name, w in heads[0].items():
        assert w.abs().sum() > 0
        torch.testing.assert_close(w, heads[1][name], rtol=0.05, atol=2e-3)
    (spread / "memory_heads.safetensors").unlink()
    assert "going on from step 3" in under_torchrun(base, books, spread, "--parallel", "fsdp", "--resume", "--steps", 4)
    assert load_model(spread).c.memory_heads == 4
    entries = log_of(whole) + log_of(spread)
    assert entries[-1]["step"] == 4 and all(e["evaluation"]["base_bit_identical"] for e in entries if "evaluation" in e)


def test_losses_in_chunks_and_layers_computed_twice_change_nothing(base):
    config = replace(llama_folder.read_config(base), memory_heads=2, memory_kv_heads=1, memory_head_dim=8)
    torch.manual_seed(2)
    model = InfiniLlama(config)
    for name, p in model.named_parameters():
        p.requires_grad_(".memory_" in name)
        if name.endswith("memory_o_proj.weight"):
            torch.nn.init.normal_(p, std=0.1)
    ids = torch.randint(3, 400, (2, 3, 9))
    batch = dict(segments=ids, write=torch.ones_like(ids, dtype=torch.bool), labels=ids.roll(-1, 2), questions=ids[:, :2], answers=ids[:, :2].roll(-1, 2),
                 reads_from=torch.full((2, 2), 3))

    def gradients(losses, checkpointed):
        for layer in model.model.layers:
            layer.checkpointed = checkpointed
        model.zero_grad()
        lm, answer = losses(batch)
        (lm + answer).backward()
        return float(lm.detach()), {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}

    lm, plain = gradients(Losses(model, False, 1.0), False)
    again, cheap = gradients(HeadLosses(model, False, 1.0), True)
    assert lm == pytest.approx(again, rel=1e-5)
    for name in plain:
        torch.testing.assert_close(plain[name], cheap[name], rtol=1e-4, atol=1e-6)


def edited(base: Path, folder: Path, **fields) -> Path:
    """A copy of the base whose config says something else."""
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((base / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def refusal(base, books, out, *more) -> str:
    with pytest.raises(FolderError) as refused:
        run(base, books, out, *more)
    return str(refused.value)


def test_packed_books_that_are_trained_on_are_not_the_held_out_ones(base, books, whole, tmp_path, capsys):
    packed = max((whole / "checkpoints").glob("books-*.npz"), key=lambda file: file.stat().st_size)
    run(base, packed, tmp_path / "model", "--eval-documents", 1, "--eval-tokens", 200, "--steps", 1, "--tokens", 1024, "--stages", "dense")
    assert "No book is held out" in capsys.readouterr().out


def test_folders_that_cannot_be_used_are_refused_in_a_sentence(base, books, whole, tmp_path):
    out = tmp_path / "out"
    assert "There is no folder" in refusal(tmp_path / "nothing", books, out)
    (tmp_path / "empty").mkdir()
    assert "no config.json" in refusal(tmp_path / "empty", books, out)
    assert "is no Llama: its architecture is GPTNeoXForCausalLM" in refusal(edited(base, tmp_path / "neox", architectures=["GPTNeoXForCausalLM"]), books, out)
    assert "attention_bias = True" in refusal(edited(base, tmp_path / "bias", attention_bias=True), books, out)
    assert "quantised" in refusal(edited(base, tmp_path / "int4", quantization_config={"quant_method": "gptq"}), books, out)
    assert "rope type is yarn" in refusal(edited(base, tmp_path / "yarn", rope_parameters={"rope_type": "yarn", "rope_theta": 1e4}), books, out)
    assert "has memory heads already" in refusal(whole, books, out)
    assert "where config.json asks for [128, 64]" in refusal(edited(base, tmp_path / "wide", intermediate_size=128), books, out)
    assert "has no tensor model.layers.2" in refusal(edited(base, tmp_path / "deep", num_hidden_layers=3), books, out)
    lacking = edited(base, tmp_path / "lacking")
    next(lacking.glob("model-00002*")).unlink()
    assert "lacks the file model-00002" in refusal(lacking, books, out)
    broken = edited(base, tmp_path / "broken")
    next(broken.glob("model-00001*")).write_bytes(b"nothing")
    assert "cannot be read as safetensors" in refusal(broken, books, out)
    (untold := edited(base, tmp_path / "untold")).joinpath("tokenizer.json").unlink()
    assert "no tokenizer.json" in refusal(untold, books, out)
    whole_numbers = edited(base, tmp_path / "whole-numbers")
    for file in whole_numbers.glob("*.safetensors"):
        save_file({n: w.to(torch.int8) for n, w in load_file(file).items()}, file)
    assert "is of type I8" in refusal(whole_numbers, books, out)
    assert not out.exists()


def test_wrong_numbers_and_data_are_refused_in_a_sentence(base, books, whole, tmp_path):
    out = tmp_path / "out"
    assert "3 memory heads cannot share 2" in refusal(base, books, out, "--memory-heads", 3)
    assert "--segment-length 512 must be" in refusal(base, books, out, "--segment-length", 512)
    assert "There is no data at" in refusal(base, tmp_path / "no-books", out)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "h_g_wells_the_time_machine.txt").write_text("The Time Traveller was expounding.")
    assert "No book is left to train on" in refusal(base, tmp_path / "one", out)
    assert "There is no stage 64k" in refusal(base, books, out, "--stages", "64k")
    assert "holds an earlier run" in refusal(base, books, whole)
    assert "was made with seed = 1, not 2" in refusal(base, books, whole, "--resume", "--seed", 2)
    assert "another folder than --base" in refusal(base, books, base)


def test_the_command_says_what_is_wrong_and_nothing_else(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["convert", *command(tmp_path / "nothing", tmp_path, tmp_path / "out")])
    with pytest.raises(SystemExit) as end:
        convert.main()
    assert str(end.value).startswith("convert: There is no folder")


CLI = ROOT / "build" / "release" / "app" / "palimpsest-cli"


@pytest.mark.skipif(not CLI.exists(), reason="the program has not been built")
def test_the_engine_reads_and_asks_with_the_converted_folder(whole, tmp_path):
    book = tmp_path / "tale.txt"
    book.write_text("Anna was born in Milford. " * 60)
    cli = lambda *words: subprocess.run([CLI, "--model", whole, "--db", tmp_path / "library.db", *words], capture_output=True, text=True)
    for words in (("read", book), ("ask", "1", "Where was Anna born?")):
        done = cli(*words)
        assert done.returncode == 0, done.stdout + done.stderr
