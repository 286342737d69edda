"""FASTA files: rows of the one reader of tables, classes by file or header, groups held out, k-mers as words."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mla_train
from mla_train.config import TableOptions
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError
from mla_train.inference.export.runtime.infer_onnx import read_texts
from mla_train.modalities.text.preprocess import in_kmers
from tests.helpers import load, python, run_here

FASTA = ["task=text_classification", "data=fasta", "encoder=tiny"]


def write_made(folder, count=60):
    """Made sequences: those of one class hold a planted motif at a random place."""
    chance = np.random.default_rng(0)
    for name, motif in (("with", "TATAAGGC"), ("without", "")):
        records = []
        for i in range(count):
            letters = "".join(chance.choice(list("ACGT"), 60))
            place = chance.integers(0, 50)
            letters = letters[:place] + motif + letters[place + len(motif) :]
            records.append(f">{name}{i} family=f{i // 4} kind={name}\n{letters[:40]}\n{letters[40:]}\n")
        (folder / f"{name}.fa").write_text("".join(records))


def read(file, **options):
    return read_table(file, TableOptions(**options))


def test_a_record_is_a_row(tmp_path):
    file = tmp_path / "genes.v2.fsa"
    file.write_text("; a comment\n>sp|P1 a protein OS=Man\nMKV L\r\nTA*\n\n>two\tof a kind\nACGT\n")
    table = read(file)
    assert table.cells == {
        "text": ["MKVLTA*", "ACGT"],
        "name": ["sp|P1", "two"],
        "header": ["sp|P1 a protein OS=Man", "two\tof a kind"],
        "file": ["genes.v2"] * 2,
    }
    assert table.places == ["line 2", "line 6"]


def test_a_long_line_of_pieces_is_not_held_piece_by_piece(tmp_path):
    (tmp_path / "a.fasta").write_text(">one\n" + "AC \t\u2003" * 200_000 + "\n")
    tracemalloc.start()
    (text,) = read(tmp_path / "a.fasta").cells["text"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text == "AC" * 200_000
    assert peak < 20 * len(text)  # pieces would be 60 bytes for each of two letters


def test_parts_of_headers_are_columns(tmp_path):
    file = tmp_path / "a.fasta"
    file.write_text(">one light man\nACGT\n>two dark\nAC\n")
    table = read(file, header_pattern=r"(?P<kind>light|dark) (?P<of>\w+)")
    assert (table.cells["kind"], table.cells["of"]) == (["light", None], ["man", None])
    assert table.notes == [f"{file}: 1 of 2 headers do not match data.header_pattern: their kind, of is empty"]
    assert not table.broken


def test_bytes_of_another_encoding_are_an_error_of_their_row(tmp_path):
    (tmp_path / "a.fa").write_bytes(b">caf\xe9\nACGT\n>b\nAC\n")
    assert [row.split(" is ")[0] for row in read(tmp_path / "a.fa").broken] == [f"{tmp_path / 'a.fa'} line 1"]
    assert read(tmp_path / "a.fa", encoding="latin-1").cells["name"] == ["café", "b"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("ACGT\n", {}, "a.fa line 1 belongs to no sequence: in a FASTA file a header begins with >"),
        (">a\nA\n", {"header_pattern": "("}, "no regular expression"),
        (">a\nA\n", {"header_pattern": "a"}, r"needs named groups, such as \(\?P<family>"),
        (">a\nA\n", {"header_pattern": "(?P<text>a)"}, "become columns beside text, name, header, file"),
        ("", {}, "has no rows|is empty"),
    ],
)
def test_what_is_no_fasta_is_refused(content, options, message, tmp_path):
    (tmp_path / "a.fa").write_text(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.fa", **options)


def test_files_are_classes_and_groups_are_held_out(tmp_path):
    write_made(tmp_path)
    data = load(*FASTA, f"data.train={tmp_path / '*.fa'}")
    assert data.spec.target.classes == ["with", "without"]
    assert any("tokens are characters" in note for note in data.notes)
    words = [f"data.train={tmp_path / '*.fa'}", "data.label_column=kind", "data.group_column=family"]
    data = load(*FASTA, *words, r"data.header_pattern='family=(?P<family>\w+) kind=(?P<kind>\w+)'")
    assert data.spec.target.classes == ["with", "without"]
    assert sum("whole groups of family" in note for note in data.notes) == 2


@given(st.text("ACGT ", max_size=30), st.integers(2, 5))
def test_kmers_overlap(text, size):
    words = text.split()
    pieces = in_kmers(text, size).split()
    expected = []
    for word in words:
        expected += [word[i : i + size] for i in range(len(word)) if i == 0 or i + size <= len(word)]
    assert pieces == expected
    assert in_kmers(text, 0) == text


def test_kmers_are_tokens(tmp_path):
    write_made(tmp_path)
    data = load(*FASTA, f"data.train={tmp_path / '*.fa'}", "data.kmer=3")
    text = data.spec.inputs["text"]
    assert text.tokenizer.get_vocab_size() == 4**3 + 2
    assert len(data.train.columns["text"].tokens[0]) == 58
    (again,) = text.preprocess(["ACGTA"]).values
    assert again == "ACG CGT GTA"


def test_an_exported_program_reads_the_same_kmers(tmp_path):
    write_made(tmp_path)
    text = load(*FASTA, f"data.train={tmp_path / '*.fa'}", "data.kmer=3").spec.inputs["text"]
    values = ["ACGTTGCA ACG AC", "N"]
    column = text.preprocess(values)
    expected = text.collate([column[i] for i in range(2)])
    arrays = read_texts(values, vars(text.spec))
    np.testing.assert_array_equal(arrays["tokens"], expected.tokens.numpy())
    assert sorted(arrays["features"][0]) == sorted(column[0].features)


def test_texts_that_are_written_on_are_not_cut_into_kmers():
    with pytest.raises(UserError, match=r"data\.kmer=3: .* leave it out"):
        load("task=causal_lm", "data.kmer=3")


@pytest.mark.slow
def test_a_planted_motif_is_found_and_new_files_are_predicted(tmp_path):
    write_made(tmp_path, 150)
    words = [*FASTA[:2], f"data.train={tmp_path / '*.fa'}", "data.kmer=4", "epochs=2"]
    results = run_here(tmp_path / "run", *words)
    assert results["metrics"]["test"]["mcc"] > 0.8
    answers = mla_train.load(tmp_path / "run").predict([{"text": "ACGTATAAGGCTTA" * 3}])
    assert answers[0]["prediction"] == "with"
    python("scripts/predict.py", "--run", "run", "--input", "without.fa", "--output", "a.jsonl", cwd=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows[0].keys() >= {"text", "name", "file", "prediction"}
    assert np.mean([row["prediction"] == "without" for row in rows]) > 0.8
    done = python("scripts/evaluate.py", "--run", "run", "--input", "with.fa", "--draws", "20", cwd=tmp_path)
    assert "150" in done.stdout
