"""Every recipe of the toolbox learns, and has its effect on the attention of the trained model."""

import pytest
import torch

from mla_train.data.sampling import shuffled
from mla_train.nn import observe
from mla_train.task import build_task
from mla_train.training.auxiliary_losses import forward_with_auxiliary_losses
from mla_train.training.module import TrainingModule
from tests.helpers import ROOT, config

RECIPES = sorted(file.stem for file in (ROOT / "conf" / "experiment" / "toolbox").glob("*.yaml"))
OPTIONS = ["encoder=tiny", "encoder.dim=32", "encoder.num_heads=4", "task.pooling=mean"]


@pytest.fixture(scope="module")
def digits():
    return build_task(config(*OPTIONS, "regularization.augmentation=none")).load_data()


def learn(recipe, data, steps=60):
    """A model after some steps, and its loss over the last ten."""
    torch.manual_seed(0)
    settings = config(*OPTIONS, *([f"experiment=toolbox/{recipe}"] if recipe else []))
    task = build_task(settings)
    module = TrainingModule(settings, task, task.build_model(data.spec))
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    losses = []
    for rows in [rows for epoch in range(8) for rows in shuffled(len(data.train), 64, 0)(epoch)][:steps]:
        batch = data.collate([data.train[int(i)] for i in rows], training=True)
        outputs, auxiliary = forward_with_auxiliary_losses(module, batch)
        total, count = module.model.head.loss(outputs, batch)
        penalty = sum(loss.weight * auxiliary[loss.name] for loss in module.auxiliary_losses)
        optimizer.zero_grad()
        (total / count + penalty).backward()
        optimizer.step()
        losses.append(float(total.detach() / count))
    return module.model.eval(), sum(losses[-10:]) / 10


def attention_weights(model, data):
    """Weights of the first block, `(examples, heads, 16, 16)`: rows and columns of 4 x 4 cells."""
    batch = data.collate([data.val[i] for i in range(20)], training=False)
    with torch.no_grad(), observe([model.encoder.blocks[0].attention], "weights") as (record,):
        model(batch)
    return record.weights[0]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_learns(recipe, digits):
    model, loss = learn(recipe, digits, steps=150 if recipe == "masked_modeling" else 60)
    assert loss < 1.9  # log 10 is 2.3
    if recipe == "latent_array":
        return
    maps = attention_weights(model, digits)
    tokens = 16 + model.encoder.num_registers
    assert maps.shape == (20, 4, tokens, tokens)
    torch.testing.assert_close(maps.sum(-1), torch.ones(20, 4, tokens))
    row, column = torch.arange(16) // 4, torch.arange(16) % 4
    apart = torch.maximum((row[:, None] - row).abs(), (column[:, None] - column).abs())
    if recipe == "pattern_window":
        assert not maps[..., apart > 1].any()
    if recipe == "pattern_local_global":
        assert not maps[:, :2, apart > 1].any()
        assert maps[:, 2:, apart > 1].any()
    if recipe == "pattern_strided":
        assert not maps[:, :2, row[:, None] != row].any()
        assert not maps[:, 2:, column[:, None] != column].any()
    if recipe in ("pattern_topk", "score_staged"):
        assert ((maps > 0).sum(-1) == 4).all()
    # Parameters that a recipe adds start at zero and have moved.
    ends = {
        "score_temperature": "log_factor", "score_hybrid": "score.gate", "fusion_weighted": "head_gate.weight",
        "pattern_local_global": "head_gate.weight", "select_gate": "latent_gate.weight",
        "sparse_features": "latent_gate.weight",
    }  # fmt: skip
    if recipe in ends:
        moved = [p for name, p in model.encoder.named_parameters() if name.endswith(ends[recipe])]
        assert len(moved) == 2  # one a block
        assert all(parameter.abs().max() > 1e-3 for parameter in moved)
