"""Losses beside the task's own: in all tasks, in the run's curves, and what they teach on held-out data."""

import csv
import sys

import numpy as np
import pytest
import torch
from mla_train.training.build import build_data, build_task
from mla_train.training.model_folder import load_model
from mla_train.training.task import Task

from mla_train.config import Block, Latent
from mla_train.errors import UserError
from mla_train.nn.regularizers import orthogonal_heads
from mla_train.training.auxiliary_losses import forward_with_auxiliary_losses, warmup_factor
from mla_train.training.run import run
from mla_train.training.run_folder import find_run
from tasks.image_classification import ImageClassificationTask
from tests.helpers import SMALL, config
from tests.test_configs import FACTS, batch_for

VARIATIONAL, ARRAY = "encoder.latent=variational", "encoder.latent=array"
RECONSTRUCT, CONVOLUTION = "encoder.masked_modeling=true", "encoder.block=conv_attention"
OPTIONS = [
    [VARIATIONAL, "encoder.latent_dim=5"], [ARRAY, "encoder.latents=4"], [RECONSTRUCT], [CONVOLUTION],
    [VARIATIONAL, RECONSTRUCT, CONVOLUTION], [ARRAY, RECONSTRUCT],
    ["regularization=[diverse_heads,orthogonal_heads,contrastive,drophead,sparse_features]"],
]  # fmt: skip
TASKS = [
    ["data=digits"], ["data=digits", "task.pooling=cls"], ["data=digits", "task.positions=learned"],
    ["task=text_classification"], ["task=text_classification", "task.convolutions=[3]"],
    ["task=translation"], ["task=forecasting"], ["task=forecasting", "task.channels=mixing"],
    ["task=multimodal_sentiment"], ["task=multimodal_sentiment", "data=feature_table"],
]  # fmt: skip


@pytest.mark.parametrize("words", TASKS, ids=" ".join)
@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_each_option_takes_a_step_in_each_task(option, words):
    settings = config(*words, *SMALL, *option)
    task = build_task(settings, FACTS[settings.data.name])
    batch = batch_for(task.facts)
    outputs, terms = forward_with_auxiliary_losses(task, batch)
    assert terms.keys() == {term.name for term in task.auxiliary_losses}
    assert ("kl" in terms, "reconstruction" in terms) == (VARIATIONAL in option, RECONSTRUCT in option)
    total, count = task.loss(outputs, batch)
    (total / count + sum(terms.values())).backward()
    for name, parameter in task.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    again = build_task(settings, FACTS[settings.data.name])
    again.load_state_dict(task.state_dict())
    first, second = (forward_with_auxiliary_losses(each.eval(), batch) for each in (task, again))
    assert all(first[1][name] == second[1][name] for name in first[1])
    assert not any(module._forward_hooks for module in task.modules())


def test_the_default_has_nothing_of_it():
    settings = config(*SMALL)
    e = settings.encoder
    assert (e.latent, e.block, e.masked_modeling) == (Latent.plain, Block.attention, False)
    task = build_task(settings, FACTS["digits"])
    assert task.auxiliary_losses == []
    assert task.reconstruction is None
    assert {name.split(".")[0] for name, _ in task.network.encoder.named_parameters()} == {"blocks", "norm"}


def test_terms_are_the_same_however_a_batch_is_cut():
    settings = config(*SMALL, VARIATIONAL, RECONSTRUCT)
    task = build_task(settings, FACTS["digits"]).eval()
    batch = batch_for(task.facts)
    halves = [type(batch)(batch.index[part], batch.images[part], batch.labels[part]) for part in ([0, 1], [2, 3])]
    whole = forward_with_auxiliary_losses(task, batch)[1]
    parts = [forward_with_auxiliary_losses(task, half)[1] for half in halves]
    for name, value in whole.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2)


def test_weights_rise_in_a_line():
    assert [warmup_factor(step, 100, 0.2) for step in (0, 5, 20, 90)] == [0, 0.25, 1, 1]
    assert warmup_factor(0, 100, 0.0) == 1


def go(folder, *words):
    settings = config(*SMALL, "epochs=2", "debug.overfit=64", f"run_dir={folder}", *words)
    return run(settings, find_run(settings))


def rows(folder):
    with (folder / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_logs_each_term_and_its_model_loads_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    words = [VARIATIONAL, RECONSTRUCT, "logger.every=1", "regularization.augmentation=none"]
    results = go(tmp_path / "run", *words)
    curves = rows(tmp_path / "run")
    for name in ("kl", "reconstruction"):
        assert all(float(row[f"regularization/{name}"]) > 0 for row in curves)
        best = results["monitor"]["epoch"] - 1
        assert results["metrics"]["val"][name] == pytest.approx(float(curves[best][f"val/{name}"]), rel=1e-3)
    task = load_model(tmp_path / "run")
    assert task.reconstruction is not None
    assert task.network.encoder.variational is not None


@pytest.mark.parametrize(
    ("term", "words", "rate"),
    [
        ("kl", [VARIATIONAL, "regularization.kl=1"], 0.5),
        ("reconstruction", [RECONSTRUCT], 0.8),
        ("diverse_heads", ["regularization.diverse_heads=1"], 0.7),
        ("orthogonal_heads", ["regularization.orthogonal_heads=1"], 0.5),
        ("contrastive_heads", ["regularization.contrastive_heads=1"], 0.5),
        ("contrastive_classes", ["regularization.contrastive_classes=1"], 0.9),
        ("sparse_features", ["attention.select=gate", "regularization.sparse_features=1"], 0.5),
    ],
)
def test_weights_reach_the_step(tmp_path, monkeypatch, term, words, rate):
    """With its weight a term falls much below where it stays without."""
    monkeypatch.setattr(sys, "argv", ["train.py"])
    short = ["epochs=20", "lr=1e-2", "regularization.warmup=0.1", "regularization.ema_decay=0"]
    found = []
    for number, more in enumerate(([], [f"regularization.{term}=1e-9"])):
        go(tmp_path / f"{number}", *words, *short, *more)
        found.append(float(rows(tmp_path / f"{number}")[-1][f"val/{term}"]))
    assert found[0] < rate * found[1]


def test_terms_of_heads_are_those_of_the_outputs_that_are_there():
    """Each layer's heads, without padding; a longer padding changes nothing."""
    words = [
        "regularization.diverse_heads=1",
        "regularization.orthogonal_heads=1",
        "regularization.contrastive_heads=1",
    ]
    settings = config("task=text_classification", *SMALL, *words)
    task = build_task(settings, FACTS["language_id"]).eval()
    batch = batch_for(task.facts)
    seen = []
    blocks = list(task.network.encoder.blocks)
    hooks = [b.attention.out.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for b in blocks]
    found = forward_with_auxiliary_losses(task, batch)[1]
    for hook in hooks:
        hook.remove()
    kept = batch.tokens != 0
    pairs = [heads[kept].unflatten(-1, (2, -1)).unbind(1) for heads in seen]
    cosines = [(torch.cosine_similarity(*pair, dim=-1) ** 2).mean() for pair in pairs]
    torch.testing.assert_close(found["diverse_heads"], torch.stack(cosines).mean(), rtol=1e-4, atol=1e-5)
    overlaps = [orthogonal_heads(block.attention.out.weight, 2) for block in blocks]
    torch.testing.assert_close(found["orthogonal_heads"], torch.stack(overlaps).mean())


def test_heads_are_left_out_in_training_only():
    settings = config(*SMALL, "regularization=none", "regularization.drop_heads=0.5", "encoder.depth=1")
    task = build_task(settings, FACTS["digits"])
    batch = batch_for(task.facts)
    seen = []
    out = task.network.encoder.blocks[0].attention.out
    out.register_forward_pre_hook(lambda _, args: seen.append(args[0].unflatten(-1, (2, -1))))
    for _ in range(20):
        task(batch)
    task.eval()(batch)
    silent = torch.stack([~heads.any(-1).any(1) for heads in seen[:-1]])
    assert 0.3 < silent.float().mean() < 0.45  # .5 less what is kept for one to stay
    assert not silent.all(-1).any()
    assert seen[-1].any(-1).all()


def test_terms_that_need_classes_are_left_out_where_there_are_none():
    names = {
        data: [
            term.name
            for term in build_task(config(task, "regularization=contrastive", *SMALL), FACTS[data]).auxiliary_losses
        ]
        for task, data in (("task=forecasting", "traffic"), ("task=image_classification", "digits"))
    }
    assert names == {"traffic": ["contrastive_heads"], "digits": ["contrastive_heads", "contrastive_classes"]}


# What is told of held-out data is nearer to it than what is known without reading it.


def train_a_little(*words, steps=150, batch_size=32):
    torch.manual_seed(0)
    settings = config(*words, "encoder=tiny", RECONSTRUCT, "regularization=none", "encoder.dim=32")
    data = build_data(settings)
    data.setup()
    task = build_task(settings, data.facts)
    task.begin(data)
    optimizer = torch.optim.Adam(task.parameters(), lr=5e-3)
    generator = np.random.default_rng(0)
    for _ in range(steps):
        chosen = generator.choice(len(data.train), batch_size, replace=False)
        batch = data.collate([data.train[int(i)] for i in chosen], training=True)
        outputs, terms = forward_with_auxiliary_losses(task, batch)
        total, count = task.loss(outputs, batch)
        optimizer.zero_grad()
        (total / count + terms["reconstruction"]).backward()
        optimizer.step()
    seen, held = (
        data.collate([part[i] for i in range(min(300, len(part)))], training=False) for part in (data.train, data.val)
    )
    (entry,) = task.encoder_inputs()
    with torch.no_grad():
        error = forward_with_auxiliary_losses(task.eval(), held)[1]["reconstruction"].item()
    return error, entry.target(seen), entry.target(held)


def test_cells_of_digits_are_told_better_than_by_their_mean():
    error, seen, held = train_a_little("data=digits")
    assert error < 0.6 * (held.values - seen.values.mean(0)).square().mean()


def test_patches_of_series_are_told_better_than_by_their_mean():
    error, _, held = train_a_little("task=forecasting", steps=60, batch_size=8)
    assert error < 0.3 * held.values[held.known].square().mean()


def test_tokens_of_texts_are_told_better_than_by_their_frequency():
    error, seen, held = train_a_little(
        "task=text_classification", "data.tfidf_features=0", "task.tfidf_dim=0", steps=60
    )
    frequency = torch.bincount(seen.values[seen.known], minlength=int(held.values.max()) + 1) + 1.0
    surprise = -(frequency / frequency.sum()).log()[held.values[held.known]].mean()
    assert error < 0.3 * surprise


# What cannot be meant.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["regularization.kl=0.1"], r"add encoder\.latent=variational"),
        (["encoder.latent_dim=4"], r"add encoder\.latent=variational"),
        (["regularization.reconstruction=1"], r"add encoder\.masked_modeling=true"),
        ([ARRAY, CONVOLUTION], r"choose encoder\.block=attention"),
        ([ARRAY, "encoder.latents=0"], "must be 1 or more"),
        (["regularization.free_bits=-1"], "must be 0 or more"),
        (["regularization.warmup=1"], "must be 0 or more and below 1"),
        (["regularization=diverse_heads", "encoder.num_heads=1"], r"set regularization\.diverse_heads=0"),
        (["regularization=drophead", "encoder.num_heads=1"], r"set regularization\.drop_heads=0"),
        (["regularization.sparse_features=1"], r"add attention\.select=gate"),
        (["hardware.compile=true", "regularization=diverse_heads"], r"choose hardware\.compile=false"),
        ([ARRAY, "attention.pattern=window"], r"choose attention\.pattern=global"),
    ],
)
def test_impossible_choices_name_a_working_one(words, message):
    with pytest.raises(UserError, match=message):
        config(*words)


def test_who_cannot_reconstruct_says_so(monkeypatch):
    for words, name, message in (
        (["task=translation", "task.model=seq2seq"], "cldr_phrases", r"choose task\.model=transformer"),
        (["task=forecasting", "task.residual=false"], "traffic", r"add task\.residual=true"),
    ):
        with pytest.raises(UserError, match=message):
            build_task(config(*words, *SMALL, RECONSTRUCT), FACTS[name])
    monkeypatch.setattr(ImageClassificationTask, "encoder_inputs", Task.encoder_inputs)
    with pytest.raises(UserError, match="ImageClassificationTask does not say what its encoder reads"):
        build_task(config(*SMALL, RECONSTRUCT), FACTS["digits"])
