"""Generated texts: what is written token by token is what training sees, whatever the inputs; metrics of texts."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import sacrebleu
import torch
import torch.nn.functional as F

from mla_train.config import FusionOptions, GeneratedTextOptions, GenerationOptions, ImageNetworkOptions, ImageOptions
from mla_train.data.batch import Batch
from mla_train.data.examples import Examples, RawData
from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID, UNK_ID
from mla_train.dataset import raw_batch
from mla_train.errors import UserError
from mla_train.heads.generation import Decoding, Generation, join_features
from mla_train.heads.text_metrics import TextMetrics
from mla_train.modalities import Image, Text
from mla_train.modalities.text.augment import hide_tokens
from mla_train.nn import beam_search
from mla_train.nn.attention.mla import MultiheadLatentAttention
from mla_train.nn.attention.multihead import GroupedQueryAttention
from mla_train.task import Task, build_task
from tests.helpers import SMALL, config, example_data

MODELS = [
    [], ["task.model=seq2seq"], ["attention=mha"], ["task.copy=true"], ["task.copy=true", "attention=mha"],
    ["task.copy=true", "task.model=seq2seq"],
]  # fmt: skip


def network(*words):
    torch.manual_seed(0)
    task = build_task(config("task=translation", *SMALL, *words))
    data = example_data(task)
    return task.build_model(data.spec).eval(), data


def batch_of(data, count=4):
    return data.collate([data.train[i] for i in range(count)], training=False)


def memory_of(model, batch):
    return model.head.memory(model.encode(batch))


@pytest.mark.parametrize("words", MODELS)
@torch.no_grad()
def test_steps_give_what_training_sees(words):
    model, data = network(*words)
    batch = batch_of(data)
    memory = memory_of(model, batch)
    assert memory.padding is not None
    state = Decoding(model.head, memory)
    tokens = torch.randint(END_ID + 1, 9, (4, 5))
    batch.targets.tokens = torch.cat([tokens, tokens[:, :1]], 1)
    steps = torch.stack([state.step(column) for column in tokens.unbind(1)], 1)
    torch.testing.assert_close(steps, model(batch).log_softmax(-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("words", MODELS)
@torch.no_grad()
def test_beams_that_go_on_take_their_past_along(words):
    model, data = network(*words)
    memory = memory_of(model, batch_of(data, 3))
    state = Decoding(model.head, memory)
    beams = torch.randint(END_ID + 1, 9, (6, 4))
    for column in beams[:, :3].unbind(1):
        state.step(column)
    rows = torch.tensor([1, 0, 5, 5])  # source 1 is finished
    state.reorder(rows)
    state.keep(torch.tensor([0, 2]))
    logits = state.step(beams[rows, 3])
    expected = model.head.logits(beams, memory.select(torch.tensor([0, 0, 1, 1, 2, 2])))[rows, -1]
    torch.testing.assert_close(logits, expected.log_softmax(-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("words", MODELS)
@torch.no_grad()
def test_padding_and_other_texts_change_nothing(words):
    model, data = network(*words)
    texts = ["a good film", "a book", "a bad film and a book number 4"]
    together, alone = (
        model.encode(raw_batch(data.spec, [{"source": t} for t in some])) for some in (texts, texts[1:2])
    )
    written = [model.head.generate(model.head.memory(features), beams=3) for features in (together, alone)]
    written = [[texts[0] for texts in each] for each in written]
    assert written[0][1].tokens == written[1][0].tokens
    assert written[0][1].score == pytest.approx(written[1][0].score, abs=1e-5)


@torch.no_grad()
def test_the_penalty_of_beams_is_what_they_copy_again():
    model, data = network("task.copy=true", "task.coverage_penalty=0.7")
    head, memory = model.head, memory_of(model, batch_of(data, 3))
    torch.nn.init.normal_(head.copying.query.weight)
    state, plain = Decoding(head, memory), Decoding(head, memory)
    beams = torch.randint(END_ID + 1, 9, (6, 4))
    for column in beams[:, :3].unbind(1):
        state.step(column)
        plain.step(column)
    rows = torch.tensor([1, 0, 5, 5])
    for each in (state, plain):
        each.reorder(rows)
        each.keep(torch.tensor([0, 2]))
    penalized, head.options.coverage_penalty = state.step(beams[rows, 3]), 0.0
    every = memory.select(torch.tensor([0, 0, 1, 1, 2, 2]))
    copies = head.copies(head.decode_states(beams, every), every)[rows]
    expected = torch.minimum(copies[:, 3], copies[:, :3].sum(1)).sum(-1, keepdim=True)
    assert expected.min() > 0.01
    torch.testing.assert_close(penalized, plain.step(beams[rows, 3]) - 0.7 * expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_predictions_are_those_of_beam_search_and_random_ones_follow_the_seed():
    model, data = network()
    batch = batch_of(data)
    predictions = model.predict(batch)
    memory = memory_of(model, batch)
    growth = data.spec.target.growth
    limits = [int(growth * length) + 10 for length in (~memory.padding).sum(1).tolist()]
    best = beam_search(Decoding(model.head, memory), limits, start=START_ID, end=END_ID, beams=5)
    assert predictions["predicted"] == [model.head.tokenizer.decode(list(each[0].tokens)) for each in best]
    np.testing.assert_allclose(predictions["score"], [each[0].score for each in best])
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append([texts[0].tokens for texts in model.head.generate(memory, temperature=1.0)])
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("words", MODELS)
@torch.no_grad()
def test_attention_maps_are_shares_of_real_tokens(words):
    model, data = network(*words)
    batch = batch_of(data)
    padding = memory_of(model, batch).padding
    weights = model.head.attention_map(model.encode(batch), batch)
    assert weights.shape == (4, batch.targets.following.size(1), padding.size(1))
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    assert not weights.masked_select(padding.unsqueeze(1)).any()


@pytest.mark.parametrize("words", MODELS[:2])
def test_a_joint_vocabulary_has_one_embedding_and_two_have_two(words):
    joint, data = network(*words)
    separate, other = network(*words, "data.joint=false")
    assert data.spec.target.shared_with == "source"
    assert joint.head.embedding is joint.embeddings["source"].tokens
    sizes = [model.count_parameters()["parameters"] for model in (joint, separate)]
    rows = other.spec.inputs["source"].spec.vocab_size + other.spec.target.vocab_size - data.spec.target.vocab_size
    assert sizes[1] - sizes[0] == 16 * rows
    # Shared weights are kept once.
    assert len({p.data_ptr() for p in joint.state_dict().values()}) == len(joint.state_dict())


def test_each_place_of_the_decoder_has_its_kind_of_attention():
    mixed, _ = network("task.decoder.self=gqa", "task.decoder.cross=mha", "task.decoder.depth=3")
    assert len(mixed.head.decoder.blocks) == 3
    for block in mixed.head.decoder.blocks:
        assert isinstance(block.attention, GroupedQueryAttention)
        assert block.attention.num_kv_heads == 1
        assert block.cross_attention.num_kv_heads == 2
    assert isinstance(mixed.encoder.blocks[0].attention, MultiheadLatentAttention)


@dataclass
class CaptionOptions(GenerationOptions, ImageNetworkOptions, FusionOptions):
    unimodal_loss_weight: float = 0.0


@dataclass
class CaptionData(GeneratedTextOptions, ImageOptions):
    val_share: float = 0.3


class Captioning(Task):
    inputs = {"image": Image, "text": Text}
    head = Generation


@pytest.mark.parametrize(("names", "shared"), [(["image"], ""), (["image", "text"], "text")])
def test_texts_are_generated_from_images_too(names, shared):
    """Two inputs lie side by side in the decoder's memory; a missing one is not attended to."""
    torch.manual_seed(0)
    run = replace(config("task=translation", *SMALL), task=CaptionOptions(), data=CaptionData())
    task = Captioning(run)
    values = {"image": Image.example_values(40), "text": [f"what is {i}" if i % 5 else None for i in range(40)]}
    captions = [f"a {('cat', 'dog')[i % 2]}" for i in range(40)]
    data = task.prepare(RawData({"train": Examples({name: values[name] for name in names}, captions)}))
    assert (data.spec.target.shared_with, data.spec.target.growth) == (shared, None)
    model = task.build_model(data.spec).eval()
    loss, count = model.head.loss(model(batch_of(data)), batch_of(data))
    assert 0 < float(loss.detach()) / count < 20
    assert all(isinstance(text, str) for text in model.predict(batch_of(data))["predicted"])
    if len(names) > 1:
        image = data.train.columns["image"].raw(0)
        features = model.encode(raw_batch(data.spec, [{"image": image}, {"image": image, "text": "what is it"}]))
        memory, padding = join_features(features)
        image_tokens = features["image"].tokens.size(1)
        assert memory.size(1) == image_tokens + features["text"].tokens.size(1)
        assert (~padding).sum(1).tolist()[0] == image_tokens < (~padding).sum(1).tolist()[1]


def test_only_a_sample_is_written_while_training():
    model, data = network("task.val_sample=2")
    predictions = model.head.predict(None, model.encode(batch_of(data)), batch_of(data), val_size=4)
    assert [text is None for text in predictions["predicted"]] == [False, True, False, True]  # spread
    predictions |= model.head.labels(batch_of(data))
    assert model.head.metrics(predictions).keys() == model.head.directions.keys()


def test_loss_counts_tokens_and_smooths_in_training_only():
    model, data = network("regularization.label_smoothing=0.1", "regularization.dropout=0")
    batch = batch_of(data)
    outputs = model(batch).detach().double()
    following = batch.targets.following
    expected = {0.0: 0.0, 0.1: 0.0}
    for row, column in (following != PAD_ID).nonzero().tolist():
        log_probs = outputs[row, column].log_softmax(0)
        for smoothing in expected:
            chosen = log_probs[following[row, column]]
            expected[smoothing] -= float((1 - smoothing) * chosen + smoothing * log_probs.mean())
    for training, smoothing in ((False, 0.0), (True, 0.1)):
        loss, count = model.train(training).head.loss(outputs, batch)
        assert float(loss) == pytest.approx(expected[smoothing])
        assert int(count) == model.count_tokens(batch) == int((following != PAD_ID).sum())


def test_divergence_of_two_passes_counts_real_tokens_only():
    model, data = network()
    batch = batch_of(data)
    batch.targets.tokens[0, 2:] = PAD_ID
    size = data.spec.target.vocab_size
    first, second = torch.randn(2, *batch.targets.following.shape, size, dtype=torch.double)
    expected = 0.0
    for row, column in (batch.targets.following != PAD_ID).nonzero().tolist():
        p, q = first[row, column].softmax(0), second[row, column].softmax(0)
        expected += (F.kl_div(q.log(), p, reduction="sum") + F.kl_div(p.log(), q, reduction="sum")) / 4
    torch.testing.assert_close(model.head.r_drop_loss(first, second, batch), expected.float(), rtol=1e-4, atol=1e-5)
    assert model.head.r_drop_loss(first, first, batch) == 0


def test_hidden_tokens_are_never_start_end_or_padding():
    torch.manual_seed(0)
    tokens = torch.randint(0, 20, (50, 40))
    hidden = hide_tokens(tokens, 0.3)
    assert torch.equal(hidden[tokens <= END_ID], tokens[tokens <= END_ID])
    changed = hidden != tokens
    assert (hidden[changed] == UNK_ID).all()
    assert 0.25 < float(changed[tokens > END_ID].float().mean()) < 0.35


def test_explanations_score_the_given_text():
    model, data = network()
    targets = model.head.encode_answers(["b a"])
    batch = Batch(torch.zeros(1), batch_of(data, 1).inputs, targets)
    outputs = model(batch)
    explained = model.head.explain(outputs, batch)
    expected = sum(outputs[0, i].log_softmax(-1)[token] for i, token in enumerate(targets.following[0]))
    torch.testing.assert_close(explained.score(outputs)[0], expected)
    assert explained.prediction == "b a"


def test_rouge_knows_stems_references_and_other_languages():
    metrics = TextMetrics("en", False, ["rouge1", "rougeL"])
    scores = metrics(["dogs run", "a cat"], ["a dog runs", "no"], [(), ("the cat",)])
    assert scores == {"rouge1": pytest.approx(100 * (0.8 + 0.5) / 2), "rougeL": pytest.approx(65)}
    assert metrics.signatures.keys() == {"rouge1", "rougeL"}
    german = TextMetrics("de", False, ["rougeL"])
    assert german(["Über die Straße."], ["über Straße!"])["rougeL"] == pytest.approx(80)
    assert "words by sacremoses" in german.signatures["rougeL"]
    with pytest.raises(UserError, match=r"rouge9 is no metric of texts; there are bleu, .*rougeL"):
        TextMetrics("en", False, ["rouge9"])


def test_metrics_are_those_of_sacrebleu():
    texts = ["Der Hund lief über die Straße.", "Eine Katze, die schläft!", "Das ist gut"]
    references = ["Der Hund lief über die Straße.", "Eine Katze, die dort schläft!", "das ist gut"]
    metrics = TextMetrics("de", lowercase=False)(texts, references)
    assert metrics["bleu"] == sacrebleu.corpus_bleu(texts, [references]).score
    assert metrics["chrf"] == sacrebleu.corpus_chrf(texts, [references]).score
    assert metrics["exact_match"] == pytest.approx(1 / 3)
    by_hand = [
        ["der hund lief über die straße .", "eine katze , die schläft !", "das ist gut"],
        ["der hund lief über die straße .", "eine katze , die dort schläft !", "das ist gut"],
    ]
    expected = sacrebleu.corpus_bleu(by_hand[0], [by_hand[1]], tokenize="none", force=True).score
    assert metrics["bleu_tokenized"] == expected > metrics["bleu"]
    assert TextMetrics("de", lowercase=True)(texts, references)["exact_match"] == pytest.approx(2 / 3)
