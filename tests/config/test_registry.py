"""Options of tasks outside the project: their dataclass alone makes them known to the command line."""

import pytest
from omegaconf import OmegaConf

from mla_train.config import EncoderConfig, Norm, TrainConfig
from mla_train.config.overrides import compose_overrides
from mla_train.config.typed import from_dict
from mla_train.errors import UserError
from tests.helpers import ROOT, config, train

MODULE = """
from dataclasses import dataclass, field
from enum import Enum

from mla_train.config.checks import number


class Size(Enum):
    small = "small"
    large = "large"


@dataclass
class PlantsTaskConfig:
    _target_: str = "plants.PlantsTask"
    name: str = "plants"
    size: Size = Size.small
    widths: list[int] = field(default_factory=lambda: [1, 2])


@dataclass
class LeavesDataConfig:
    _target_: str = "plants.LeavesData"
    name: str = "leaves"
    count: int = number(10, least=1)
    split_seed: int = 0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for --config-dir: a task, a data set and a named data set, each YAML as short as it can be."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "plants.py").write_text(MODULE)
    for name, text in {
        "task/plants": "# @package _global_\ndefaults: [override /data: leaves]\ntask: {_target_: plants.PlantsTask}\n",
        "data/leaves": "_target_: plants.LeavesData\ncount: 20\n",
        "data/oak": "# @package _global_\ndefaults: [leaves@data]\ndata: {name: oak}\nepochs: 3\n",
    }.items():
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path


def composed(folder, *words):
    return compose_overrides(ROOT / "conf", ["--config-dir", str(folder), "task=plants", *words])


def test_an_option_that_only_the_dataclass_has_is_accepted(folder):
    settings = composed(folder, "task.size=large", "task.widths=[5]", "data.split_seed=4")
    assert (settings.task.size.name, settings.task.widths, settings.task.name) == ("large", [5], "plants")
    assert (settings.data.count, settings.data.split_seed) == (20, 4)
    oak = composed(folder, "data=oak", "data.count=2")
    assert (oak.data.name, oak.data.count, oak.epochs) == ("oak", 2, 3)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("data.splt_seed=1", ["data.splt_seed", "Did you mean data.split_seed?"]),
        ("task.widht=1", ["task.widht", "Did you mean task.widths?"]),
        ("task.size=huge", ["task.size", "'huge'", "[small, large]"]),
        ("data.count=0", ["data.count=0", "1 or more"]),
        ("data=oka", ["data=oka", "Did you mean oak?"]),
    ],
)
def test_mistakes_in_options_of_ones_own_are_answered(folder, word, parts):
    with pytest.raises(UserError) as caught:
        composed(folder, word)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_the_command_knows_them_too(folder, tmp_path):
    shown = train("--config-dir", folder, "task=plants", "data.split_seed=7", "--cfg", "job", cwd=tmp_path).stdout
    job = OmegaConf.create(shown)
    assert job.task == {"_target_": "plants.PlantsTask", "name": "plants", "size": "small", "widths": [1, 2]}
    assert job.data == {"_target_": "plants.LeavesData", "name": "leaves", "count": 20, "split_seed": 7}
    wrong = train("--config-dir", folder, "task=plants", "data.splt_seed=1", cwd=tmp_path, check=False)
    note = f"note: the code in {folder} runs: plants.py\n"
    error = "error: unknown key data.splt_seed. Did you mean data.split_seed?\n"
    assert (wrong.returncode, wrong.stderr) == (2, note + error)


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("nowhere.PlantsTask", "no nowhere to import"),
        ("plants.Missing", "must be a dataclass with _target_"),
        ("PlantsTask", "import path"),
    ],
)
def test_a_target_without_options_is_said(folder, target, part):
    (folder / "task" / "plants.yaml").write_text(f"# @package _global_\ntask: {{_target_: {target}}}\n")
    with pytest.raises(UserError, match=part) as caught:
        composed(folder)
    assert target in str(caught.value)


def test_plain_values_become_dataclasses_without_hydra():
    encoder = from_dict(EncoderConfig, {"dim": 32, "norm": "layernorm"})
    assert encoder == EncoderConfig(dim=32, norm=Norm.layernorm)
    with pytest.raises(UserError, match=r"unknown key dmi. Did you mean dim\?"):
        from_dict(EncoderConfig, {"dmi": 32})
    with pytest.raises(UserError, match=r"dim.*could not be converted"):
        from_dict(EncoderConfig, {"dim": "x"})
    settings = config("task=text_classification", "data=sst2")
    stored = OmegaConf.to_container(OmegaConf.structured(settings), enum_to_str=True)
    assert from_dict(TrainConfig, stored) == settings
