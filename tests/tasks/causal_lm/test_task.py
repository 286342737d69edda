"""A language model: what it scores and may see, how it writes, what it is compared with, and a run at the command line."""

import json
import re
from collections import Counter
from math import log2

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.config import SamplingOptions
from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID, learn_exact_tokenizer, read_tokenizer, token_bytes
from mla_train.dataset import raw_batch
from mla_train.errors import UserError
from mla_train.heads.continuation import Continuation, continued_before
from mla_train.heads.next_tokens import metrics_of_sums
from mla_train.heads.streamed_text import StreamedText
from mla_train.nn.generation import penalized, sharpened
from mla_train.task import build_task
from tasks.causal_lm.baselines import Counts, bytes_of, chances, last_bytes
from tasks.causal_lm.config import PythonSourcesConfig
from tasks.causal_lm.python_sources import read_python_sources
from tests.helpers import SMALL, check_report, config, python, randomize, read_jsonl, train

LINES = [f"def f{i}(x):\n\treturn  x + {i}  # {'odd' if i % 2 else 'even'}\r\n" for i in range(60)]


def corpus(folder, count=60):
    """Small functions, a paragraph each."""
    (folder / "corpus.txt").write_bytes("\n".join(LINES[:count]).encode())
    return folder / "corpus.txt"


def load(folder, *words):
    options = ["task=causal_lm", "data=text_lines", f"data.train={corpus(folder)}", "data.documents=paragraph"]
    task = build_task(config(*SMALL, *options, "data.vocab_size=300", *words))
    return task, task.load_data()


def model_of(folder, *words):
    task, data = load(folder, *words)
    torch.manual_seed(0)
    return randomize(task.build_model(data.spec)).eval(), data


def continued(model, texts, **options):
    model.head.sampling = SamplingOptions(**options)
    return model.predict(raw_batch(model.spec, [{"text": text} for text in texts]))["predicted"]


@settings(deadline=None)
@given(st.text(), st.booleans())
def test_a_text_is_restored_from_its_tokens(text, lowercase):
    written = learn_exact_tokenizer(["def f(x):\n    return x"], 300, lowercase).to_str()
    tokenizer = read_tokenizer(written)
    tokens = tokenizer.encode(text).ids
    table = token_bytes(tokenizer)
    restored = b"".join(table[token] for token in tokens).decode()
    assert restored == tokenizer.decode(tokens)
    assert restored == text or (lowercase and restored.lower() == text.lower())
    assert not any(token <= END_ID for token in tokens)


def test_pieces_give_the_texts_back(tmp_path):
    _, data = load(tmp_path, "data.max_length=7")
    tokenizer, found = data.spec.inputs["text"].tokenizer, []
    for split in (data.train, data.val, data.test):
        tokens: list[int] = []
        for read, following in zip(split.columns["text"].tokens, split.targets, strict=True):
            assert len(read) == len(following) <= 7
            assert read[0] == START_ID
            np.testing.assert_array_equal(read[1:], following[:-1])
            tokens += following.tolist()
            if tokens[-1] == END_ID:
                found.append(tokenizer.decode(tokens[:-1]))
                tokens = []
        assert not tokens
        assert len(np.unique(split.groups)) < len(split)
    assert sorted(found) == sorted(line.rstrip("\r\n") for line in LINES)


def test_a_whole_file_is_a_text_with_all_its_blanks(tmp_path):
    text = "\n\n  first\r\n\r\nlast \n\n"
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_bytes(text.encode())
    words = [f"data.{split}={tmp_path / name}.txt" for split, name in (("train", "a"), ("val", "b"), ("test", "c"))]
    task = build_task(config("task=causal_lm", "data=text_lines", "data.documents=file", *words))
    data = task.load_data()
    (tokens,) = data.train.targets
    assert data.spec.inputs["text"].tokenizer.decode(tokens[:-1].tolist()) == text


def test_loss_and_gradients_are_those_of_the_whole_matrix(tmp_path):
    model, data = model_of(tmp_path, "data.max_length=12")
    batch = data.collate([data.train[place] for place in range(6)], training=True)
    total, count = model.head.loss(model(batch), batch)
    total.backward()
    table = model.embeddings["text"].tokens.weight
    found, table.grad = table.grad.clone(), None
    everywhere = model.encode(batch)["text"].tokens @ table.T
    following = batch.targets.tokens
    expected = F.cross_entropy(everywhere.flatten(0, 1), following.flatten(), ignore_index=PAD_ID, reduction="sum")
    expected.backward()
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(found, table.grad)
    assert count == (following != PAD_ID).sum() == sum(map(len, data.train.targets[:6]))
    columns = model.predict(batch)
    size = sum(map(len, bytes_of(data.train, model.head.token_bytes)[:6]))
    metrics = model.head.metrics(columns)
    assert metrics["bits_per_byte"] == pytest.approx(expected.item() / np.log(2) / size, rel=1e-5)
    assert metrics["perplexity"] == pytest.approx(float(torch.exp(expected / count)), rel=1e-5)
    right = (everywhere.argmax(-1) == following)[following != PAD_ID]
    assert metrics["accuracy"] == pytest.approx(right.float().mean().item())
    drawn = model.head.metrics_of_draws(columns, iter([np.arange(6), np.array([0, 0])]))
    assert drawn["bits_per_byte"][0] == pytest.approx(metrics["bits_per_byte"])


@settings(deadline=None)
@given(st.text("abé日\n", max_size=12), st.lists(st.text("abé日", min_size=1, max_size=4), max_size=3), st.data())
def test_pieces_of_a_text_are_the_text_as_it_is_in_the_end(text, stops, data):
    whole, pieces_written = text.encode(), []
    stream = StreamedText(pieces_written.append, [stop.encode() for stop in stops])
    end = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
    place = 0
    while place < len(whole):
        place = data.draw(st.integers(place + 1, len(whole)))
        stream.write(whole[:place])
        assert text[:end].startswith("".join(pieces_written))
        if any(stop.encode() in whole[:place] for stop in stops):
            break
    stream.write(text[:end].encode(), is_over=True)
    assert "".join(pieces_written) == text[:end]


def test_a_text_is_told_while_it_is_written(tmp_path):
    model, _ = model_of(tmp_path)
    (expected,) = continued(model, ["def f"], max_new_tokens=30)
    pieces_written = []
    model.head.on_piece = pieces_written.append
    assert continued(model, ["def f"], max_new_tokens=30) == [expected]
    assert "".join(pieces_written) == expected
    assert len(pieces_written) > 3
    pieces_written.clear()
    continued(model, ["def f", "def g"], max_new_tokens=3)
    assert not pieces_written


def test_bits_per_byte_by_hand():
    sums = {"loss": np.log(2) * 3 + np.log(4), "bytes": 10.0, "tokens": 4.0, "correct": 1.0}
    found = metrics_of_sums(sums)
    assert found["bits_per_byte"] == pytest.approx(0.5)  # three tokens of one bit and one of two, in ten bytes
    assert found["perplexity"] == pytest.approx(2 ** (5 / 4))
    assert found["accuracy"] == 0.25


@pytest.mark.parametrize("words", [[], ["attention=mha"], ["attention.score=additive"], ["attention.pattern=window"]])
def test_later_tokens_never_change_what_is_said_of_earlier_ones(words, tmp_path):
    model, data = model_of(tmp_path, "data.max_length=16", *words)
    batch = data.collate([data.train[place] for place in range(4)], training=False)
    before = model.encode(batch)["text"].tokens
    batch.inputs["text"].tokens[:, 6:] = 5
    after = model.encode(batch)["text"].tokens
    torch.testing.assert_close(after[:, :6], before[:, :6], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after[:, 6:], before[:, 6:])


@pytest.mark.parametrize(
    "words", [[], ["attention=mha"], ["attention.pattern=window"], ["encoder.block=conv_attention"]]
)
def test_scores_while_writing_are_those_of_the_whole_text(words, tmp_path):
    model, data = model_of(tmp_path, "data.max_length=32", *words)
    tokens = torch.randint(4, data.spec.inputs["text"].spec.vocab_size, (3, 12))
    tokens[:, 0] = START_ID
    batch = data.collate([data.train[place] for place in range(3)], training=False)
    batch.inputs["text"].tokens, batch.inputs["text"].padding = tokens, tokens == PAD_ID
    with torch.no_grad():
        scores = model.head.scores(model.encode(batch)["text"].tokens)
        expected = scores[..., END_ID:].log_softmax(-1)
        state = Continuation(model.head, tokens[:, :5])
        assert (state.cache is None) == bool(words and "mha" not in words[0])
        found = [state.step(tokens[:, 4])] + [state.step(tokens[:, place]) for place in range(5, 12)]
    torch.testing.assert_close(torch.stack(found, 1)[..., END_ID:], expected[:, 4:], rtol=1e-4, atol=1e-4)
    state.reorder(torch.tensor([2, 0]))
    assert state.tokens.tolist() == tokens[[2, 0]].tolist()


def test_a_text_longer_than_a_piece_goes_on_from_its_last_half(tmp_path):
    model, _ = model_of(tmp_path, "data.max_length=8")
    state = Continuation(model.head, torch.tensor([[START_ID, 10, 11, 12, 13, 14, 15, 16]]))
    with torch.no_grad():
        state.step(torch.tensor([0]))
        scores = state.step(torch.tensor([17]))
        assert state.tokens.tolist() == [[START_ID, 14, 15, 16, 17]]
        torch.testing.assert_close(scores, Continuation(model.head, state.tokens).step(torch.tensor([0])))
    assert len(continued(model, ["def f(x): return x + 1 + 2 + 3 + 4"], max_new_tokens=30)[0]) > 0


@pytest.mark.parametrize("attention", ["mla", "mha"])
def test_reading_ahead_changes_no_score(attention, tmp_path):
    model, _ = model_of(tmp_path, "data.max_length=40", f"attention={attention}")
    begun = torch.tensor([[START_ID, 10, 11, 12, 13, 10, 11]])
    coming = [12, 13, 10, 11, 14, 10, 11, 12, 13, 10, 20, 10, 11, 14, *range(4, 24), 10, 11, 12]  # beyond a piece
    plain, ahead = Continuation(model.head, begun), Continuation(model.head, begun, lookup=3)
    with torch.no_grad():
        for token in [0, *coming]:
            expected, found = (state.step(torch.tensor([token])) for state in (plain, ahead))
            torch.testing.assert_close(found[:, END_ID:], expected[:, END_ID:], rtol=1e-4, atol=1e-4)
    assert ahead.tokens.tolist() == plain.tokens.tolist()
    assert ahead.steps_saved == 7  # counted by hand
    assert plain.steps_saved == 0
    text = "def f(x): return f(x) + f(x) + f("
    assert continued(model, [text], max_new_tokens=30, lookup=4) == continued(model, [text], max_new_tokens=30)


@given(tokens=st.lists(st.integers(0, 3), max_size=30), count=st.integers(0, 5))
def test_what_stood_behind_the_same_tokens_is_guessed(tokens, count):
    found = continued_before(tokens, count)
    for size in (4, 3, 2):
        places = [
            place
            for place in range(len(tokens) - size)
            if size <= len(tokens) and tokens[place:][:size] == tokens[-size:]
        ]
        if places:
            assert found == tokens[places[-1] + size :][:count]
            return
    assert found == []


def test_a_seed_and_a_text_give_a_continuation_in_any_company(tmp_path):
    model, _ = model_of(tmp_path)
    alone = continued(model, ["def f"], max_new_tokens=12)
    assert continued(model, ["def f"], max_new_tokens=12) == alone
    assert continued(model, ["return", "def f", "x", "def g"], max_new_tokens=12)[1] == alone[0]
    assert continued(model, ["def f"], max_new_tokens=12, seed=1) != alone
    shorter = continued(model, ["def f"], max_new_tokens=5)[0]
    assert alone[0].startswith(shorter.rstrip("\N{REPLACEMENT CHARACTER}"))  # half a character may stand at its end


def test_temperature_zero_is_the_likeliest_token_each_time(tmp_path):
    model, data = model_of(tmp_path)
    tokenizer = data.spec.inputs["text"].tokenizer
    tokens = [START_ID, *tokenizer.encode("def f").ids]
    start, state = len(tokens), Continuation(model.head, torch.tensor([tokens]))
    with torch.no_grad():
        while len(tokens) < start + 8:
            tokens.append(int(state.step(torch.tensor(tokens[-1:])).argmax()))
            if tokens[-1] == END_ID:
                tokens.pop()
                break
    assert continued(model, ["def f"], max_new_tokens=8, temperature=0) == [tokenizer.decode(tokens[start:])]
    assert continued(model, ["def f"], max_new_tokens=8, top_k=1) == [tokenizer.decode(tokens[start:])]


def test_a_text_ends_at_a_stop(tmp_path):
    model, _ = model_of(tmp_path)
    (whole,) = continued(model, ["def f"], max_new_tokens=40)
    (stop,) = re.findall(r"[!-~]", whole)[2:3]
    assert continued(model, ["def f"], max_new_tokens=40, stop=[stop, "never there"]) == [whole[: whole.index(stop)]]


def test_what_is_sampled_from():
    scores = torch.tensor([[0.1, 0.4, 0.3, 0.2]]).log()
    found, order = sharpened(scores, 1.0, None, 1.0, 0.0)
    assert order.tolist() == [[1, 2, 3, 0]]
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.3, 0.2, 0.1]]))
    for options, kept in (
        ((1.0, 2, 1.0, 0.0), 2),
        ((1.0, None, 0.69, 0.0), 2),
        ((1.0, None, 1.0, 0.6), 2),
        ((0, None, 1.0, 0.0), 1),
    ):
        assert (sharpened(scores, *options)[0] > 0).sum() == kept
    lower = penalized(scores, torch.tensor([[1, 1]]), 2.0)
    torch.testing.assert_close(lower, torch.tensor([[0.1, 0.16, 0.3, 0.2]]).log())


def test_ngrams_count_as_a_naive_count_does():
    train_text, text = b"abracadabra abracadabra", b"abrac xyz"
    found = Counts(train_text).found(text)
    discount = 0.5

    def naive(place, order):
        if order == 0:
            return 1 / 256
        padded, context_size = bytes(order - 1) + train_text, order - 1
        context = (bytes(context_size) + text)[place : place + context_size]
        follows = Counter(
            padded[i + context_size] for i in range(len(train_text)) if padded[i : i + context_size] == context
        )
        total, shorter = sum(follows.values()), naive(place, order - 1)
        if not total:
            return shorter
        return (max(follows[text[place]] - discount, 0) + discount * len(follows) * shorter) / total

    for order in (1, 2, 3, 5):
        expected = [naive(place, order) for place in range(len(text))]
        np.testing.assert_allclose(chances(found, order, discount), expected)


def test_the_last_bytes_are_those_of_all_pieces_joined(tmp_path):
    data = load(tmp_path, "data.max_length=7")[1]
    table = token_bytes(data.spec.inputs["text"].tokenizer)
    whole = b"".join(bytes_of(data.train, table))
    for most in (1, 20, 333, len(whole), 10**6):
        assert last_bytes(data.train, table, most) == whole[-most:]


def test_baselines_are_measured_on_the_same_bytes(tmp_path):
    task, data = load(tmp_path)
    sizes = [len(piece) for piece in bytes_of(data.test, token_bytes(data.spec.inputs["text"].tokenizer))]
    model = task.build_model(data.spec)
    from mla_train.baselines import Limit

    for name, baseline in task.baselines(data).items():
        done = baseline(Limit())
        np.testing.assert_array_equal(done.test["bytes"], sizes, err_msg=name)
        bits = model.head.metrics(done.test)["bits_per_byte"]
        assert 0 < bits < log2(256), name


def test_python_sources_are_split_by_file_alike_each_time():
    first, again = (read_python_sources(PythonSourcesConfig(max_bytes_read=2_000_000)) for _ in range(2))
    assert first == again
    more = read_python_sources(PythonSourcesConfig(max_bytes_read=4_000_000))
    for split, part in first.splits.items():
        assert set(part.names) <= set(more.splits[split].names)  # none changes its split
        assert not any({"test", "site-packages"} & set(name.split("/")) for name in part.names)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["data.train=empty.txt"], "data.train has no text"),
        (["data.train=zeros.txt"], "data.encoding="),
        (["data.train=a.txt", "data.tokens=word"], "data.tokens=bpe"),
        (["data.train=a.txt", "encoder.latent=array"], "encoder.latent=plain"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(words, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("".join(f"one two {i}\n" for i in range(30)))
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "zeros.txt").write_bytes(b"ab\0cd\n" * 9)
    with pytest.raises(UserError, match=re.escape(key)):
        build_task(config("task=causal_lm", "data=text_lines", *words)).load_data()


@pytest.mark.slow
def test_own_texts_are_learned_from_and_continued(tmp_path):
    corpus(tmp_path)
    words = ["task=causal_lm", "data=text_lines", "data.train=corpus.txt", "data.documents=paragraph", "run_dir=mine"]
    train(
        *words, *SMALL, "encoder.dim=32", "data.vocab_size=300", "data.max_length=24", "epochs=12", "lr=1e-2",
        "hardware.threads=1", cwd=tmp_path, pages=True,
    )  # fmt: skip
    results = json.loads((tmp_path / "mine" / "results.json").read_text())
    assert results["monitor"]["name"] == "val/bits_per_byte"
    assert results["metrics"]["test"]["bits_per_byte"] < 4
    assert results["intervals"]["bits_per_byte"][0] < results["metrics"]["test"]["bits_per_byte"]
    assert results["baselines"].keys() == {"ngram", "lzma", "bz2"}
    check_report(tmp_path / "mine")
    assert "goes on as" in (tmp_path / "mine" / "figures" / "samples.md").read_text()
    rows = read_jsonl(tmp_path / "mine" / "predictions.jsonl")
    assert {"text", "bits_per_byte", "perplexity"} <= rows[0].keys()
    (tmp_path / "new.jsonl").write_text('{"text": "def f7(x):\\n"}\n{"text": ""}\n{"text": "def f8"}\n')
    command = ["scripts/predict.py", "--run", "mine", "--input", "new.jsonl", "--max-new-tokens", "20"]

    def written(*more):
        done = python(*command, *more, cwd=tmp_path)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    first = written()
    assert [row["text"] for row in first] == ["def f7(x):\n", "", "def f8"]
    assert "no text" in first[1]["error"]
    assert isinstance(first[0]["prediction"], str)
    assert written() == first
    assert written("--seed", "1") != first
    assert "x" not in written("--stop", "x", "--temperature", "0")[2]["prediction"]
    for options, key in (
        (("--top-p", "2"), "--top-p"),
        (("--temperature", "-1"), "--temperature"),
        (("--beams", "2"), "--beams"),
    ):
        done = python(*command, *options, cwd=tmp_path, check=False)
        assert done.returncode == 1
        assert key in done.stderr
    done = python(*command, "--output", "out.txt", cwd=tmp_path, check=False)
    assert ".jsonl" in done.stderr


def test_labels_of_a_classification_are_not_read(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"A text number {i},c{i}\n" for i in range(60)))
    words = ["task=causal_lm", "data=text_files", f"data.train={tmp_path / 'rows.csv'}"]
    data = build_task(config(*words)).load_data()
    assert data.spec.to_dict()["head"]["kind"] == "next_tokens"
    assert data.spec.to_dict()["inputs"]["text"]["tfidf_size"] == 0
    assert any("lower case" in note for note in data.notes)


@pytest.mark.parametrize("words", [["regularization=[light,rdrop]"], ["attention=mha"], ["attention.pattern=window"]])
def test_other_options_work_with_it(words, tmp_path):
    train(
        "task=causal_lm", "data=text_lines", f"data.train={corpus(tmp_path)}", *SMALL, *words, "epochs=1", "run_dir=mine",
        "baselines=none", "data.max_length=24", cwd=tmp_path,
    )  # fmt: skip
    assert (tmp_path / "mine" / "results.json").is_file()
