"""Muon beside AdamW as one optimizer, and the schedule that is constant before it falls."""

import copy
import json

import numpy as np
import pytest
import torch

from mla_train.config import OptimizerConfig, Schedule
from mla_train.errors import UserError
from mla_train.task import build_task
from mla_train.training.module import TrainingModule
from mla_train.training.optimizers import Joined, build_optimizer, learning_rate_factor
from tests.helpers import SMALL, config, train

WORDS = ["task=text_classification", *SMALL, "optimizer.name=muon", "lr=1e-2"]


@pytest.fixture(scope="module")
def built():
    settings = config(*WORDS)
    task = build_task(settings)
    data = task.load_data()
    return settings, task, data


def module_of(built):
    settings, task, data = built
    torch.manual_seed(0)
    return TrainingModule(settings, task, task.build_model(data.spec))


def gradients(module, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_matrices_of_blocks_are_muons_and_all_else_adamws(built):
    module = module_of(built)
    optimizer = build_optimizer(module, built[0])
    assert isinstance(optimizer, Joined)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    turned = {names[id(p)] for group in optimizer.muon.param_groups for p in group["params"]}
    assert turned == {name for name, p in module.named_parameters() if ".blocks." in name and p.dim() == 2}
    assert len(turned) > 4
    others = {names[id(p)] for group in optimizer.adamw.param_groups for p in group["params"]}
    assert turned | others == set(names.values())
    assert not turned & others


def test_one_optimizer_steps_as_the_two_do_and_goes_on_from_its_state(built):
    together, apart = module_of(built), module_of(built)
    joined = build_optimizer(together, built[0])
    reference = build_optimizer(apart, built[0])
    muon = torch.optim.Muon(copy.copy(reference.muon.param_groups), lr=0.01, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(copy.copy(reference.adamw.param_groups), lr=0.01, betas=(0.9, 0.98), fused=True)
    for seed in range(3):
        for module in (together, apart):
            gradients(module, seed)
        joined.step()
        muon.step()
        adamw.step()
    for one, other in zip(together.parameters(), apart.parameters(), strict=True):
        assert torch.equal(one, other)

    resumed = module_of(built)
    resumed.load_state_dict(together.state_dict())
    again = build_optimizer(resumed, built[0])
    again.load_state_dict(copy.deepcopy(joined.state_dict()))
    assert again.muon.state is again.state
    for module, optimizer in ((together, joined), (resumed, again)):
        gradients(module, 9)
        optimizer.step()
    for one, other in zip(together.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_with_caution_a_weight_decays_only_where_its_step_makes_it_smaller(name, built):
    settings = copy.deepcopy(built[0])
    settings.optimizer.name = type(settings.optimizer.name)[name]
    plain, cautious = module_of(built), module_of(built)
    settings.regularization.weight_decay = 0.0
    reference = build_optimizer(plain, settings)
    settings.regularization.weight_decay, settings.optimizer.cautious_decay = 0.3, True
    optimizer = build_optimizer(cautious, settings)
    decays = {id(m.weight) for m in cautious.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv1d)}
    for seed in range(2):
        before = [p.detach().clone() for p in cautious.parameters()]
        plain.load_state_dict(cautious.state_dict())
        for module in (plain, cautious):
            gradients(module, seed)
        reference.step()
        optimizer.step()
        changed = 0
        for old, without, new in zip(before, plain.parameters(), cautious.parameters(), strict=True):
            shrinks = (without - old) * old < 0
            torch.testing.assert_close(new, without - 0.01 * 0.3 * old * shrinks * (id(new) in decays))
            changed += int((new != without).sum())
        assert changed > 100
    state = copy.deepcopy(optimizer.state_dict())
    resumed = module_of(built)
    resumed.load_state_dict(cautious.state_dict())
    again = build_optimizer(resumed, settings)
    again.load_state_dict(state)
    for module, each in ((cautious, optimizer), (resumed, again)):
        for group in each.param_groups:
            group["lr"] = 0.005
        gradients(module, 7)
        each.step()
    for one, other in zip(cautious.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_wsd_is_constant_and_then_falls_in_a_line():
    options = OptimizerConfig(schedule=Schedule.wsd, warmup=0.1, decay=0.2, final_lr=0.0)
    factors = np.array([learning_rate_factor(options, 100)(step) for step in range(100)])
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 11)
    np.testing.assert_array_equal(factors[10:80], 1.0)
    np.testing.assert_allclose(factors[80:], np.arange(19, -1, -1) / 20)


def test_muon_is_refused_where_weights_are_divided():
    with pytest.raises(UserError, match=r"optimizer\.name=adamw"):
        config(*WORDS, "hardware=fsdp", "regularization.ema_decay=0")


@pytest.mark.slow
def test_a_run_with_muon_learns(tmp_path):
    words = [*WORDS, "task.side_paths=false", "task.start=none", "optimizer.schedule=wsd", "baselines=none", "epochs=3"]
    train(*words, "run_dir=whole", cwd=tmp_path)
    whole = json.loads((tmp_path / "whole" / "results.json").read_text())
    assert whole["metrics"]["test"]["accuracy"] > 0.1  # of 20 classes
