"""A made-up folder of measure_gpu.sh gives the tables and the plot; what was not measured leaves them as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))
import performance_tables as tables  # noqa: E402

BENCH = """model random-8b
device NVIDIA H200, bf16
room NVIDIA H200: needs 19.3 GB, 149.6 GB free.
load_s 2
perplexity 306413
reading_tokens_per_s {reading}
products_tokens_per_s 50000
products_gflops 700000
share_of_products 0.8
reading_tokens_per_s until 16384: 40000
reading_tokens_per_s until 1048576: 39500
pass_rows 2000
pass_ms linear 28672 x 4096: 20
pass_ms localAttention: 4
pass_ms linearAdd 4096 x 14336: 10
pass_ms memoryWrite: 1.5
pass_ms linear 2048 x 4096: 0.05
pass_ms embed: 0.5
sections 1
first_token_ms 35
answer_tokens_per_s 200
answer_gb_per_s 3200
tokens_read 300591
memory_bytes 16908288
weight_bytes {weights}
"""
CONFIG = {"num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
          "vocab_size": 128256, "infini_attention": {"memory_heads": 8, "memory_kv_heads": 8, "memory_head_dim": 128, "segment_length": 2048}}
PAGE = "before\n<!-- figures: {name} -->\nas it was\n<!-- /figures -->\nafter\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "full.txt").write_text(BENCH.format(reading=40000, weights=16000000000))
    (tmp_path / "int4.txt").write_text(BENCH.format(reading=35000, weights=4400000000))
    (tmp_path / "fp8.txt").write_text("model random-8b\n")  # it was broken off
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "machine.txt").write_text("cpu Some CPU, 2 cores\ncard NVIDIA H200, 580\n")
    (tmp_path / "parts.csv").write_text("full,1000,1060\nfull,2000,2060\n")  # measured again
    lines = [f"{second},{70000 if second < 2006 else 71000},{5 if second < 2006 else 99},1600,650.5" for second in range(1000, 2070)]
    (tmp_path / "card.csv").write_text("\n".join([*lines, "2030,[N/A],1,1,1", "20"]))
    (tmp_path / "usual.json").write_text(json.dumps({
        "torch": "2", "transformers": "5", "read_gb_per_second": 4000.0,
        "reading": [{"tokens": 8192, "tokens_per_second": 20000, "peak_gb": 20.0, "decoding_eager": 30.0}, {"tokens": 262144, "error": "OutOfMemoryError: no"}],
        "generating": [{"compiled": "as transformers does", "tokens": 8192, "tokens_per_second": 150.0}]}))
    return tmp_path


def test_tables_are_what_the_folder_holds(folder):
    figures = tables.gather(folder)
    assert list(figures["bench"]) == ["full", "int4"]
    assert tables.reading(figures).splitlines()[2:] == ["| 8B, bf16 | 40.0K | 50.0K | 700 | 0.80 | 0.72 |", "| 8B, int4 | 35.0K | 50.0K | 700 | 0.80 | 0.63 |"]
    assert tables.stretches(figures).splitlines()[::2] == ["| tokens/s up to token | 16K | 1M |", "| 8B, bf16 | 40.0K | 39.5K |"]
    assert tables.card(figures).splitlines()[2:] == ["| 8B, bf16 | 50 | 99 % (99 %) | 74.45 | 1600 MHz | 650 W |"]
    assert tables.decoding(figures).splitlines()[2] == "| 8B, bf16 | 200 | 16.00 | 3.20 | 0.80 | 35 | 2.0 |"
    assert tables.usual(figures).splitlines()[2:] == ["| 8K | 20.0K | 20.0 | 30 | 2.0 |", "| 256K | OutOfMemoryError | | | |"]
    assert "| 150 |" in tables.generating(figures)
    assert tables.machine(figures) == "NVIDIA H200, 580; Some CPU, 2 cores; torch 2, transformers 5.\n"
    first, *_, last = tables.of_a_pass(figures).splitlines()[2:]
    assert first.startswith("| linear 28672 x 4096 | 20.00 | 20.00 | 0.555 | 728.1 |") and last == "| all | 36.0 | 36.0 | 1 | | |"
    assert tables.filled(PAGE.format(name="cpu"), figures) == PAGE.format(name="cpu")  # not measured
    once = tables.filled(PAGE.format(name="stretches"), figures)
    assert once == PAGE.format(name="stretches").replace("as it was\n", tables.stretches(figures)) and tables.filled(once, figures) == once


def test_work_and_bytes_of_operations_are_counted(folder):
    counted = tables.operations(tables.gather(folder), "full")
    assert counted["linear 28672 x 4096"][0] == 31 * 2 * 2000 * 28672 * 4096  # the last layer only writes
    assert counted["linear 2048 x 4096"][0] == 2 * 2000 * 2048 * 4096
    assert counted["localAttention"][0] == 31 * 32 * (2000 * 2001 / 2) * 4 * 128
    assert counted["linear 28672 x 4096"][1] == 31 * 2 * (28672 * 4096 + 2000 * (4096 + 28672))
    assert "embed" not in counted


def test_the_plot_is_drawn_and_what_it_needs_kept(folder, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(name="summary"))
    arguments = ["--write", str(page), "--plot", str(tmp_path / "roof.svg"), "--keep", str(tmp_path / "kept.json")]
    monkeypatch.setattr(sys, "argv", ["performance_tables.py", str(folder), *arguments])
    tables.main()
    drawn, said = (tmp_path / "roof.svg").read_text(), page.read_text()
    for name in ("products alone, bf16: 700 TFLOP/s", "memory: 4.00 TB/s", "reading, bf16", "answering, int4", "transformers reads 8K", "transformers answers"):
        assert name in drawn
    assert "| 8B, bf16 | 40.0K tokens/s | 0.80 | 200 tokens/s | 2.0 s |" in said
    monkeypatch.setattr(sys, "argv", ["performance_tables.py", str(tmp_path / "kept.json"), *arguments])
    tables.main()
    assert page.read_text() == said and (tmp_path / "roof.svg").read_text() == drawn


@pytest.mark.parametrize("file", ["README.md", "docs/performance.md"])
def test_the_documents_show_what_was_kept(file):
    text = (ROOT / file).read_text()
    assert "<!-- figures: " in text
    assert tables.filled(text, json.loads(tables.FIGURES.read_text())) == text  # if not: performance_tables.py docs/figures/performance.json --write


def test_a_part_that_fails_does_not_stop_the_others(tmp_path):
    bench, model = tmp_path / "bench", tmp_path / "model"
    bench.write_text('#!/bin/sh\necho "load_s 1"\ncase "$*" in *fp8*) echo "The card has no fp8." >&2; exit 1;; esac\necho "weight_bytes 2"\n')
    bench.chmod(0o755)
    model.mkdir()
    (model / "config.json").write_text("{}")
    done = subprocess.run([ROOT / "training" / "measure_gpu.sh", bench, tmp_path / "out", model], capture_output=True, text=True,
                          env=os.environ | {"PARTS": "shipped-cpu full fp8 int8", "PYTHON": sys.executable, "DEVICE": "cpu"})
    assert done.returncode == 1 and "failed: fp8 (" in done.stderr and "The card has no fp8." in done.stderr
    assert (tmp_path / "out" / "fp8.txt").read_text() == "load_s 1\n"  # what it had said
    assert [line.split(",")[0] for line in (tmp_path / "out" / "parts.csv").read_text().splitlines()] == ["shipped-cpu", "full", "fp8", "int8"]
    assert list(tables.gather(tmp_path / "out")["bench"]) == ["shipped-cpu", "full", "int8"]
