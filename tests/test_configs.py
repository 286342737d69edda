"""Every YAML in conf/ gives a model that takes a step, and the toolbox works in every task."""

import json

import pytest
import torch

from mla_train.errors import UserError
from mla_train.training.auxiliary_losses import forward_with_auxiliary_losses
from tests.helpers import ROOT, SMALL, batch_of, build, randomize, task_of

CONF = ROOT / "conf"
# Not a part of runs: search spaces of sweeps; `torchvision` alone names no data set.
CHOICES = [
    (file.parent.relative_to(CONF).as_posix(), file.stem)
    for file in sorted(CONF.rglob("*.yaml"))
    if file.parent.name not in ("sweep", "launcher", "conf") and file.stem != "torchvision"
]
TASKS = sorted(file.stem for file in (CONF / "task").glob("*.yaml"))


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_yaml_composes_and_its_model_takes_a_step(group, name):
    words = [f"{group}={name}"] if group != "experiment/toolbox" else [f"experiment=toolbox/{name}"]
    words += ["regularization.ema_decay=0"] if name == "fsdp" else []
    words += [f"task={task_of(name)}"] if group == "data" else []
    if name == "fusion_weighted":
        words += ["task=multimodal_sentiment"]
    module, data = build(*words)
    batch, head = batch_of(data, training=True), module.model.head
    outputs, auxiliary = forward_with_auxiliary_losses(module, batch)
    total, count = head.loss(outputs, batch)
    (total / count + sum(auxiliary.values())).backward()
    assert count > 0
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
    module.eval()
    batch = batch_of(data, "val")
    metrics = head.metrics(module.model.predict(batch) | head.labels(batch))
    assert metrics.keys() == head.directions.keys()
    assert head.monitor in metrics
    json.dumps(module.model.spec.to_dict())


@pytest.mark.parametrize("tokenizer", ["conv", "patch"])
@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
@pytest.mark.parametrize("attention", ["mla", "mha"])
def test_every_choice_of_an_image_network_builds(tokenizer, positions, pooling, attention):
    words = [f"task.tokenizer={tokenizer}", f"task.positions={positions}", f"task.pooling={pooling}"]
    module, data = build(*words, f"attention={attention}", *SMALL)
    assert module.eval()(batch_of(data)).shape == (4, 2)


POSSIBLE = [
    "attention.score=temperature",
    "attention.score=[dot,additive,hybrid,staged]",
    "attention=gqa attention.score=additive",
    "attention.pattern=window attention.window=2",
    "attention.pattern=local_global attention.window=2",
    "attention.pattern=strided attention.fusion=weighted",
    "attention.pattern=topk attention.topk=2 attention.score=hybrid",
    "attention.select=gate attention.fusion=weighted",
    "encoder.registers=2 encoder.residual_scalars=true attention.fusion=elementwise optimizer.cautious_decay=true",
]


@pytest.mark.parametrize("words", POSSIBLE)
@pytest.mark.parametrize("task", TASKS)
def test_all_tasks_take_a_step_with_what_the_toolbox_has(task, words):
    words = [*words.split(), "encoder.dim=32", "encoder.num_heads=4", "encoder.depth=1", f"task={task}"]
    if task in ("translation", "image_captioning", "summarization"):
        words += ["task.decoder.self=mha", "task.decoder.cross=mha"]
    module, data = build(*words)
    # Heads begin at zero, so that their first step comes before those of what lies behind.
    for parameter in module.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    batch = batch_of(data)
    total, count = module.model.head.loss(module(batch), batch)
    (total / count).backward()
    plugged = ("query_scale", "per_head", "head_gate", "latent_gate", "registers", "scalars")
    gradients = {
        name: parameter.grad
        for name, parameter in module.named_parameters()
        if "encoder" in name and any(part in name for part in plugged)
    }
    assert gradients or "pattern" in words[0]
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert gradient.isfinite().all()
        assert gradient.any(), name


@pytest.mark.parametrize("task", TASKS)
def test_all_tasks_take_a_step_of_two_passes(task):
    torch.manual_seed(1)  # random weights may saturate all answers, which then do not differ
    module, data = build("regularization=rdrop", f"task={task}", *SMALL)
    randomize(module.model)
    batch, head = batch_of(data), module.model.head
    first, second = module(batch), module(batch)
    divergence = head.r_drop_loss(first, second, batch)
    assert divergence > 0
    (head.loss(first, batch)[0] + head.loss(second, batch)[0] + divergence).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("head", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("task", ["image_classification", "text_classification", "multimodal_sentiment"])
def test_every_answer_of_every_task_takes_a_step(task, head):
    words = [f"task={task}", f"task.head={head}", *SMALL]
    if head == "regression":  # the made labels are words
        with pytest.raises(UserError, match=r"'a' is no number.*task\.head=classification"):
            build(*words)
        return
    module, data = build(*words)
    batch = batch_of(data)
    total, count = module.model.head.loss(module(batch), batch)
    (total / count).backward()
    assert (module.model.head.kind, count) == (head, 4)
