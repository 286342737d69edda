"""Folders and files of strangers: what they name is not run, what they link to is neither read nor written."""

import json
import os
import pickle
import re
import shutil
import sqlite3
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import optuna
import pandas as pd
import pytest
import torch

from mla_train.config.stored import read_stored
from mla_train.data.series_columns import known_columns
from mla_train.data.tables.cells import as_label, written_list
from mla_train.data.tables.dialect import announced_separator
from mla_train.data.tfidf import TfidfFeatures
from mla_train.errors import UserError
from mla_train.escaping import markdown_cell, spreadsheet_cell
from mla_train.inference.artifact import load_model
from mla_train.inference.files import Writer
from mla_train.locks import lock
from mla_train.masking import mask, mask_command
from mla_train.modalities.items.preprocess import read_history
from mla_train.modalities.series.spec import SeriesSpec, first_time
from mla_train.modalities.series.time_words import in_english
from mla_train.modalities.series.times import times_of
from mla_train.report.page import data_uri
from mla_train.safe_files import checksums
from mla_train.studies.launch import Launcher
from mla_train.studies.sweep_database import JOURNAL_END, check_database
from mla_train.training.checkpoint_files import read_checkpoint
from mla_train.training.loggers import read_curve
from mla_train.training.results import read_results
from mla_train.training.run import log_file
from mla_train.training.run_folder import RunFolder, refuse_links
from mla_train.training.run_lock import _write_config
from mla_train.training.scores import read_kept_start
from tests.helpers import ROOT, config, example_results, python, run_here


@pytest.fixture
def victim(tmp_path):
    """A file that must stay as it is."""
    file = tmp_path / "victim"
    file.write_text("mine")
    yield file
    assert file.read_text() == "mine"


def test_links_are_not_written_through(tmp_path, victim):
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"), lock(tmp_path / "link"):
        pass
    with pytest.raises(OSError, match="symbolic links"), log_file(tmp_path / "link"):
        pass
    with pytest.raises(OSError, match="symbolic links"):
        Launcher(ROOT / "train.py", warm=False).start(["--nonsense"], tmp_path / "link")
    (tmp_path / "answers.csv.part").symlink_to(victim)
    with Writer(str(tmp_path / "answers.csv"), "csv", ["a"]) as rows:
        rows.write([{"a": 1}])
    assert (tmp_path / "answers.csv").read_text().startswith("a")


def test_a_run_with_links_is_not_resumed(tmp_path, victim):
    run_here(tmp_path / "run", "debug=fast", "baselines=none")
    (tmp_path / "run" / "results.json").unlink()
    (tmp_path / "run" / "log.txt").unlink()
    (tmp_path / "run" / "log.txt").symlink_to(victim)
    with pytest.raises(UserError, match=r"holds links out of it \(log\.txt\)"):
        run_here(tmp_path / "run", "debug=fast", "baselines=none", "resume=auto")


def test_a_page_shows_no_file_but_its_own(tmp_path, victim):
    (tmp_path / "curves.png").symlink_to(victim)
    shutil.copy(victim, tmp_path / "other.png")
    for name in ("curves.png", "other.png"):
        with pytest.raises(UserError, match="no PNG file of its own"):
            data_uri(tmp_path / name)


def test_a_stored_sweep_chooses_nothing_but_what_its_space_has(tmp_path):
    words = ["debug=fast", "baselines=none", "encoder=tiny", "sweep=quick", "trials=1", "run_dir=sweep"]
    python("scripts/sweep.py", *words, cwd=tmp_path)
    storage = f"sqlite:///{tmp_path / 'sweep' / 'study.db'}"
    study = optuna.load_study(study_name=None, storage=storage)
    study.enqueue_trial({"+hydra.job.env_set.PATH": "'evil:/bin'"})
    refused = python("scripts/sweep.py", *words[:-2], "trials=2", "run_dir=sweep", cwd=tmp_path, check=False)
    assert refused.returncode != 0
    assert "has +hydra.job.env_set.PATH, which this search space does not have" in refused.stderr


NAMES = [f"gene {place}" for place in range(30_000)]


@pytest.mark.parametrize(
    "read",
    [
        lambda: announced_separator("sep=" + "\t" * 100_000 + "!x"),
        lambda: in_english("1:11" + " " * 100_000 + "x"),
        lambda: spreadsheet_cell("+" + "1" * 100_000 + "x"),
        lambda: mask("://a:" * 20_000),
        lambda: read_history([*map(str, range(100_000)), "1"]),
        lambda: known_columns(dict.fromkeys(NAMES), NAMES, "new.csv", False, []),
    ],
)
def test_long_texts_do_not_take_long(read):
    start = time.process_time()
    read()
    assert time.process_time() - start < 5


def test_yaml_that_grows_is_refused(tmp_path):
    lines = ["a0: &a0 {k: 1}", *(f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9))]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(UserError, match="alias"):
        read_stored(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("a: 1" + ":00" * 100_000)
    with pytest.raises(UserError, match="colons"):
        read_stored(tmp_path / "config.yaml")


FEATURES = TfidfFeatures({"pieces": ["x"]}, {"pieces": np.ones(1)})
REST = {"examples": {}, "debug": [], "details": {}}


def _write_sparse(file):
    with file.open("wb") as stream:
        stream.truncate(3 << 30)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: file.symlink_to("/dev/zero"), "no regular file"),
        (os.mkfifo, "no regular file"),
        (_write_sparse, "larger than"),
        (lambda file: file.write_text("[" * 100_000), "nested too deep"),
        (lambda file: file.write_bytes(b"\xff"), "utf-8"),
        (lambda file: file.write_text("{}"), "it has no task"),
        (lambda file: file.write_text(json.dumps(example_results() | {"seed": [1]})), "it has no seed"),
        (lambda file: file.write_text(json.dumps(REST | example_results(score="x"))), "a score that is no number"),
    ],
)
def test_results_are_read_within_a_size_and_from_regular_files_alone(make, said, tmp_path):
    file = tmp_path / "results.json"
    make(file)
    with pytest.raises(UserError, match=rf"results\.json cannot be read: .*{said}.*Remove it"):
        read_results(file)
    assert not read_kept_start(str(tmp_path))
    if "score" not in said and "has no" not in said:
        with pytest.raises(UserError, match=r"results\.json cannot be read: "):
            read_stored(file)


def test_texts_begin_no_link_in_markdown():
    assert markdown_cell("![x](http://evil/b.png)") == "![x\\](http://evil/b.png)"
    assert markdown_cell("[click](http://evil) <b> a|b &lt;") == "[click\\](http://evil) &lt;b> a\\|b &amp;lt;"
    assert markdown_cell("`python train.py task.convolutions=[3]`") == "`python train.py task.convolutions=[3]`"


def test_passwords_of_databases_may_hold_any_sign():
    assert "123/abc" not in mask("postgresql://user:123/abc@host/db")
    assert mask("http://host:8080/a@b") == "http://host:8080/a@b"
    assert "s3cret" not in mask_command("train.py data.passphrase=s3cret data.hf_token=s3cret")


def test_a_password_of_several_words_stays_out_of_the_config(tmp_path):
    settings = config()
    settings.trainer = {"password": "my secret, pass"}
    _write_config(RunFolder(tmp_path), settings)
    assert "password: (hidden)" in (tmp_path / "config.yaml").read_text()
    assert "secret, pass" not in (tmp_path / "config.yaml").read_text()


def test_attention_is_not_drawn_through_a_link(tmp_path, victim):
    run_here(tmp_path / "run", "debug=fast", "baselines=none")
    (tmp_path / "own").mkdir()
    (tmp_path / "run" / "attention").symlink_to(tmp_path / "own")
    done = python("scripts/attention.py", "--run", str(tmp_path / "run"), "--index", "0", cwd=tmp_path, check=False)
    assert "attention is a link" in done.stderr
    assert not any((tmp_path / "own").iterdir())


def test_an_image_size_of_a_stranger_takes_no_memory(tmp_path):
    run_here(tmp_path / "run", "debug=fast", "baselines=none")
    folder = tmp_path / "run" / "model"
    (folder / "SHA256SUMS").unlink()
    spec = json.loads((folder / "spec.json").read_text())
    for side in (10_000, 2**31 - 1):
        spec["inputs"]["image"] |= {"height": side, "width": side}
        (folder / "spec.json").write_text(json.dumps(spec))
        with pytest.raises(UserError, match=r"by config and spec|so large"):
            load_model(folder)


def test_a_long_cell_is_no_time_at_once():
    column = pd.Series(["2024-01-01", "1." * 100_000, "2024-01-03"], name="time")
    start = time.perf_counter()
    with pytest.raises(UserError, match=r"row 2: '1\.1\..*column time is no time: it has 200,000 characters"):
        times_of(column, None)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("start", ["\x1b[31m", "9999-99-99", "", "nan"])
def test_a_start_of_a_stranger_that_is_no_time_is_named(start):
    spec = SeriesSpec(["load"], [0.0], [1.0], start=start)
    with pytest.raises(UserError, match=r"start of the model's series is '.*', which is no time"):
        first_time(spec)


def test_a_form_of_times_that_is_no_pattern_is_named():
    with pytest.raises(UserError, match=r"'2024' in column time is no time.*data\.time_format="):
        times_of(pd.Series(["2024", "2025"], name="time"), None, "%Y%Y")


def _pack(file):
    """The parts of a checkpoint, packed."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def _nest(file):
    """A few lists that stand for 10**9 numbers, and a tensor of 10**9 numbers that are one."""
    values = [0.0]
    for _ in range(9):
        values = [values] * 10
    torch.save({"state_dict": {"a": values}}, file)


def _expand(file):
    torch.save({"state_dict": {"a": torch.zeros(1).expand(10**9)}}, file)


def _share(file):
    numbers = torch.zeros(100_000)
    torch.save({"state_dict": {f"{place}": numbers for place in range(1000)}}, file)


def _with_pickle(file, pickled, name="archive/data.pkl"):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, pickled)
        archive.writestr("archive/version", "3")


def _make_bytes(file):
    """A pickle of a few bytes that becomes many."""
    _with_pickle(file, pickle.dumps(bytearray(10_000), 2))


def _make_bytes_by_another_name(file):
    """Torch looks for names without regard to case."""
    _with_pickle(file, pickle.dumps(bytearray(10_000), 2), "archive/DATA.PKL")


def _count(file):
    """Keys of a tensor, made of one number."""
    _with_pickle(file, b"\x80\x02ccollections\nCounter\nctorch\nTensor\nJ\x10\x27\x00\x00\x85R\x85R.")


def _name_rows(file):
    """Rows of a tensor as keys of an ordered dict."""
    _with_pickle(file, b"\x80\x02ccollections\nOrderedDict\n]\x85R.")


def _storage(file):
    """A storage of so many numbers."""
    _with_pickle(file, b"\x80\x02ctorch\nFloatStorage\nJ\x10\x27\x00\x00\x85R.")


def _make_sets(file):
    _with_pickle(file, b"\x80\x04(" + b"\x8f" * 1000 + b"t.")


def _two_directories(file):
    """Zipfile looks for the table of contents before its end, torch where the end says that it is."""
    content = file.read_bytes()
    torch.save({"state_dict": {"a": torch.zeros(10)}}, file)
    file.write_bytes(content + file.read_bytes())


def _legacy(file):
    """Pickles one after the other, as torch wrote before, and a zip of nothing behind them."""
    torch.save({"state_dict": {"a": torch.zeros(10)}}, file, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(file, "a"):
        pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_pack, "packed"),
        (_make_bytes, "calls .*bytearray"),
        (_make_bytes_by_another_name, "calls .*bytearray"),
        (_count, "calls collections Counter"),
        (_name_rows, "calls something with values"),
        (_storage, "calls something with values"),
        (_make_sets, "calls None"),
        (_two_directories, "table"),
        (_legacy, "no checkpoint"),
        (_nest, "more than it has bytes"),
        (_expand, "more than it has bytes"),
        (_share, "more than it has bytes"),
    ],
)
def test_a_checkpoint_of_a_stranger_takes_no_more_memory_than_it_has_bytes(change, said, tmp_path):
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(100_000)}}, file)
    assert read_checkpoint(file)["state_dict"]["a"].shape == (100_000,)
    change(file)
    with pytest.raises(UserError, match="is broken or holds more than data") as error:
        read_checkpoint(file)
    assert re.search(said, str(error.value.__cause__))


def test_files_of_a_stranger_without_end_are_not_read_whole(tmp_path):
    for name in ("SHA256SUMS", "metrics.csv"):
        _write_sparse(tmp_path / name)
    tracemalloc.start()
    assert not checksums(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    with pytest.raises(UserError, match=r"metrics\.csv cannot be read: it is larger than"):
        read_curve(tmp_path / "metrics.csv", "val/loss")


def test_a_study_whose_pages_stand_in_it_twice_is_refused(tmp_path):
    file = tmp_path / "study.db"
    database = sqlite3.connect(file)
    database.execute("create table studies (study_id integer primary key, name text)")
    database.executemany("insert into studies (name) values (?)", [("x" * 100,)] * 1000)
    database.commit()
    check_database(file)
    (size,) = database.execute("pragma page_size").fetchone()
    database.close()
    content = bytearray(file.read_bytes())
    content[3 * size : 4 * size] = content[2 * size : 3 * size]
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"study\.db is damaged: restore it"):
        check_database(file)


def test_a_study_of_a_stranger_has_tables_alone(tmp_path):
    file = tmp_path / "study.db"
    check_database(file)
    database = sqlite3.connect(file)
    database.execute("create table studies (id integer primary key)")
    database.commit()
    check_database(file)
    database.execute(
        "create view trials as with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
    )
    database.commit()
    with pytest.raises(UserError, match=r"study\.db is no study: it has view"):
        check_database(file)


@pytest.mark.parametrize(
    "statement",
    [
        "create table trials (a text, b text as (hex(zeroblob(900))))",
        "create table trials (a text, b text as (a || a), c text as (b || b))",
        "create table trials (a text default (hex(zeroblob(900))))",
        """create table trials (c text, a "on "as ('x'), b "on "as (a || a))""",
        """create table trials (a "on"as ('x'), b text)""",
        "create table trials (a text, check /* key */ -- key\n (length(hex(zeroblob(900))) > 0))",
        "create index b on studies (hex(zeroblob(study_id)))",
        "create virtual table trials using fts5 (a)",
    ],
)
def test_a_study_of_a_stranger_computes_nothing(statement, tmp_path):
    file = tmp_path / "study.db"
    optuna.create_study(storage=f"sqlite:///{file}")
    check_database(file)
    with sqlite3.connect(file) as database:
        database.execute("drop table if exists trials")
        database.execute(statement)
    database.close()
    with pytest.raises(UserError, match=r"study\.db is no study: .* computed"):
        check_database(file)


def test_a_journal_of_a_stranger_removes_no_file(tmp_path, victim):
    """SQLite rolls back what a journal says, and then removes the journal of several databases that it names."""
    own, file = tmp_path / "own.db", tmp_path / "study.db"
    optuna.create_study(storage=f"sqlite:///{own}")
    database = sqlite3.connect(own, isolation_level=None)
    for statement in (
        "pragma cache_size=1",
        "begin",
        "create table t (a)",
        *["insert into t values (hex(zeroblob(500)))"] * 1000,
    ):
        database.execute(statement)
    shutil.copy(own, file)
    journal = (tmp_path / "own.db-journal").read_bytes()
    database.close()
    name = bytes(victim)
    page = 0x40000000 // struct.unpack(">I", journal[24:28])[0] + 1
    end = struct.pack(">I", page) + name + struct.pack(">II", len(name), sum(name)) + JOURNAL_END
    (tmp_path / "study.db-journal").write_bytes(journal + end)
    with pytest.raises(UserError, match=r"names a file that would be removed.*remove study\.db-journal"):
        check_database(file)
    (tmp_path / "study.db-journal").write_bytes(journal)  # of a sweep that was killed
    check_database(file)
    assert not (tmp_path / "study.db-journal").exists()


def test_a_study_that_is_a_link_is_not_written_through(tmp_path, victim):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "study.db").symlink_to(victim)
    with pytest.raises(UserError, match=r"holds links out of it \(study\.db\)"):
        refuse_links(tmp_path / "sweep")
    for script, words in (("sweep", ["sweep=quick", "trials=1"]), ("compare", ["seeds=1", "attention=mla,mha"])):
        words = [f"scripts/{script}.py", "debug=fast", "baselines=none", "encoder=tiny", *words, "run_dir=sweep"]
        done = python(*words, cwd=tmp_path, check=False)
        assert "holds links out of it (study.db)" in done.stderr


@pytest.mark.parametrize(
    "read",
    [
        lambda: written_list("(" + "1," * 1_000_000 + "1)"),
        lambda: written_list("[" + "\\'" * 49_000 + "]"),
        lambda: [as_label(f"{place} " + "x" * 100_000) for place in range(500)],
        lambda: FEATURES.matrix(["x" * 300_000, "x" * 300_001]),
    ],
)
def test_long_texts_take_little_memory_and_are_not_kept(read):
    tracemalloc.start()
    read()
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 60_000_000
    assert kept < 1_000_000


def test_a_long_name_makes_no_long_message():
    message = str(UserError("begins " + "x" * 1_000_000 + " ends"))
    assert len(message) < 20_000
    assert message.startswith("begins xxx")
    assert message.endswith("xxx ends")
