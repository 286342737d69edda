"""Sentence pairs: from files of all kinds to batches, and what is wrong with them."""

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from mla_train.data.sampling import bucketed, shuffled
from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID, UNK_ID, read_tokenizer
from mla_train.errors import UserError
from mla_train.task import build_task
from tests.helpers import config, number_pairs, write_aligned, write_pairs


def read(*words):
    return build_task(config("task=translation", "data=pair_files", "data.vocab_size=300", *words)).load_data()


def sources(split):
    return split.columns["source"].texts


def targets(split):
    return [target.text for target in split.targets]


def tokens(split, place):
    """Source without its end token, and target."""
    return split.columns["source"].tokens[place][:-1], split.targets[place].tokens


def tokenizers(data):
    spec = data.spec.target
    source = data.spec.inputs["source"].spec.tokenizer
    return Tokenizer.from_str(source), Tokenizer.from_str(spec.tokenizer or source)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.tsv"])
def test_tables_of_all_kinds(tmp_path, name):
    data = read(
        f"data.train={write_pairs(tmp_path / name, number_pairs(60))}", "data.test_share=0.2", "data.val_share=0.1"
    )
    assert sorted(map(len, (data.train, data.val, data.test))) == [5, 12, 43]
    assert "cut 12 of 60 training examples off for it" in data.notes[0]
    together = {*zip(sources(data.train), targets(data.train), strict=True)} | {
        *zip(sources(data.val), targets(data.val), strict=True)
    }
    assert together | {*zip(sources(data.test), targets(data.test), strict=True)} == {*number_pairs(60)}


def test_parquet_and_named_columns(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    sides = list(zip(*number_pairs(40), strict=True))
    parquet.write_table(pyarrow.table({"en": list(sides[0]), "de": list(sides[1])}), tmp_path / "a.parquet")
    data = read(f"data.train={tmp_path / 'a.parquet'}", "data.source_column=de", "data.target_column=en")
    assert sources(data.train)[0] in {t for _, t in number_pairs(40)}


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_aligned_text_files(tmp_path, ending):
    write_aligned(tmp_path, "train", number_pairs(50)[:40], ending)
    write_aligned(tmp_path, "valid", number_pairs(50)[40:], ending)
    named = read(
        f"data.train=[{tmp_path}/train.en{ending},{tmp_path}/train.de{ending}]",
        f"data.val=[{tmp_path}/valid.en{ending},{tmp_path}/valid.de{ending}]",
    )
    folder = read(f"data.root={tmp_path}", "data.source_column=en", "data.target_column=de")
    for data in (named, folder):
        assert sources(data.val) == [s for s, _ in number_pairs(50)[40:]]
        assert len(data.train) + len(data.test) == 40


def test_aligned_files_of_unequal_length_name_the_line(tmp_path):
    write_aligned(tmp_path, "train", number_pairs(30))
    with (tmp_path / "train.de").open("a") as stream:
        stream.write("noch eine\n")
    with pytest.raises(UserError, match=r"line 31 of .*train.de has no partner in .*train.en"):
        read(f"data.train=[{tmp_path}/train.en,{tmp_path}/train.de]")


def test_lines_end_at_line_ends_only(tmp_path):
    content = [*number_pairs(30), ("form\x0cfeed\u2028and more", "Seite\x0cund\u2028mehr")]
    write_aligned(tmp_path, "train", content)
    data = read(f"data.train=[{tmp_path}/train.en,{tmp_path}/train.de]")
    assert len(data.train) + len(data.val) + len(data.test) == 31


def test_waste_is_left_out_and_counted(tmp_path):
    content = number_pairs(40)
    train = write_pairs(tmp_path / "train.csv", [*content, content[3], ("lonely", ""), ("", "einsam")])
    test = write_pairs(tmp_path / "test.csv", [content[0], ("nine", "neun"), ("ten", " ")])
    data = read(f"data.train={train}", f"data.test={test}")
    notes = "\n".join(data.notes)
    assert "left out 2 pairs of train with an empty side" in notes
    assert "left out 1 repeated examples of train" in notes
    assert "left out 1 pairs of test with an empty side" in notes
    assert "1 examples of test are in train too" in notes
    assert len(data.test) == 2


def test_translations_of_a_source_stay_in_one_part(tmp_path):
    content = [
        (f"{source} {i}", f"{target} {form}") for i, (source, target) in enumerate(number_pairs(50)) for form in "ab"
    ]
    data = read(f"data.train={write_pairs(tmp_path / 'a.csv', content)}", "data.test_share=0.3")
    assert len(data.test) == 30
    assert not set(sources(data.test)) & set(sources(data.train))
    assert not set(sources(data.val)) & set(sources(data.train))


@pytest.mark.parametrize(
    ("how", "left", "note"),
    [("cut", 40, "cut 1 targets of train"), ("drop", 39, "left out 1 examples of train over 64")],
)
def test_long_sentences(tmp_path, how, left, note):
    long = [(" ".join(["one"] * 90), " ".join(["eins"] * 90))]
    train = write_pairs(tmp_path / "train.csv", [*number_pairs(39), *long])
    test = write_pairs(tmp_path / "test.csv", [("six six six", "sechs sechs sechs"), *long])
    data = read(
        f"data.train={train}", f"data.test={test}", f"data.val={test}", "data.max_length=64", f"data.too_long={how}",
        "data.tokens=char",
    )  # fmt: skip
    assert len(data.train) == left
    assert note in " ".join(data.notes)
    # Test keeps all pairs, whole references included.
    assert len(data.test) == 2
    assert targets(data.test)[1] == long[0][1]
    assert [len(side) for side in tokens(data.test, 1)] == [64, 64]
    assert int(data.lengths("test").max()) == 65


def test_what_is_named_counts_before_the_folder(tmp_path):
    write_aligned(tmp_path, "train", number_pairs(60)[:40])
    write_aligned(tmp_path, "test_2016", number_pairs(60)[40:50], ".gz")
    (tmp_path / "train.de.bak").write_text("old")
    words = [f"data.root={tmp_path}", "data.source_column=en", "data.target_column=de"]
    data = read(*words)
    assert sources(data.test) == [s for s, _ in number_pairs(60)[40:50]]
    assert "test_2016.en.gz" in data.notes[0]
    table = write_pairs(tmp_path / "other.csv", number_pairs(60)[50:], "en", "de")
    assert sources(read(*words, f"data.test={table}").test) == [s for s, _ in number_pairs(60)[50:]]


def test_pairs_as_the_hub_often_holds_them(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(
        "".join(
            json.dumps({"id": i, "translation": {"en": s, "de": t}}) + "\n" for i, (s, t) in enumerate(number_pairs(40))
        )
    )
    data = read(f"data.train={file}", "data.source_column=en", "data.target_column=de")
    assert len(data.train) + len(data.val) + len(data.test) == 40


def test_a_pair_whose_first_row_lacks_a_language_is_refused_by_its_row(tmp_path):
    pairs = [{"en": "one"}, *({"en": source, "de": target} for source, target in number_pairs(40))]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps({"translation": pair}) + "\n" for pair in pairs))
    data = read(f"data.train={file}", "data.source_column=en", "data.target_column=de")
    assert len(data.train) + len(data.val) + len(data.test) == 40


def test_signs_that_look_like_special_tokens_are_text(tmp_path):
    odd = ("one [PAD] two [END]", "eins [START] zwei [UNK]")
    data = read(
        f"data.train={write_pairs(tmp_path / 'a.csv', number_pairs(40))}",
        f"data.test={write_pairs(tmp_path / 'b.csv', [odd])}",
    )
    source, target = tokens(data.test, 0)
    assert source.min() > END_ID
    tokenizer = read_tokenizer(data.spec.inputs["source"].spec.tokenizer)
    assert tokenizer.encode(odd[0]).ids == source.tolist()
    assert tokenizer.decode(target.tolist()) == odd[1]


def test_casing_does_not_hide_a_shared_source(tmp_path):
    content = [
        (form(f"{source} {i}"), f"{target} {form('a')}")
        for i, (source, target) in enumerate(number_pairs(60))
        for form in (str, str.upper)
    ]
    data = read(f"data.train={write_pairs(tmp_path / 'a.csv', content)}", "data.test_share=0.3", "data.lowercase=true")
    assert not {s.lower() for s in sources(data.test)} & {s.lower() for s in sources(data.train)}


def test_unknown_characters_are_counted_and_bytes_know_all(tmp_path):
    train = write_pairs(tmp_path / "train.csv", number_pairs(40))
    test = write_pairs(tmp_path / "test.csv", [("one ☃", "eins ☃")])
    files = [f"data.train={train}", f"data.test={test}"]
    assert "2 tokens of test are unknown" in " ".join(read(*files, "data.tokens=char").notes)
    data = read(*files)
    assert "unknown" not in " ".join(data.notes)
    assert tokenizers(data)[0].decode(tokens(data.test, 0)[0].tolist()) == "one ☃"


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("tokens", ["bpe", "char"])
def test_tokens_are_written_back_as_they_were(tmp_path, joint, tokens):
    odd = ("Two 24.5 „cats“…", "Zwei 24,5 »Katzen«…  ")
    again = (odd[0] + "!", odd[1] + "!")
    data = read(
        f"data.train={write_pairs(tmp_path / 'a.csv', [*number_pairs(40), odd, again])}", f"data.joint={joint}", f"data.tokens={tokens}",
        "data.test_share=0.1", "data.split_seed=1",
    )  # fmt: skip
    writing, spec = tokenizers(data)[1], data.spec.target
    assert (spec.tokenizer == "") is joint is (spec.shared_with == "source")
    assert any("24,5" in text for text in targets(data.train))
    for text, numbers, _ in data.train.targets:
        if tokens == "char" and text.endswith("!"):
            continue  # a sign that occurs once is unknown
        assert writing.decode(numbers.tolist()) == text
    # Digits stand alone, so that numbers that were never read can be written.
    assert all(len(writing.decode([n])) == 1 for n in range(writing.get_vocab_size()) if writing.decode([n]).isdigit())


def test_batches_mark_start_and_end_and_training_reads_some_tokens_as_unknown(tmp_path):
    data = read(f"data.train={write_pairs(tmp_path / 'a.csv', number_pairs(60))}", "regularization=strong")
    torch.manual_seed(0)
    batch = data.collate([data.train[i] for i in range(30)], training=True)
    read_tokens, written = batch.inputs["source"].tokens, batch.targets.tokens
    assert (written[:, 0] == START_ID).all()
    for row in range(30):
        for side in (read_tokens, written):
            assert side[row, int((side[row] != PAD_ID).sum()) - 1] == END_ID
    assert (written != UNK_ID).all()
    assert 0.02 < float((read_tokens == UNK_ID).float().mean()) < 0.2
    assert batch.targets.texts == targets(data.train)[:30]
    quiet = data.collate([data.test[0]], training=False)
    assert (quiet.inputs["source"].tokens != UNK_ID).all()


def test_batches_hold_as_many_tokens_and_every_pair_once():
    lengths = np.random.default_rng(0).integers(3, 60, 2000)
    plan = bucketed(lengths, 50, 0, even_tokens=True)
    for epoch in (0, 1):
        batches = plan(epoch)
        assert len(batches) == 40
        assert sorted(np.concatenate(batches)) == list(range(2000))
        tokens = [lengths[batch].sum() for batch in batches]
        assert max(tokens) - min(tokens) < 2 * 60
    assert not np.array_equal(plan(0)[0], plan(1)[0])


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 3), st.integers(40, 200))
def test_batches_of_tokens_are_never_too_small_and_as_many_in_each_epoch(batch_size, least, seed, size):
    """Also where a few sentences are a hundred times as long as the others."""
    lengths = np.where(np.random.default_rng(seed).random(size) < 0.05, 500, 5)
    count = -(-size // batch_size)
    assume(count * least <= size)
    plan = bucketed(lengths, batch_size, seed, even_tokens=True, least=least)
    for epoch in range(3):
        batches = plan(epoch)
        assert len(batches) == count
        assert min(map(len, batches)) >= least
        assert sorted(np.concatenate(batches)) == list(range(size))


def test_multi30k_is_padded_little(shared_data):
    root = shared_data / "translation" / "multi30k_en_de"
    data = build_task(config("task=translation", "data=multi30k", f"data.root={root}")).load_data()
    assert list(map(len, (data.train, data.val, data.test))) == [28997, 1014, 1000]
    assert "test_2016_flickr" in " ".join(data.notes)
    sides = [data.train.columns["source"].lengths(), np.array([len(t.tokens) + 1 for t in data.train.targets])]

    def padding(batches):
        held = sum(int(side[batch].max()) * len(batch) for side in sides for batch in batches)
        return 1 - sum(side.sum() for side in sides) / held

    head = data.spec.head
    assert padding(bucketed(data.lengths("train"), 64, 0, head.pool, head.even_tokens)(0)) < 0.10
    assert padding(shuffled(len(data.train), 64, 0)(0)) > 0.4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"the sentence pairs are missing: name data\.root=FOLDER, data\.train=FILE or data\.hub=NAME"),
        (["data.train=nowhere.csv"], "there is no such file"),
        (["data.train=A", "data.source_column=english"], "no column english; there are source, target. Name the one"),
        (["data.train=[A,B,C]"], "two aligned text files"),
        (["data.train=[x.en,x.de]"], "x.en: there is no such file"),
        (["data.val=[x.en,x.de]"], "data.train is missing"),
        (["data.train=A", "data.source_column=target"], "are both target"),
        (["data.train=FOLDER"], r"no file there can be read.*data\.root="),
        (["data.root=FOLDER"], "aligned texts, say which is which: data.source_column=de data.target_column=en"),
        (["data.train=EMPTY"], "empty.csv has no rows"),
        (["data.train=ONE"], r"off 1 different inputs, needed are 20: .*data\.val= data\.test="),
        (
            ["data.train=A", "data.max_length=2", "data.too_long=drop"],
            r"all examples of (train|val) are over data\.max_length=2",
        ),
    ],
)
def test_errors_say_what_to_do(tmp_path, words, message):
    files = {
        "A": write_pairs(tmp_path / "a.csv", number_pairs(40)),
        "EMPTY": write_pairs(tmp_path / "empty.csv", [("", "")]),
        "ONE": write_pairs(tmp_path / "one.csv", number_pairs(1)),
        "FOLDER": tmp_path / "texts",
    }
    files["FOLDER"].mkdir()
    write_aligned(files["FOLDER"], "train", number_pairs(40))
    for name, file in files.items():
        words = [re.sub(f"={name}$", f"={file}", word) for word in words]
    with pytest.raises(UserError, match=message):
        read(*words)


def test_halves_of_characters_are_counted_and_lists_refused(tmp_path):
    pairs = [{"source": f"cut tweet {i} \ud83d", "target": f"Tweet {i}"} for i in range(30)]
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(map(json.dumps, pairs)))
    data = read(f"data.train={file}")
    assert sources(data.train)[0].endswith("\N{REPLACEMENT CHARACTER}")
    assert any("30 texts hold halves of characters" in note for note in data.notes)
    pairs[3]["source"] = ["Tweet"]
    file.write_text("\n".join(map(json.dumps, pairs)))
    with pytest.raises(UserError, match=r"column source: a text is needed, not list .line 4"):
        read(f"data.train={file}")
