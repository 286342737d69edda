"""Mistakes on the command line: one clear line with the way out, fast, before anything is made."""

import os
import re
import resource
import subprocess
import sys

import numpy as np
import pytest

from mla_train.commands.train import main
from tests.helpers import ROOT, train

MISTAKES = {
    "epohcs=3": ["Did you mean epochs?"],
    "encoder.dpeth=3": ["encoder.dpeth", "Did you mean encoder.depth"],
    "kv_lora_rank=3": ["Did you mean attention.kv_lora_rank?"],
    "task.poling=mean": ["task.poling", "Did you mean task.pooling"],
    "data.rot=x": ["data.rot", "split_seed"],
    "encoder=tinny": ["Did you mean tiny? All: base, shallow, small, tiny."],
    "task=image_clasification": ["Did you mean image_classification?"],
    "task=tickets": ["Choose from causal_lm, ", "translation.\n"],
    "task.name=Wear (µm)": ["twice: 'key=\"a (b)\"'"],
    "regularization=[light,strnog]": ["Did you mean strong?"],
    "lr=abc": ["lr: Value 'abc' of type 'str' could not be converted to Float"],
    "task.pooling=men": ["task.pooling", "'men'", "[mean, cls, attention]"],
    "regularization.dropout=1.5": ["regularization.dropout=1.5", "below 1"],
    "encoder.num_heads=3": ["encoder.dim=128 must be a multiple of encoder.num_heads=3"],
    "hardware.precision=bf16": ["hardware.precision=bf16", "16-mixed, 32-true, auto, bf16-mixed"],
    "epochs=0": ["epochs=0", "1 or more"],
    "attention.kv_lora_rank=0": ["attention.kv_lora_rank=0", "1 or more"],
    "attention.pattern=windows": ["attention.pattern", "[global, window, local_global, strided, topk]"],
    "optimizer.beta1=2": ["optimizer.beta1=2", "below 1"],
    "hardware.devices=abc": ["hardware.devices=abc", "a number from 1, or auto"],
    "encoder.mlp_ratio=0": ["encoder.mlp_ratio=0", "positive"],
    "encoderr=tiny": ["Did you mean encoder?"],
    "task=text_classification task.convolutions=[0]": ["task.convolutions", "1 or more"],
    "task=text_classification data=sst2 data.val_share=2": ["data.val_share=2", "between 0 and 1"],
    "task=text_classification data.tokens=words": ["data.tokens", "[auto, bpe, word, char]"],
    "task=text_classification data=digits": ["data=digits", "use task=image_classification"],
    "task=null": ["task=, data="],
    "data=torchvision": ["data.dataset=VALUE"],
    "run_dir=/dev/null/x": ["/dev/null is a file, not a folder"],
    "resume=nowhere": ["there is no run in that folder"],
    "hardware=fsdp": ["hardware.strategy=fsdp", "set regularization.ema_decay=0"],
    "hardware.compile=true regularization=drophead": ["regularization.drop_heads", "set hardware.compile=false"],
    "regularization.average_epochs=3": ["regularization.average_epochs=3", "set one of them to 0"],
    "regularization.average_epochs=99 regularization.ema_decay=0": ["regularization.average_epochs=99", "epochs=60"],
    "regularization.average_epochs=2 regularization.ema_decay=0 regularization.early_stopping=3": [
        "regularization.average_epochs",
        "set regularization.early_stopping=0",
    ],
    "task=translation task.model=seq2seq task.decoder.depth=2": ["task.decoder", "task.model=transformer"],
    "trainer.devices=2": ["trainer.devices", "use hardware.devices"],
    "trainer.limit_trian_batches=2": ["trainer.limit_trian_batches", "Did you mean limit_train_batches?"],
    "checkpoint.minutes=1": ["Did you mean checkpoint.every_minutes?"],
    "hardware.accumulate=2": ["Did you mean hardware.accumulate_grad_batches?"],
    "task.halvings=1": ["Did you mean task.downsample_log2?"],
    "task=multimodal_sentiment task.alone=1": ["Did you mean task.unimodal_loss_weight?"],
    "task=multimodal_sentiment task.term_dim=1": ["Did you mean task.tfidf_dim?"],
    "task=text_classification data.terms=1": ["Did you mean data.tfidf_features?"],
    "sweep=quick": ["python scripts/sweep.py sweep=default"],
    "--epochs": ["unknown flag --epochs"],
    "epochs": ["options are written key=value"],
    "--config-dir=nowhere": ["--config-dir nowhere"],
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_with_the_way_out(words, tmp_path):
    done = train(*words.split(), cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert all(part in done.stderr for part in MISTAKES[words]), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    command = f"{sys.executable} {ROOT / 'train.py'} --help | head -1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.parametrize("words", ["hardware=ddp", "hardware.devices=2"])
def test_multirun_with_several_processes_is_refused(words, tmp_path):
    done = train("-m", words, "seed=0,1", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "-m cannot be combined with" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["epohcs=3"], ["lr=abc"]])
def test_answers_do_not_wait_for_torch(words, tmp_path):
    # torch alone takes seconds to import: what it is not loaded for is known to be fast, whatever the machine.
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit('torch was imported')")
    times = [cpu_seconds_of_children()]
    for _ in range(3):
        done = train(*words, cwd=tmp_path, check=False, env={"PYTHONPATH": str(tmp_path)})
        times.append(cpu_seconds_of_children())
        assert "torch was imported" not in done.stderr + done.stdout
    assert min(np.diff(times)) < 2


def cpu_seconds_of_children():
    """Time that ended processes have computed, which does not depend on what else runs on the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_lists_every_choice_and_key(tmp_path):
    text = train("--help-all", cwd=tmp_path).stdout
    for group in (folder for folder in (ROOT / "conf").iterdir() if folder.is_dir()):
        if group.name not in ("hydra", "sweep"):  # Hydra's and those of scripts/sweep.py
            names = [file.relative_to(group).with_suffix("").as_posix() for file in group.rglob("*.yaml")]
            assert all(re.search(rf"\b{group.name}: [^:]*\b{name}\b", text) for name in names)
    for key in ("run_dir=null", "seed=0", "epochs=60", "batch_size=64", "lr=0.002", "attention.kv_lora_rank=null"):
        assert f"  {key} " in text


def test_help_says_what_options_mean_with_the_choices_given(tmp_path):
    text = train("--help-all", "task=translation", "encoder=base", "lr=0.5", cwd=tmp_path).stdout
    assert re.search(r"^  encoder\.dim=256 +Width of the residual stream\.$", text, re.MULTILINE)
    assert re.search(r"^  lr=0\.5 +Peak learning rate\.$", text, re.MULTILINE)
    assert re.search(r"^  task\.decoder\.depth=null +Number of blocks; null is the encoder's\.$", text, re.MULTILINE)
    assert re.search(r"^  data\.tokens=bpe +.*\[auto, bpe, word, char\]$", text, re.MULTILINE)
    wrong = train("--help", "encoder=tinny", cwd=tmp_path, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Did you mean tiny?" in wrong.stderr


def test_help_is_one_screen_and_explains_a_key(tmp_path):
    text = train("--help", "task=translation", cwd=tmp_path).stdout
    assert len(text.splitlines()) <= 50
    assert all(word in text for word in ("toolbox/*", "  epochs=8 ", "  encoder.dim=64 ", "--help-all"))
    text = train("--help", "attention.pattern", "--config-dir", ".", cwd=tmp_path).stdout
    assert re.fullmatch(r"  attention\.pattern=global +Which tokens attend .*\n( {40}.*\n)*", text)
    text = train("task=translation", "--help", "task.decoder", cwd=tmp_path).stdout
    assert {line.split("=")[0].strip() for line in text.splitlines() if "=" in line} >= {"task.decoder.depth"}
    assert "encoder.dim" not in text
    text = train("--help", "data.user_column", cwd=tmp_path).stdout  # of another data set
    assert text.startswith("An option of data=event_files:\n  data.user_column=null")
    other = train("data.look_back=3", cwd=tmp_path, check=False).stderr
    assert "unknown key data.look_back: it is an option of data=series_csv" in other
    assert "; those of data here: " in other
    assert "split_seed" in other
    wrong = train("--help", "attention.patern", cwd=tmp_path, check=False)
    assert "Did you mean attention.pattern?" in wrong.stderr


def test_no_gpu_is_said_with_the_way_out(tmp_path):
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    done = train("hardware=gpu", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "Use hardware=cpu" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_command_leaves_the_environment_as_it_was(monkeypatch, tmp_path):
    """Else every later command of this process would show tracebacks."""
    monkeypatch.setattr(sys, "argv", ["train.py", f"resume={tmp_path}"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit):
        main()
    assert "HYDRA_FULL_ERROR" not in os.environ
