"""Every YAML in conf/ composes, says only what differs from its dataclass, and gives the values that it should."""

import dataclasses
import re

import pytest
import yaml

from mla_train.config import CheckpointChoice, RegularizationConfig, TrainConfig, WandbConfig
from mla_train.config.help import option_help
from mla_train.config.overrides import parse_overrides, quote_signs
from mla_train.config.typed import default_values, options_class
from mla_train.errors import UserError
from tests.helpers import ROOT, config, task_of

CONF = ROOT / "conf"
CHOICES = [(file.parent.name, file.stem) for file in sorted(CONF.glob("*/*.yaml")) if file.parent.name != "sweep"]
DATA = [name for group, name in CHOICES if group == "data"]
RECIPE = {"epochs", "batch_size", "lr", "checkpoint"}


def written(group, name):
    return yaml.safe_load((CONF / group / f"{name}.yaml").read_text())


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_yaml_composes(group, name):
    more = ["regularization.ema_decay=0"] if name == "fsdp" else []
    if group == "data":
        more.append(f"task={task_of(name)}")
        more += ["data.dataset=MNIST"] if name == "torchvision" else []
    settings = config(f"{group}={name}", *more)
    if group in ("task", "data"):
        options = getattr(settings, group)
        assert options.name == name
        assert type(options) is options_class(options._target_, group)


@pytest.mark.parametrize("name", DATA)
def test_a_data_set_says_only_what_differs(name):
    whole = written("data", name)
    assert whole.keys() <= {"defaults", "data"} | RECIPE
    values = whole["data"]
    if "_target_" in values:  # a reader
        assert values.keys() == {"_target_"}
        defaults = default_values(values["_target_"], "data")
        assert defaults["name"] == name
    else:  # a named set of a reader
        assert len((CONF / "data" / f"{name}.yaml").read_text().splitlines()) < 11
        (reader,) = whole["defaults"]
        defaults = default_values(written("data", reader)["data"]["_target_"], "data")
        assert all(defaults[key] != value for key, value in values.items())


def test_values_of_data_sets():
    sst2 = config("task=text_classification", "data=sst2")
    assert (sst2.data.hub, sst2.data.labels) == ("SetFit/sst2", ["negative", "positive"])
    assert (sst2.data.vocab_size, sst2.data.tfidf_features, sst2.data.max_length) == (30000, 100000, 512)
    assert (sst2.epochs, sst2.batch_size, sst2.lr) == (10, 64, 1e-3)
    ettm2 = config("task=forecasting", "data=ettm2").data
    assert (ettm2.horizon, ettm2.look_back, ettm2.period, ettm2.split) == (96, 96, 96, [34560, 46080, 57600])
    assert ettm2.time_column == "date"
    assert not config("data=mnist").data.horizontal_flip
    assert config("data=cifar10").data.horizontal_flip
    assert not config("data=image_folder").data.horizontal_flip  # letters and digits would change their class
    kaomoji = config("task=multimodal_sentiment")
    assert (kaomoji.data.name, kaomoji.checkpoint.keep) == ("kaomoji", CheckpointChoice.auto)


def test_an_experiment_changes_options_of_its_data_set():
    settings = config("experiment=mvsa_single")
    assert (settings.data.tfidf_features, settings.data.image_size, settings.task.visual_words) == (20000, 64, 256)


def test_every_yaml_says_what_it_is():
    for file in CONF.glob("*/*.yaml"):
        comments = [line for line in file.read_text().splitlines() if re.match(r"# [^@]", line)]
        assert comments, file


def test_lists_of_regularization_and_loggers_compose():
    settings = config("regularization=[light,strong]", "logger=[csv,wandb,tensorboard]")
    assert settings.regularization.stochastic_depth == 0.1
    assert settings.logger.wandb is not None
    assert settings.logger.tensorboard


def test_choices_of_regularization_build_on_light_and_lists_add_up():
    light, none = config().regularization, RegularizationConfig()
    assert light == config("regularization=light").regularization
    assert config("regularization=none").regularization == none
    assert config("regularization=rdrop").regularization == dataclasses.replace(light, r_drop=1.0)
    assert config("regularization=[none,rdrop]").regularization == dataclasses.replace(none, r_drop=1.0)
    both = config("regularization=[strong,rdrop]").regularization
    assert both == dataclasses.replace(config("regularization=strong").regularization, r_drop=1.0)


IMPOSSIBLE = {
    "attention.score=aditive": ["attention.score=aditive", "Did you mean additive?"],
    "attention.score=[dot,additive]": ["attention.score names 2 heads", "encoder.num_heads is 4"],
    "attention.pattern=local_global encoder.num_heads=1": ["encoder.num_heads=1", "attention.pattern=window"],
    "attention.pattern=strided encoder.num_heads=1": ["encoder.num_heads=1", "attention.pattern=window"],
    "attention.pattern=topk attention.score=staged": ["attention.pattern=topk", "only one of them"],
    "attention.window=0": ["attention.window=0", "1 or more"],
    "attention.topk=0": ["attention.topk=0", "1 or more"],
    "attention.stride=1": ["attention.stride=1", "2 or more"],
    "attention=mha attention.select=gate": ["attention.select=gate", "use attention=mla"],
    "attention.qk_norm=true": ["attention.qk_norm", "attention=mha"],
    "encoder.latent=array attention.pattern=window": ["attention.pattern=window", "use attention.pattern=global"],
    "encoder.latent=array encoder.block=conv_attention": ["encoder.block=conv_attention", "encoder.block=attention"],
    "regularization.kl=1": ["regularization.kl=1", "add encoder.latent=variational"],
    "encoder.latent_dim=8": ["encoder.latent_dim=8", "add encoder.latent=variational"],
    "regularization.reconstruction=1": ["regularization.reconstruction=1", "add encoder.masked_modeling=true"],
    "regularization.sparse_features=1": ["regularization.sparse_features=1", "add attention.select=gate"],
    "regularization.diverse_heads=1 encoder.num_heads=1": ["encoder.num_heads=1", "regularization.diverse_heads=0"],
    "hardware.compile=true encoder.latent=variational": ["encoder.latent=variational", "hardware.compile=false"],
    "checkpoint.every_minutes=-1": ["checkpoint.every_minutes=-1", "0 or more"],
    "debug.overfit=-1": ["debug.overfit=-1", "0 or more"],
    "lr=nan": ["lr=nan", "positive"],
    "regularization.dropout=nan": ["regularization.dropout=nan", "below 1"],
    "data.split_seed=-1": ["data.split_seed=-1", "0 or more"],
    "data=image_folder data.channels=2": ["data.channels=2", "1 is grey"],
    "data=image_folder data.test_share=1": ["data.test_share=1", "between 0 and 1"],
    "data=mnist data.val_share=0": ["data.val_share=0", "between 0 and 1"],
    "task=translation task.decoder.depth=0": ["task.decoder.depth=0", "1 or more"],
    "task=translation attention.score=additive": ["attention.score=additive", "use attention.score=temperature"],
    "task=translation attention=mha attention.score=hybrid task.decoder.cross=mla": [
        "attention.score=hybrid",
        "add task.decoder.self=mha",
    ],
}


@pytest.mark.parametrize("words", IMPOSSIBLE)
def test_options_that_exclude_each_other_are_refused_with_the_remedy(words):
    with pytest.raises(UserError) as caught:
        config(*words.split())
    assert all(part in str(caught.value) for part in IMPOSSIBLE[words]), caught.value
    assert "\n" not in str(caught.value)


def test_choosing_a_task_picks_its_bundled_data_and_single_keys_win():
    assert config("task=image_classification").data.name == "digits"
    assert config("data=fashion_mnist").epochs == 20
    assert config("data=fashion_mnist", "epochs=3").epochs == 3


@pytest.mark.parametrize("name", [name for group, name in CHOICES if group == "experiment"])
def test_recipes_say_what_they_reached_or_that_nobody_knows(name):
    lines = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()
    header = " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))
    assert f"python train.py experiment={name}" in header
    assert re.search(r"seeds? \d", header) or "Not yet run to the end" in header


@pytest.mark.parametrize(("group", "name"), [choice for choice in CHOICES if choice[0] in ("task", "data")])
def test_every_option_has_a_line_of_help(group, name):
    target = written(group, name)[group].get("_target_")
    if target is None:
        pytest.skip("a named set has the options of its reader")
    cls = options_class(target, group)
    names = {field.name for field in dataclasses.fields(cls)} - {"_target_", "name"}
    assert names == option_help(cls).keys()


def test_every_option_of_a_run_has_a_line_of_help():
    classes = [TrainConfig, WandbConfig]
    while classes:
        cls = classes.pop()
        assert option_help(cls).keys() == {field.name for field in dataclasses.fields(cls)}
        classes += [field.type for field in dataclasses.fields(cls) if dataclasses.is_dataclass(field.type)]


@pytest.mark.parametrize("sign", [",", ";", "|", "'", '"', "\t", ":", "=", "~"])
def test_a_value_of_one_sign_needs_no_quotes_of_its_own(sign):
    (word,) = quote_signs([f"data.separator={sign}"])
    (override,) = parse_overrides([word])
    assert override.value() == sign
    assert quote_signs(["a=b", "seed=1,2", "data.separator=';'"]) == ["a=b", "seed=1,2", "data.separator=';'"]
