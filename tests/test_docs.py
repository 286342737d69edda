"""The documents say what is true: their files and commands are taken out and run."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pyarrow.parquet
import pytest
import torch

from mla_train.commands import check_data, compare, evaluate, export, predict, runs, sweep
from mla_train.data.tables.source import OPENERS
from mla_train.training.run import run
from mla_train.training.run_folder import find_run
from scripts import imbalance, toolbox, wandb_workspace
from tests.helpers import (
    ROOT,
    config,
    number_pairs,
    python,
    train,
    write_aligned,
    write_captions,
    write_events,
    write_pairs,
    write_pictures,
    write_reviews,
    write_sequences,
    write_words,
)
from tests.helpers import example_results as results
from tests.helpers import hourly_table as table

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "tasks").glob("*/README.md"))]
# Commands that need what a test cannot have are composed, not run.
QUICK = ["debug=fast", "encoder=tiny", "batch_size=16"]
# What FOLDER stands for beside a name; else the pictures.
FOLDERS = {
    "trec": "text/trec6",
    "sst2": "text/sst2",
    "ag_news": "text/agnews_10k",
    "imdb": "text/imdb",
    "multi30k": "translation/multi30k_en_de",
    "ett": "forecasting",
    "mvsa": "multimodal/mvsa_single",
}
# How scripts are made short.
SHORT = {
    "decode": ["--lengths", "8", "16", "--dim", "32", "--heads", "2", "--rounds", "1"],
    "batches": ["--steps", "1", "--rounds", "1"],
    "patterns": ["--lengths", "64", "--rounds", "1"],
    "train": ["--lengths", "16", "--widths", "64", "--rounds", "1"],
    "infer": ["--lengths", "16", "--widths", "64", "--rounds", "1"],
    "grow": ["--lengths", "64"],
    "rows": ["--rows", "300", "--kinds", "series", "events"],
}
SAID = {
    "whole": "whole",
    "train": "project is faster",
    "infer": "project is faster",
    "grow": "array",
    "rows": "s of the processor",
}


def quick(words):
    """What makes a command short: few steps of a small network, few made sentences, few visual words."""
    made = "task=translation" in words and not any(word.startswith(("data=", "experiment=")) for word in words)
    drawn = "task=multimodal_sentiment" in words and not any(word.startswith("task.visual_words=") for word in words)
    bundled = "task=summarization" in words and not any(word.startswith("data=") for word in words)
    return [
        *QUICK,
        *["data.train_size=3000"] * made,
        *["data.packages=[networkx]"] * bundled,
        *["task.visual_words=16"] * drawn,
    ]


def blocks(document, language):
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


def commands(program="train.py"):
    for document in DOCUMENTS:
        for block in blocks(document, "bash"):
            joined = block.replace("\\\n", " ")
            for line in joined.splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["python"] and words[1].startswith(program):
                    yield pytest.param(document, words[1:], id=f"{document.relative_to(ROOT)}: {' '.join(words[1:])}")


def runs_before(document, words):
    """Commands of a document that train the runs from which another one starts."""
    named = [word.partition("=")[2] for word in words if word.startswith(("init.from=", "data.tokenizer="))]
    wanted = {f"run_dir={run}" for each in named for run in each.split(",")}
    return [p.values[1] for p in commands() if p.values[0] == document and wanted.intersection(p.values[1])]


def write_blocks(document, folder):
    """As a reader does: each block goes whole into the file that the text before it names."""
    for name, block in re.findall(
        r"^`(mine/\S+)`.*?```(?:yaml|python)\n(.*?)```", document.read_text(), re.DOTALL | re.M
    ):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block)


@pytest.mark.slow
def test_the_task_of_ones_own_trains_and_resumes(tmp_path):
    document = ROOT / "docs" / "new_task.md"
    write_blocks(document, tmp_path)
    assert len((tmp_path / "mine" / "samples.py").read_text().splitlines()) <= 60
    (command,) = [p.values[1] for p in commands() if p.values[0] == document]
    done = train(*command[1:], "run_dir=run", "baselines=quick", cwd=tmp_path)
    assert "samples on breast_cancer, test split" in done.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["metrics"]["test"]["accuracy"] > 0.9 > results["baselines"]["majority"]["accuracy"]
    evaluated = python("scripts/evaluate.py", "--run", "run", "--config-dir", "mine", "--draws", "20", cwd=tmp_path)
    assert f"{results['metrics']['test']['accuracy']:.4f}" in evaluated.stdout
    wrong = train(*command[1:], "data.splt_seed=1", cwd=tmp_path, check=False)
    assert "Did you mean data.split_seed" in wrong.stderr
    (tmp_path / "run" / "results.json").unlink()
    resumed = train("--config-dir", "mine", "resume=run", cwd=tmp_path)
    assert "resuming run" in resumed.stdout
    (tmp_path / "mine" / "sweep").mkdir()
    (tmp_path / "mine" / "sweep" / "narrow.yaml").write_text("space:\n  lr: [0.0012, 0.0013]\n")
    words = [*command[1:], "sweep=narrow", "sampler=grid", "debug=fast", "run_dir=s", "hardware.threads=1", "retrain=0"]
    swept = python("scripts/sweep.py", *words, cwd=tmp_path)
    (use,) = re.findall(r"Train it: python train.py (.*)", swept.stdout)
    best = train(*shlex.split(use), "--cfg", "job", cwd=tmp_path)
    assert re.search(r"^lr: 0.001[23]$", best.stdout, re.MULTILINE)


def thinned(folder, copy, rows=400):
    """A folder of compressed tables with their first rows alone; another folder as it is."""
    openers = OPENERS | {".jsonl": open}
    files = [file for file in folder.iterdir() if file.suffix in (*openers, ".parquet")]
    copy.mkdir(exist_ok=True)
    for file in files:
        target = copy / file.name
        if file.suffix == ".parquet":
            head = next(pyarrow.parquet.ParquetFile(file).iter_batches(rows))
            pyarrow.parquet.write_table(pyarrow.Table.from_batches([head]), target)
        else:
            with openers[file.suffix](file, "rt") as lines, openers[file.suffix](target, "wt") as stream:
                kept = list(islice(lines, rows)) if file.suffix in OPENERS else list(lines)[:: rows // 4]
                stream.writelines(kept)
            for image in re.findall(r'"image": "(.+?)"', "".join(kept)):
                (copy / image).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / image, copy / image)
    return copy if files else folder


def write_posts(folder):
    """Texts with the images that are there, and features of two modalities."""
    rows = [(name, i) for name in ("cat", "dog") for i in range(12)]
    lines = [f"a {name} on day {i},images/{name}/{i}.png,{name}" for name, i in rows]
    (folder / "posts.csv").write_text("\n".join(["text,image,label", *lines]) + "\n")
    write_captions(folder / "flickr")
    captions = [f"flickr/Images/{i}.png,a day number {i}" for i in range(30)]
    (folder / "captions.csv").write_text("\n".join(["image,caption", *captions]) + "\n")
    generator = np.random.default_rng(0)
    voice, face = generator.normal(size=(60, 5)), generator.normal(size=(60, 3, 2))
    np.savez(folder / "clips.npz", voice=voice, face=face, label=np.arange(60) % 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "words"),
    # A command that several documents have is run once.
    {tuple(p.values[1]): p for p in commands() if not re.match(r"docs/(new_task|explain)", p.id)}.values(),
)
def test_every_command_in_the_documents_runs(document, words, tmp_path, shared_data):
    """As written, only shorter; FOLDER and the like stand for the user's own things."""
    write_pictures(tmp_path / "images")
    write_words(tmp_path / "words")
    write_reviews(tmp_path / "reviews.csv")
    write_posts(tmp_path)
    write_sequences(tmp_path)
    (tmp_path / "corpus.txt").write_text(
        "".join(f"a {word} film, number {i}\n" for i in range(60) for word in ("good", "bad"))
    )
    write_events(tmp_path / "events.csv")
    table().to_csv(tmp_path / "load.csv", index=False)
    write_pairs(tmp_path / "pairs.csv", number_pairs(60))
    news = [f"It is said that film {i} is good. It is long.,film {i} good" for i in range(60)]
    (tmp_path / "news.csv").write_text("\n".join(["text,summary", *news]) + "\n")
    write_aligned(tmp_path, "train", number_pairs(60))
    waves = np.random.default_rng(0).normal(size=(40, 12)).round(3)
    lines = ["@data", *(f"{','.join(map(str, wave))}:{'ab'[i % 2]}" for i, wave in enumerate(waves))]
    for split in ("train", "test"):
        (tmp_path / f"{split}.ts").write_text("\n".join(lines) + "\n")
    write_blocks(ROOT / "docs/extend.md", tmp_path)
    folder = next((where for name, where in FOLDERS.items() if f"={name}" in " ".join(words)), "image")
    asked = {name: shared_data / where for name, where in (("FOLDER", folder), ("TABLE", "image/cifar10_20k"))}
    folders = {
        name: str(thinned(where, tmp_path / name, 60 if "mvsa" in folder else 400))
        for name, where in asked.items()
        if re.search(rf"\b{name}\b", " ".join(words))
    }
    words = [re.sub(r"\b(FOLDER|TABLE)\b", lambda match: folders[match[0]], word) for word in words[1:]]
    if any(word.startswith("--help") for word in words):
        train(*words, cwd=tmp_path)
        return
    for before in runs_before(document, words):
        train(*before[1:], *quick(before), cwd=tmp_path)
    done = train(*words, *quick(words), cwd=tmp_path)
    assert "Run folder: " in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("document", "words"), [p for p in commands("scripts/benchmark") if "startup" not in p.id])
def test_every_script_in_the_documents_runs(document, words, shared_data, tmp_path):
    """As written, only shorter."""
    folder = next((where for name, where in FOLDERS.items() if f"={name}" in " ".join(words)), "image")
    copy = thinned(shared_data / folder, tmp_path / "FOLDER") if "FOLDER" in " ".join(words) else tmp_path
    words = [re.sub(r"\bFOLDER\b", str(copy), word) for word in words]
    if words[1] == "whole":
        peer = "timm" if words[2] == "image" else "accelerate"
        if find_spec(peer) is None:
            pytest.skip(f"peers are outside the default install: pip install {peer}")
        words += ["--seconds", "1", "--rounds", "1"]
    if words[1] == "gpu" and not torch.cuda.is_available():
        done = python(*words, cwd=tmp_path, check=False)
        assert "needs an NVIDIA or AMD GPU" in done.stderr
        pytest.skip("no GPU is there")
    done = python(words[0], *words[1:], *SHORT.get(words[1], []), cwd=tmp_path)
    assert SAID.get(words[1], "1.00x") in done.stdout


@pytest.mark.slow
def test_the_start_is_timed_as_the_documents_say(monkeypatch, capsys):
    """As written, of the commands that answer without torch."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import benchmark
    from benchmarks import startup

    monkeypatch.setattr(startup, "COMMANDS", dict(islice(startup.COMMANDS.items(), 2)))
    (words,) = (p.values[1] for p in commands("scripts/benchmark") if "startup" in p.id)
    monkeypatch.setattr(sys, "argv", [*words, "--rounds", "1"])
    benchmark.main()
    assert "--help" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("document", "words"), commands("scripts/forecasting_peers"))
def test_peers_are_trained_beside_ours(document, words, shared_data):
    """As written, on a short horizon; or what to install."""
    words = [word.replace("FOLDER", str(shared_data / "forecasting")) for word in words]
    command = [sys.executable, str(ROOT / words[0]), *words[1:], "--horizon", "24", "debug=fast"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if find_spec("neuralforecast") is None:
        assert (done.returncode, done.stderr) == (1, "error: neuralforecast is missing: pip install neuralforecast\n")
        pytest.skip("peers are outside the default install: pip install neuralforecast")
    assert "iTransformer" in done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("document", "words"), commands("scripts/imbalance"))
def test_what_helps_a_rare_class_is_measured(document, words, shared_data, tmp_path, monkeypatch, capsys):
    """As written, of one seed and few steps."""
    folder = thinned(shared_data / "text" / "sst2", tmp_path / "FOLDER", 1500)
    words = [word.replace("FOLDER", str(folder)) for word in words]
    trained = []

    def run(command, **_):
        """Stands for `subprocess.run`: a fork, which has torch loaded."""
        assert command[:2] == [sys.executable, str(ROOT / "train.py")]
        trained.append(train(*command[2:], cwd=tmp_path))

    monkeypatch.setattr(imbalance, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(sys, "argv", [words[0], "debug=fast", *words[1:], "--seeds", "0"])
    imbalance.main()
    assert len(trained) == len(imbalance.VARIANTS)
    assert "regression" in capsys.readouterr().out


def looks():
    """By words that train it, each run that documents look into, and the words that look."""
    found = {}
    for param in commands("scripts/attention"):
        document, words = param.values
        run = words[words.index("--run") + 1]
        (trained,) = [p.values[1] for p in commands() if p.values[0] == document and f"run_dir={run}" in p.values[1]]
        task = [word for word in trained if word.startswith("task=")]
        found.setdefault(tuple(task), []).append(words[1:])
    return [pytest.param(*item, id=" ".join(item[0])) for item in found.items()]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "lines"), looks())
def test_every_look_into_a_run_in_the_documents_draws(task, lines, tmp_path, monkeypatch, capsys):
    """As written, at a run that was short."""
    pytest.importorskip("captum")
    write_pictures(tmp_path, ("cat",), count=1)
    (tmp_path / "cat" / "0.png").rename(tmp_path / "image.png")
    train("run_dir=run", *task, *quick(task), "encoder.dim=16", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import attention

    for line in lines:
        line[line.index("--run") + 1] = "run"
        monkeypatch.setattr(sys, "argv", ["attention.py", *line])
        attention.main()
        files = [Path(file) for file in capsys.readouterr().out.splitlines() if file.endswith(".png")]
        assert files
        assert all(file.is_file() for file in files)


@pytest.mark.slow
@pytest.mark.parametrize(("document", "words"), commands("scripts/toolbox"))
def test_the_study_of_the_toolbox_runs(document, words, tmp_path, monkeypatch):
    """As written, of one option and for two batches."""
    monkeypatch.chdir(tmp_path)
    short = [
        "--only",
        "score_dot",
        "--seeds",
        "0",
        "--data",
        "digits",
        "--out",
        str(tmp_path / "page.md"),
        "debug=fast",
    ]
    monkeypatch.setattr(sys, "argv", [*words, *short])
    with pytest.raises(SystemExit) as stopped:
        toolbox.main()
    assert stopped.value.code == 0
    assert "| `score_dot` | 0." in (tmp_path / "page.md").read_text()


def run_here(jobs, train, parallel=1, threads=None):
    """Stands for `run_jobs`: the same runs in this process, which has torch loaded."""
    for job in jobs:
        done = config(*job.overrides, f"run_dir={job.folder}")
        with mock.patch("mla_train.training.run.draw_figures"):  # studies do not look at those of a run
            run(done, find_run(done))
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(("document", "words"), {tuple(p.values[1]): p for p in commands("scripts/compare")}.values())
def test_every_comparison_in_the_documents_runs(document, words, tmp_path, monkeypatch, capsys, shared_data):
    """As written, only shorter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mla_train.studies.compare.run_jobs", run_here)
    monkeypatch.setattr("mla_train.studies.timing.TURN_SECONDS", 0.0)

    def written(words):
        folder = next((where for name, where in FOLDERS.items() if f"={name}" in " ".join(words)), FOLDERS["trec"])
        few = thinned(shared_data / folder, tmp_path / Path(folder).name, 1500)
        return [word.replace("FOLDER", str(few)).replace(",gqa,mqa", "") for word in words[1:]]

    short = [*QUICK, "encoder.dim=32", "hardware.threads=1"]
    for before in runs_before(document, words):
        train(*written(before), *short, cwd=tmp_path)
    words, short = written(words), [*short, "seeds=1"]
    monkeypatch.setattr(sys, "argv", ["compare.py", *words, *short])
    with pytest.raises(SystemExit) as stopped:
        compare.main()
    assert stopped.value.code == 0
    assert "use seeds=3 or more" in capsys.readouterr().out
    (page,) = tmp_path.glob("runs/compare/*/comparison.html")
    assert page.stat().st_size > 10000


@pytest.mark.slow
@pytest.mark.parametrize("line", sorted({" ".join(p.values[1]) for p in commands("scripts/sweep")}))
def test_every_sweep_in_the_documents_runs(line, tmp_path, monkeypatch, capsys, shared_data):
    """As written, of one short trial."""
    monkeypatch.chdir(tmp_path)
    write_reviews(tmp_path / "reviews.csv")
    short = ["debug=fast", "encoder=tiny", "trials=1", "retrain=0", "run_dir=s", "n_jobs=1"]
    words = [word for word in line.split() if word.partition("=")[0] not in [each.partition("=")[0] for each in short]]
    words = [word.replace("FOLDER", str(shared_data / FOLDERS["trec"])) for word in words]
    monkeypatch.setattr(sys, "argv", [*words, *short])
    sweep.main()
    assert "Train it: python train.py --config-dir s" in capsys.readouterr().out
    assert (tmp_path / "s" / "sweep.html").stat().st_size > 4000


@pytest.mark.slow
@pytest.mark.parametrize(("document", "words"), commands("scripts/runs"))
def test_every_list_of_runs_in_the_documents_is_shown(document, words, tmp_path, monkeypatch, capsys):
    """As written, of a run that was made up."""
    folder = tmp_path / "runs" / "compare" / "mine"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", words)
    runs.main()
    assert "mine" in capsys.readouterr().out


@pytest.mark.parametrize("words", [p.values[1] for p in commands("scripts/check_data")], ids=" ".join)
def test_every_check_of_data_in_the_documents_runs(words, tmp_path, monkeypatch, capsys):
    write_reviews(tmp_path / "reviews.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", words)
    check_data.main()
    assert "written: data_report.html" in capsys.readouterr().out


@pytest.mark.slow
def test_every_dashboard_in_the_documents_is_laid_out(tmp_path, monkeypatch, capsys):
    """As written, of a run that was short; to save one it asks who you are."""
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    train("run_dir=runs/mine", "logger=wandb", *QUICK, cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    for param in commands("scripts/wandb_workspace"):
        monkeypatch.setattr(sys, "argv", param.values[1])
        if "--dry-run" in param.values[1]:
            wandb_workspace.main()
            assert json.loads(capsys.readouterr().out)["project"] == "mla-train"
        else:
            with pytest.raises(SystemExit, match="not logged in"):
                wandb_workspace.main()


@pytest.mark.slow
def test_models_are_used_as_the_documents_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    use, layer = blocks(ROOT / "README.md", "python")
    train("run_dir=runs/mine", *QUICK, cwd=tmp_path)
    write_pictures(tmp_path, ("cat",), count=1)
    (tmp_path / "cat" / "0.png").rename(tmp_path / "digit.png")
    names = {}
    exec(use, names)
    assert names["records"][0]["prediction"] in {str(number) for number in range(10)}
    write_pictures(tmp_path / "images")
    predict_as_written(ROOT / "README.md", monkeypatch, "runs/mine")
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 25
    exec(layer, names)
    assert "80 numbers are cached per token" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "runs")
    train("task=text_classification", "run_dir=runs/mine", *QUICK, "encoder.depth=1", cwd=tmp_path)
    block, _ = blocks(ROOT / "docs" / "use.md", "python")  # the second loads from the Hub
    exec(block, names)
    assert len(names["records"]) == 2
    write_reviews(tmp_path / "reviews.csv")
    predict_as_written(ROOT / "docs" / "use.md", monkeypatch, "runs/mine")
    assert "prediction,probability,error" in (tmp_path / "answers.csv").read_text()
    labelled = "text,label,source\nGuten Tag,de,a\nGood morning,en,b\nBonjour,fr,a\n"
    (tmp_path / "labelled.csv").write_text(labelled)
    for param in commands("scripts/evaluate"):
        monkeypatch.setattr(sys, "argv", [*param.values[1], "--draws", "20"])
        evaluate.main()
    assert (tmp_path / "evaluation" / "evaluation.json").is_file()
    for param in commands("scripts/export"):
        if "--push" in param.values[1]:  # needs an account
            continue
        monkeypatch.setattr(sys, "argv", param.values[1])
        export.main()
    assert (tmp_path / "exported" / "infer_onnx.py").is_file()
    write_events(tmp_path / "events.csv")
    table().to_csv(tmp_path / "load.csv", index=False)
    write_pairs(tmp_path / "pairs.csv", number_pairs(60))
    for param in commands():
        if param.values[0] == ROOT / "docs" / "use.md":
            train(*param.values[1][1:], *QUICK, cwd=tmp_path)
    (tmp_path / "sentences.txt").write_text("one two\nthree\n")
    predict_as_written(ROOT / "docs" / "use.md", monkeypatch, "runs/phrases")
    assert len((tmp_path / "translations.txt").read_text().splitlines()) == 2
    predict_as_written(ROOT / "docs" / "use.md", monkeypatch, "runs/load")
    assert (tmp_path / "forecast.csv").read_text().startswith("series,time,step,prediction,q0.1")
    assert (tmp_path / "forecast.png").is_file()


def predict_as_written(document, monkeypatch, run):
    """The commands of a document that predict with a run."""
    found = [p.values[1] for p in commands("scripts/predict") if p.values[0] == document and run in p.values[1]]
    assert found
    for words in found:
        monkeypatch.setattr(sys, "argv", words)
        predict.main()


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for block in blocks(document, "bash"):
            for word in re.findall(r"^make ([a-z]+)", block, re.MULTILINE):
                assert word in targets


def test_links_between_documents_lead_somewhere():
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / Path(link)).exists(), f"{document}: {link}"


def test_nothing_is_left_to_be_filled_in():
    for document in DOCUMENTS:
        assert not re.search(r"\b(TABLE_|TODO|TBD|XXX)", document.read_text()), document
