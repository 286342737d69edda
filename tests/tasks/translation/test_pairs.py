"""Pairs of all languages: named in any way, scored by words that are found, kept as written, and noise among them."""

# ruff: noqa: RUF001 - letters of other scripts that look like Latin ones

import gzip

import numpy as np
import pandas as pd
import pytest
import sacrebleu

from mla_train.data.languages import bleu_tokenizer, is_language, language_code, scored_language, script
from mla_train.data.tokenizers import learn_tokenizer
from mla_train.errors import UserError
from mla_train.heads import text_metrics
from mla_train.heads.text_metrics import TextMetrics
from mla_train.modalities.text import clean
from mla_train.task import build_task
from tests.helpers import config, number_pairs, write_aligned, write_jsonl, write_pairs

CHINESE = ["我喜欢这本书", "今天天气很好", "他在学校工作"]
WRITTEN = ["我喜欢这部书", "今天天气很好吗", "他在学校学习"]


def read(*words):
    return build_task(config("task=translation", "data=pair_files", "data.vocab_size=300", *words)).load_data()


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (
            ("zh", "ZH", "zh-CN", "zh_CN", "zh-Hant-TW", "zho", "chi", "cmn_Hans", "Chinese", "Chinese (Simplified)"),
            "zh",
        ),
        (("ja", "jpn", "JA_jp", "Japanese"), "ja"),
        (("ko", "kor", "korean", "ko-KR"), "ko"),
        (("de", "deu", "ger", "German", "de_AT"), "de"),
        (("pt_BR", "por"), "pt"),
        (("xx", "XX-yy"), "xx"),
    ],
)
def test_languages_by_their_names(names, code):
    assert {language_code(name) for name in names} == {code}


def test_names_of_columns_that_are_languages():
    assert is_language("zh-CN")
    assert is_language("de")
    assert not is_language("target")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ein Haus, 12!", "LATIN"), ("今天天气很好", "CJK"), ("学校に行きます", "KANA"), ("나는 책을 읽는다", "HANGUL"),
        ("Мама мыла раму", "CYRILLIC"), ("สวัสดี", "THAI"), ("مرحبا", "ARABIC"), ("12 + 3 = 15 <b>", "LATIN"), ("12:30", ""),
    ],
)  # fmt: skip
def test_scripts(text, expected):
    assert script(text) == expected


@pytest.mark.parametrize("name", ["zh", "zh-CN", "zh_CN", "ZH", "zho", "Chinese", "en", "de", "ko"])
def test_chinese_is_scored_by_its_tokenizer_whatever_it_is_called(name):
    metrics = TextMetrics(name, lowercase=False)
    scores = metrics(WRITTEN, CHINESE)
    assert scores["bleu"] == sacrebleu.corpus_bleu(WRITTEN, [CHINESE], tokenize="zh").score > 60
    assert scores["bleu_tokenized"] == pytest.approx(scores["bleu"])
    assert "tok:zh" in metrics.signatures["bleu"]
    assert "after sacrebleu's zh" in metrics.signatures["bleu_tokenized"]


@pytest.mark.parametrize(
    ("language", "references", "expected"),
    [
        ("zh", ["これは本です", "東京"], "ja"),
        ("ja", ["東京大学", "京都"], "ja"),
        ("en", ["나는 책을 읽는다"], "ko"),
        ("en", ["สวัสดีครับ"], "th"),
        ("en", ["Hello 世界"], "en"),
        ("zh", ["OK", "iPhone"], "zh"),
        ("ru", ["Мама мыла раму"], "ru"),
        ("en", [], "en"),
    ],
)
def test_a_tokenizer_is_never_blind_for_the_script(language, references, expected):
    assert scored_language(language, references) == expected


def test_without_a_dictionary_characters_are_compared(monkeypatch):
    monkeypatch.setattr("mla_train.data.languages.find_spec", lambda name: None)
    assert bleu_tokenizer("jpn") == bleu_tokenizer("ko") == "char"
    monkeypatch.setattr("mla_train.data.languages.find_spec", lambda name: name)
    assert (bleu_tokenizer("ja"), bleu_tokenizer("ko"), bleu_tokenizer("zh")) == ("ja-mecab", "ko-mecab", "zh")
    assert text_metrics.bleu_tokenizer("de") == "13a"


def test_several_references():
    texts, references = ["a b c d e", "x y z w"], ["a b c q r", "x y z w"]
    others = [("a b c d e", "a b q"), ()]
    scores = TextMetrics("en", lowercase=False)(texts, references, others)
    streams = [references, ["a b c d e", None], ["a b q", None]]
    assert scores["bleu"] == sacrebleu.corpus_bleu(texts, streams).score == pytest.approx(100)
    assert scores["chrf"] == sacrebleu.corpus_chrf(texts, streams).score
    assert scores["exact_match"] == 1
    assert TextMetrics("en", lowercase=False)(texts, references)["exact_match"] == 0.5


def test_targets_of_a_source_are_its_references(tmp_path):
    train = write_pairs(tmp_path / "train.csv", number_pairs(40))
    test = [
        ("ten", "zehn"),
        ("nine nine", "neun neun"),
        ("ten", "zehne"),
        ("ten", "zehn"),
        ("six", "sechs"),
        ("six", "sechs"),
    ]
    data = read(f"data.train={train}", f"data.test={write_pairs(tmp_path / 'test.csv', test)}")
    assert [target.others for target in data.test.targets] == [("zehne",), (), None, None, (), ()]
    assert "1 inputs of test have several targets: each is scored once, against all of them" in data.notes
    assert all(target.others == () for target in data.train.targets)
    batch = data.collate([data.test[i] for i in range(6)], training=False)
    head = data.spec.head
    labels = head.labels(None, batch)
    network = (
        build_task(config("task=translation", "data=pair_files", f"data.train={train}")).build_model(data.spec).head
    )
    predictions = labels | {"predicted": ["zehne", "neun neun", "?", "?", "sechs", "sieben"]}
    scores = network.metrics(predictions)
    assert scores["exact_match"] == 3 / 4
    kept = ["zehne", "neun neun", "sechs", "sieben"]
    streams = [["zehn", "neun neun", "sechs", "sechs"], ["zehne", None, None, None]]
    assert scores["bleu"] == sacrebleu.corpus_bleu(kept, streams).score


@pytest.mark.parametrize(
    ("words", "language"),
    [([], "de"), (["data.target_language=German"], "de"), (["data.target_language=fr"], "fr")],
)
def test_the_language_of_files(tmp_path, words, language):
    write_aligned(tmp_path, "train", number_pairs(40))
    assert read(f"data.train=[{tmp_path}/train.en,{tmp_path}/train.de]", *words).spec.target.language == language
    folder = read(f"data.root={tmp_path}", "data.source_column=en", "data.target_column=de", *words)
    assert folder.spec.target.language == language


def test_what_is_scored_as_another_language_is_said(tmp_path):
    pairs = [(f"sentence {i}", text + CHINESE[i % 3]) for i, text in enumerate("一二三四五六七八九十百千万年月日" * 2)]
    data = read(f"data.train={write_pairs(tmp_path / 'a.csv', pairs)}")
    notes = "\n".join(data.notes)
    assert data.spec.target.language == "zh"
    assert "targets are written in the script of zh, not of en: BLEU finds words as in zh" in notes
    japanese = [(source, f"{target}です") for source, target in pairs]
    data = read(f"data.train={write_pairs(tmp_path / 'b.csv', japanese)}", "data.target_language=japanese")
    if bleu_tokenizer("ja") == "char":
        assert "pip install 'sacrebleu[ja]'" in "\n".join(data.notes)


TEXTS = [
    "<b>bold</b> and &amp; &nbsp; &#39;quoted&#39; {name} %s ✓",
    "مرحبا \u200fبالعالم 123",
    "שלום \u202bעולם\u202c!",
    "今天天气很好。我们去学校吧",
    "これはペンです。",
    "สวัสดีครับ",
    "안녕하세요 세계",
    "नमस्ते दुनिया क्षत्रिय",
    "👩\u200d🔬 naïve Zoë e\u0301",
]


@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_texts_come_back_as_they_were(kind):
    kinds = {each.value: each for each in config("task=translation").data.tokens.__class__}
    cleaned = [clean(text) for text in TEXTS]
    tokenizer = learn_tokenizer(cleaned * 2, kinds[kind], 600, to_write=True)
    assert tokenizer.decode_batch([each.ids for each in tokenizer.encode_batch(cleaned)]) == cleaned


def noisy():
    """Forty good pairs, and of noise two equal, one long and two of another script."""
    good = [
        (f"{source} {i} and so on", f"{target} {i} und so weiter")
        for i, (source, target) in enumerate(number_pairs(40))
    ]
    return [
        *good,
        ("1984", "1984"),
        ("the same", "the  same"),
        ("one", "eins " * 40),
        ("two", "Мама мыла раму"),
        ("今天", "heute"),
    ]


@pytest.mark.parametrize(
    ("kinds", "left"), [("", 45), ("identical", 43), ("ratio", 44), ("identical,ratio,script", 40)]
)
def test_noise_is_counted_and_left_out_of_train_by_option(tmp_path, kinds, left):
    train, test = write_pairs(tmp_path / "train.csv", noisy()), write_pairs(tmp_path / "test.csv", noisy()[-5:])
    data = read(f"data.train={train}", f"data.test={test}", f"data.val={test}", f"data.drop=[{kinds}]")
    notes = "\n".join(data.notes)
    assert (
        "of 45 pairs of train, 2 have equal sides, 1 differ in length by more than 3 times the usual ratio, 2 have"
        in notes
    )
    assert "data.drop=[identical,ratio,script] leaves those of train out" in notes
    assert (f"left out {45 - left} pairs of train (data.drop)" in notes) == (left < 45)
    assert (len(data.train), len(data.test)) == (left, 5)


def test_nothing_is_said_of_good_pairs(tmp_path):
    data = read(f"data.train={write_pairs(tmp_path / 'a.csv', noisy()[:40])}", "data.drop=[identical]")
    assert not any("data.drop" in note for note in data.notes)
    same = write_pairs(tmp_path / "b.csv", [(str(i), str(i)) for i in range(40)])
    with pytest.raises(UserError, match=r"data.drop=\['identical'\] leaves no training pair"):
        read(f"data.train={same}", "data.drop=[identical]")


def test_a_side_in_the_language_of_the_other_is_counted_and_left_out_by_option(tmp_path):
    pairs = [
        (f"the cat sees {a} dogs and {b} birds", f"die Katze sieht {a} Hunde und {b} Vögel")
        for a in range(9)
        for b in range(9)
    ]
    odd = [
        ("the birds see 3 dogs", "the dogs and the cat"),
        ("die Katze und die Hunde", "die Vögel"),
        ("the dogs", "the dogs"),
    ]
    file = write_pairs(tmp_path / "a.csv", pairs + odd)
    notes = "\n".join(read(f"data.train={file}").notes)
    assert "1 have equal sides, 2 have a side in the language of the other (data.drop=[identical,language]" in notes
    data = read(f"data.train={file}", "data.drop=[language]")
    assert "left out 2 pairs of train (data.drop)" in data.notes
    same = write_pairs(tmp_path / "b.csv", [(source, source.replace("sees", "saw")) for source, _ in pairs])
    assert not any("data.drop" in note for note in read(f"data.train={same}").notes)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_lists_of_targets_are_references(tmp_path, ending):
    train = write_pairs(tmp_path / "train.csv", number_pairs(40))
    rows = [
        {"id": "a", "source": "ten", "target": ["zehn", "zehne"]},
        {"id": "b", "source": "six", "target": ["sechs"]},
    ]
    file = tmp_path / f"test.{ending}"
    if ending == "jsonl":
        write_jsonl(
            file, [*rows, {"id": "c", "source": "nine", "target": "neun"}, {"id": "d", "source": "two", "target": []}]
        )
    else:
        pd.DataFrame(rows).to_parquet(file)
    data = read(f"data.train={train}", f"data.test={file}")
    assert [target.others for target in data.test.targets][:3] == [("zehne",), None, ()]
    assert any("rows have a list as target: each of its texts is a target" in note for note in data.notes)
    assert any("1 pairs of test with an empty side" in note for note in data.notes) == (ending == "jsonl")
    assert [name.row for name in data.test.names][:3] == [
        f"{'line' if ending == 'jsonl' else 'row'} {n}" for n in (1, 1, 2)
    ]


def test_a_list_of_targets_that_is_written_as_text_is_refused(tmp_path):
    train = write_pairs(tmp_path / "train.csv", [*number_pairs(40), ("ten", "['zehn', 'zehne']")])
    with pytest.raises(UserError, match=r"line 42: target is a list that is written as text.*jsonl"):
        read(f"data.train={train}")
    data = read(f"data.train={write_pairs(tmp_path / 'ok.csv', [*number_pairs(40), ('one', '[1]'), ('two', '[...]')])}")
    assert len(data.train) + len(data.val) + len(data.test) == 42


@pytest.mark.parametrize(
    ("parts", "ending"), [(1, "csv"), (2, "csv"), (3, "csv"), (2, "jsonl"), (2, "tsv"), (2, "csv.gz")]
)
def test_lists_of_tables_are_parts_of_one(tmp_path, parts, ending):
    pairs = number_pairs(60)
    files = []
    for part in range(parts):
        file = write_pairs(tmp_path / f"{part}.{ending.removesuffix('.gz')}", pairs[part::parts])
        if ending.endswith(".gz"):
            packed = tmp_path / f"{part}.{ending}"
            packed.write_bytes(gzip.compress(file.read_bytes()))
            file = packed
        files.append(str(file))
    data = read(f"data.train=[{','.join(files)}]")
    assert sum(len(part) for part in (data.train, data.val, data.test)) == 60
    assert set(data.test.columns["source"].texts) <= {source for source, _ in pairs}


def test_other_lists_are_refused(tmp_path):
    write_aligned(tmp_path, "train", number_pairs(40))
    table = write_pairs(tmp_path / "a.csv", number_pairs(40))
    for files in ([tmp_path / "train.en"], [tmp_path / "train.en", table], [tmp_path / "train.en"] * 3):
        with pytest.raises(UserError, match=r"data\.train=\[SOURCES,TARGETS\]"):
            read(f"data.train=[{','.join(map(str, files))}]")


def test_japanese_mixes_scripts():
    from tasks.translation.config import PairNoise
    from tasks.translation.noise import find_noise

    targets = ["これは本です", "東京", "カタカナ", "日本語を話します"] * 3 + ["Hello there"]
    noise = find_noise(["a sentence"] * 13, targets)[PairNoise.script]
    assert list(np.flatnonzero(noise)) == [12]
