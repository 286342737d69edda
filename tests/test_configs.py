"""Every YAML in conf/ gives a model that takes a step."""

import pytest
import torch
from mla_train.training.build import build_data, build_task
from tasks.forecasting.data import ForecastBatch, ForecastingFacts
from tasks.image_classification.data import ImageBatch, ImageFacts
from tasks.multimodal_sentiment.data import FeatureFacts, MultimodalBatch, MultimodalFacts
from tasks.multimodal_sentiment.data import ImageFacts as PictureFacts
from tasks.multimodal_sentiment.data import TextFacts as ColumnFacts
from tasks.text_classification.data import TextBatch, TextFacts
from tasks.translation.data import TranslationBatch, TranslationFacts

from mla_train.config import TokenizerKind
from mla_train.data.tokenizers import END_ID, START_ID, learn_tokenizer
from tests.helpers import ROOT, config, task_of

CONF = ROOT / "conf"
# Spaces of sweeps are no part of a run, and `torchvision` alone names no data set.
CHOICES = [
    (file.parent.name, file.stem)
    for file in sorted(CONF.glob("*/*.yaml"))
    if file.parent.name != "sweep" and file.stem != "torchvision"
]


def picture_facts(channels, size, classes):
    names = [str(i) for i in range(classes)]
    return ImageFacts(channels, size, size, names, [100.0] * channels, [50.0] * channels)


def pair_facts():
    letters = learn_tokenizer(["a b c d e f"] * 3, TokenizerKind.char, 50, to_write=True)
    size = letters.get_vocab_size()
    return TranslationFacts(size, size, True, 32, False, "de", 1.5, letters.to_str(), "")


def text_image_facts(height, width, channels):
    picture = PictureFacts(channels, height, width, [100.0] * channels, [50.0] * channels)
    return MultimodalFacts(["text", "image"], {"text": ColumnFacts(50, "{}", 7)}, {"image": picture}, {}, ["a", "b"])


# What the data of each YAML would say of itself.
FACTS = {
    "digits": picture_facts(1, 8, 10),
    "fashion_mnist": picture_facts(1, 28, 10),
    "mnist": picture_facts(1, 28, 10),
    "cifar10": picture_facts(3, 32, 10),
    "cifar100": picture_facts(3, 32, 100),
    "image_folder": picture_facts(3, 64, 3),
    "image_table": picture_facts(3, 40, 2),
    **{
        name: TextFacts(["a", "b", "c"], 50, 512, "{}", 7)
        for name in ("language_id", "sst2", "trec", "ag_news", "imdb")
    },
    "text_files": TextFacts(["a", "b"], 50, 512, "{}", 7),
    **{
        name: ForecastingFacts(["a", "b"], 20, 7, 5, 7, 1, True, [0.0, 1.0], [1.0, 2.0], [0.5, 0.5])
        for name in ("traffic", "etth1", "etth2", "ettm1", "ettm2", "exchange_rate", "series_csv")
    },
    **{name: pair_facts() for name in ("cldr_phrases", "multi30k", "pair_files")},
    "kaomoji": text_image_facts(32, 96, 1),
    **{name: text_image_facts(64, 64, 3) for name in ("text_image_files", "mvsa_single")},
    "feature_table": MultimodalFacts(
        ["voice", "face"],
        {},
        {},
        {"voice": FeatureFacts([0.0] * 3, [1.0] * 3), "face": FeatureFacts([0.0], [2.0])},
        ["a", "b"],
        sequences=True,
    ),
}


def batch_for(facts):
    """Four examples of what the facts describe."""
    labels = torch.tensor([0, 1, 0, 1])
    if isinstance(facts, TextFacts):
        tokens = torch.randint(1, facts.vocab_size, (4, 9))
        tokens[0, 5:] = 0
        return TextBatch(
            torch.arange(4), tokens, torch.tensor([0, 3, 6]), torch.rand(3), torch.tensor([0, 1, 1, 3]), labels
        )
    if isinstance(facts, TranslationFacts):
        tokens = torch.randint(END_ID + 1, facts.source_vocab_size, (4, 7))
        tokens[:, 0], tokens[:, -1] = START_ID, END_ID
        return TranslationBatch(torch.arange(4), tokens[:, 1:], tokens, tokens[:, :-1], ["a b"] * 4)
    if isinstance(facts, ForecastingFacts):
        values = torch.randn(4, 2, 27)
        return ForecastBatch(
            torch.arange(4), values[..., :20], values[..., 20:], torch.ones(4, 2, 27, dtype=torch.bool),
            torch.randn(4, 27, 7), torch.randn(4, 20, 1), torch.arange(4),
        )  # fmt: skip
    if isinstance(facts, MultimodalFacts):
        tokens = {name: torch.randint(1, text.vocab_size, (4, 9)) for name, text in facts.texts.items()}
        images = {
            name: torch.randint(0, 256, (4, image.channels, image.height, image.width), dtype=torch.uint8)
            for name, image in facts.images.items()
        }
        features = {name: torch.randn(4, 5, len(feature.mean)) for name, feature in facts.features.items()}
        inputs = tokens | images | features
        padding = {
            name: torch.zeros(4, 1 if name in images else x.size(1), dtype=torch.bool) for name, x in inputs.items()
        }
        for mask in padding.values():
            mask[0] = True
        terms = {name: (torch.tensor([0, 3, 6]), torch.rand(3), torch.tensor([0, 1, 1, 3])) for name in facts.texts}
        return MultimodalBatch(torch.arange(4), inputs, padding, terms, labels, torch.tensor([0, 0, 1, 1]))
    images = torch.randint(0, 256, (4, facts.channels, facts.height, facts.width), dtype=torch.uint8)
    return ImageBatch(torch.arange(4), images, labels)


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_yaml_composes_and_its_model_takes_a_step(group, name):
    more = ["regularization.ema_decay=0"] if name == "fsdp" else []
    if group == "data":
        more.append(f"task={task_of(name)}")
    settings = config(f"{group}={name}", *more)
    facts = FACTS[settings.data.name]
    assert build_data(settings) is not None
    task = build_task(settings, facts)
    batch = batch_for(facts)
    total, count = task.loss(task(batch), batch)
    (total / count).backward()
    # Sentences count each target token, windows each step of each series.
    assert count == {TranslationFacts: 4 * 6, ForecastingFacts: 4 * 2 * 7}.get(type(facts), 4)
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)
    task.eval()
    metrics = task.metrics(task.predict(task(batch), batch))
    assert metrics.keys() == task.directions.keys()
    most = {"bleu": 100, "bleu_tokenized": 100, "chrf": 100} if isinstance(facts, TranslationFacts) else {}
    bounded = not isinstance(facts, ForecastingFacts)
    assert all(0 <= value <= most.get(name, 1 if bounded else float("inf")) for name, value in metrics.items())


@pytest.mark.parametrize("tokenizer", ["conv", "patch"])
@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
@pytest.mark.parametrize("attention", ["mla", "mha"])
def test_every_choice_of_the_task_builds(tokenizer, positions, pooling, attention):
    settings = config(
        f"task.tokenizer={tokenizer}", f"task.positions={positions}", f"task.pooling={pooling}",
        f"attention={attention}", "encoder=tiny",
    )  # fmt: skip
    task = build_task(settings, picture_facts(3, 20, 2)).eval()
    assert task.network(torch.randint(0, 256, (2, 3, 20, 20))).shape == (2, 2)


POSSIBLE = [
    "attention.score=temperature",
    "attention.score=[dot,additive,hybrid,staged]",
    "attention=gqa attention.score=additive",
    "attention.pattern=window attention.window=2",
    "attention.pattern=local_global attention.window=2",
    "attention.pattern=strided attention.fusion=weighted",
    "attention.pattern=topk attention.topk=2 attention.score=hybrid",
    "attention.select=gate attention.fusion=weighted",
]
TASKS = ["digits", "language_id", "cldr_phrases", "traffic", "kaomoji"]


@pytest.mark.parametrize("words", POSSIBLE)
@pytest.mark.parametrize("data", TASKS)
def test_all_tasks_take_a_step_with_what_the_toolbox_has(data, words):
    words = [*words.split(), "encoder.dim=32", "encoder.num_heads=4", "encoder.depth=1", f"task={task_of(data)}"]
    if data == "cldr_phrases":
        words += ["task.decoder.self=mha", "task.decoder.cross=mha"]
    settings = config(*words)
    task = build_task(settings, FACTS[data])
    batch = batch_for(FACTS[data])
    # Heads may begin at zero, so that their first step comes before those of what lies behind.
    for parameter in task.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    total, count = task.loss(task(batch), batch)
    (total / count).backward()
    plugged = ("query_scale", "per_head", "head_gate", "latent_gate")
    gradients = {
        name: parameter.grad
        for name, parameter in task.named_parameters()
        if "encoder" in name and any(part in name for part in plugged)
    }
    assert gradients or "pattern" in words[0]
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert gradient.isfinite().all()
        assert gradient.any(), name


@pytest.mark.parametrize("data", TASKS)
def test_all_tasks_take_a_step_of_two_passes(data):
    task = build_task(config("regularization=rdrop", f"task={task_of(data)}"), FACTS[data])
    batch = batch_for(FACTS[data])
    first, second = task(batch), task(batch)
    total = task.loss(first, batch)[0]
    (total + task.loss(second, batch)[0] + task.divergence(first, second, batch)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())
