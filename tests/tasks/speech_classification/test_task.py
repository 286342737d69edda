"""Spoken words: synthetic voices, folders, Speech Commands and tables, from the command line to answers about files."""

import csv
import json
import shutil
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

import mla_train
from mla_train.commands import evaluate, predict
from mla_train.data.cache import use_cache
from mla_train.errors import UserError
from tasks.speech_classification import synthetic
from tests.helpers import load, read_jsonl, run_here, train, write_words


def folder(root, *words):
    return load("task=speech_classification", "data=audio_folder", f"data.root={root}", *words)


def names_of(data):
    return {split: set(getattr(data, split).names) for split in ("train", "val", "test")}


# Data.


@pytest.fixture
def few_voices(monkeypatch):
    """Fewer voices and words, so that they are spoken in a moment."""
    pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(synthetic, "VOICES", synthetic.VOICES[:20])
    monkeypatch.setattr(synthetic, "WORDS", synthetic.WORDS[:3])
    use_cache(False)
    yield
    use_cache(True)


def test_voices_are_held_out_and_speak_alike_each_time(few_voices):
    data, again = (load("task=speech_classification") for _ in range(2))
    assert data.spec.target.classes == ["no", "up", "yes"]
    assert "synthetic speech: 3 words at 2 speeds by 20 voices of espeak-ng" in data.notes[0]
    voices = {split: {name.split()[0] for name in names} for split, names in names_of(data).items()}
    assert sum(map(len, voices.values())) == len(set.union(*voices.values())) == 20
    assert min(map(len, voices.values())) >= 3
    for split in ("train", "val", "test"):
        one, other = (getattr(each, split).columns["audio"].values for each in (data, again))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        assert {each.shape for each in one} == {(101, 40)}
    assert data.test.groups is not None, "intervals are drawn over voices"


def test_class_folders_are_read_as_those_of_images(tmp_path):
    write_words(tmp_path / "words")
    (tmp_path / "words" / "high" / "notes.txt").write_text("no sound")
    (tmp_path / "words" / "low" / "._1.wav").write_bytes(b"of a system")
    data = folder(tmp_path / "words")
    assert [len(part) for part in (data.train, data.val, data.test)] == [17, 2, 5]
    assert data.spec.target.classes == ["high", "low"]
    assert any("1 files that are no recordings: 1 .txt" in note for note in data.notes)
    assert data.train.columns["audio"].lengths().min() > 4


@pytest.fixture
def commands(tmp_path):
    """A folder as Speech Commands has it."""
    write_words(tmp_path / "words", count=10)
    write_words(tmp_path / "noise", ["_background_noise_"], 2)
    shutil.move(tmp_path / "noise" / "_background_noise_", tmp_path / "words")
    for name, places in (("validation_list.txt", (0, 1)), ("testing_list.txt", (2, 3, 4))):
        lines = [f"{word}/{place}.wav" for word in ("high", "low") for place in places]
        (tmp_path / "words" / name).write_text("\n".join(lines) + "\n")
    return tmp_path / "words"


def test_the_lists_of_speech_commands_are_its_splits(commands):
    data = folder(commands)
    names = names_of(data)
    assert names["val"] == {f"{word}/{place}.wav" for word in ("high", "low") for place in (0, 1)}
    assert names["test"] == {f"{word}/{place}.wav" for word in ("high", "low") for place in (2, 3, 4)}
    assert len(names["train"]) == 10
    assert data.spec.target.classes == ["high", "low"]
    assert {"4 recordings are val, by validation_list.txt", "6 recordings are test, by testing_list.txt"} <= set(
        data.notes
    )
    assert "left out 2 recordings of _background_noise_, which is no class" in data.notes


def test_lists_may_write_paths_as_windows_does_or_from_here(commands):
    plain = names_of(folder(commands))
    for name, change in (("validation_list.txt", "./{}"), ("testing_list.txt", "{}")):
        lines = (commands / name).read_text().split()
        (commands / name).write_text("\n".join(change.format(line).replace("/", "\\") for line in lines))
    assert names_of(folder(commands)) == plain


def test_lists_beside_the_folder_of_recordings_are_its_splits(commands, tmp_path):
    for name in ("validation_list.txt", "testing_list.txt"):
        shutil.move(commands / name, tmp_path)
    data = folder(commands)
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 4, 6]


def test_noise_is_no_class_without_lists(commands):
    for name in ("validation_list.txt", "testing_list.txt"):
        (commands / name).unlink()
    data = folder(commands)
    assert data.spec.target.classes == ["high", "low"]
    assert "left out 2 recordings of _background_noise_, which is no class" in data.notes


def write_table(folder, lines, header="path,label"):
    write_words(folder / "words")
    (folder / "a.csv").write_text("\n".join([header, *lines]) + "\n")


def table(folder, *words):
    return load("task=speech_classification", "data=audio_table", f"data.train={folder / 'a.csv'}", *words)


def test_tables_name_recordings(tmp_path):
    rows = [f"words/{word}/{i}.wav,{word},{i // 3}" for i in range(12) for word in ("high", "low")]
    write_table(tmp_path, rows, "clip,said,speaker")
    data = table(tmp_path, "data.audio_column=clip", "data.label_column=said", "data.group_column=speaker")
    speakers = [{int(name.split("/")[-1].split(".")[0]) // 3 for name in names} for names in names_of(data).values()]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=audio_folder"], "data.root is missing: name the folder that holds your recordings"),
        (["data=audio_folder", "data.root=empty"], "empty/CLASS/recording.wav"),
        (["data=audio_folder", "data.root=broken"], "1 of 21 examples have audio that cannot be read: high/x.wav"),
        (["data=audio_folder", "data.root=lists"], "names 1 recordings that are not in lists: high/99.wav"),
        (["data=audio_table", "data.train=a.csv"], "the recording /etc/passwd lies outside the folder of the table"),
        (["data=audio_table", "data.train=b.csv"], "b.csv has no column audio"),
        (["data.mel_bands=200"], "data.mel_bands=200: from 8 to 80"),
        (["data.sample_rate=100"], "data.sample_rate=100: must be 4000 or more"),
        (["data.max_seconds=0"], "data.max_seconds=0.0: must be positive"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(words, message, tmp_path, commands, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    shutil.copytree(commands, tmp_path / "lists")
    (tmp_path / "lists" / "testing_list.txt").write_text("high/99.wav\n")
    write_words(tmp_path / "broken", count=10)
    (tmp_path / "broken" / "high" / "x.wav").write_bytes(b"RIFF and no more")
    (tmp_path / "a.csv").write_text("path,label\n/etc/passwd,high\n")
    (tmp_path / "b.csv").write_text("one,label\n1,2\n")
    with pytest.raises(UserError, match=message):
        load("task=speech_classification", *words)


def test_broken_recordings_are_left_out_where_that_is_asked_for(tmp_path):
    write_words(tmp_path / "words")
    (tmp_path / "words" / "high" / "x.wav").write_bytes(b"RIFF and no more")
    data = folder(tmp_path / "words", "data.on_error=skip")
    assert sum(len(names) for names in names_of(data).values()) == 24
    assert any("high/x.wav; the first: it is damaged" in note for note in data.notes)


# A run, and its model.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has learned to tell high from low tones, and the folder of these."""
    place = tmp_path_factory.mktemp("speech")
    write_words(place / "words", count=30)
    words = ["task=speech_classification", "data=audio_folder", f"data.root={place / 'words'}", "epochs=12", "lr=1e-2"]
    results = run_here(place / "run", *words, "data.test_share=0.3", figures=True)
    return place, results


def test_a_run_learns_and_draws(run):
    place, results = run
    assert results["metrics"]["test"]["accuracy"] > 0.9
    assert set(results["baselines"]) == {"majority", "linear", "rbf_svm"}
    assert min(Image.open(place / "run" / "figures" / "spectrograms.png").size) > 200


def call(command, monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", [command.__name__, *map(str, words)])
    command.main()
    return capsys.readouterr().out


def test_files_folders_and_tables_have_the_same_answers(run, tmp_path, monkeypatch, capsys):
    place, _ = run
    model, rows = mla_train.load(place / "run"), read_jsonl(place / "run" / "predictions.jsonl")[:6]
    files = [place / "words" / row["source"] for row in rows]
    samples = [soundfile.read(file, dtype="float32")[0] for file in files]
    for values in (files, [file.read_bytes() for file in files], samples):
        records = model.predict([{"audio": value} for value in values])
        assert [record["prediction"] for record in records] == [row["prediction"] for row in rows]
        assert [record["probability"] for record in records] == pytest.approx(
            [r["probability"] for r in rows], abs=2e-4
        )
    copy = shutil.copytree(place / "words", tmp_path / "words")
    (copy / "low" / "broken.wav").write_bytes(b"no sound")
    said = call(predict, monkeypatch, capsys, "--run", place / "run", "--input", copy)
    answers = {row["audio"]: row for row in csv.DictReader(said.splitlines())}
    assert len(answers) == 61
    assert "cannot be read: it is damaged" in answers["low/broken.wav"]["error"]
    assert {row["source"]: row["prediction"] for row in rows}.items() <= {
        k: v["prediction"] for k, v in answers.items()
    }.items()
    one = json.loads(call(predict, monkeypatch, capsys, "--run", place / "run", "--audio", files[0]))
    assert one["prediction"] == rows[0]["prediction"]
    lines = [f"words/{row['source']},{row['label']}" for row in rows]
    (tmp_path / "a.csv").write_text("\n".join(["recording,label", *lines]) + "\n")
    said = call(predict, monkeypatch, capsys, "--run", place / "run", "--input", tmp_path / "a.csv")
    assert [row["prediction"] for row in csv.DictReader(said.splitlines())] == [row["prediction"] for row in rows]
    right = np.mean([row["prediction"] == row["label"] for row in rows])
    said = call(evaluate, monkeypatch, capsys, "--run", place / "run", "--input", tmp_path / "a.csv", "--draws", "5")
    assert f"{right:.4f}" in said


def test_the_command_line_trains_and_says_what_it_has_read(tmp_path):
    write_words(tmp_path / "words", rate=22_050)
    words = ["task=speech_classification", "data=audio_folder", "data.root=words", "debug=fast", "baselines=quick"]
    done = train(*words, "regularization=strong", "run_dir=run", cwd=tmp_path)
    assert "24 recordings have 22,050 Hz and are resampled to 16,000 (data.sample_rate)" in done.stdout
    assert "speech_classification on audio_folder, test split" in done.stdout
    failed = train("task=speech_classification", "data=audio_folder", "data.root=nowhere", cwd=tmp_path, check=False)
    assert "data.root=nowhere: there is no such folder" in failed.stderr
