"""Hostile command lines: each makes a config, or is refused by a UserError, in bounded time and memory."""

import string

from mla_train.config.compose import to_typed_config
from mla_train.config.overrides import clear_errors, compose_overrides, quote_signs
from mla_train.config.typed import flatten
from mla_train.program import CONF
from tests.fuzzing import FUZZ, bounded, chances
from tests.helpers import config

GROUPS = (
    "task",
    "data",
    "encoder",
    "attention",
    "regularization",
    "hardware",
    "logger",
    "debug",
    "experiment",
    "sweep",
    "hydra",
)
VALUES = (
    "", "0", "1", "-1", "7", "1e9", "1e999", "-inf", "nan", "0.5", "true", "null", "None", "mla", "'a'", '"a"', "'", '"', "[", "[]", "[1,2]", "[a,[b]]",
    "{}", "{a:1}", "{a:{b:[1]}}", "${oc.env:HOME}", "${oc.env:NO_SUCH}", "${seed}", "${a", "$", "a=b", "a,b", "1,2", "choice(1,2)",
    "range(1,10**9)", "interval(0,1)", "glob(*)", "shuffle(a,b)", "sort(3,2)", "str(1)", "int(a)", "/", "../../etc", "~", "\\", "\\,", " ", "\n", "\t",
    "\0", "\ud800", "\x1b[31m", "[/b]", "é", "名", "x" * 10_000, "[" * 200, "0x10", "1_000", "01", "1:30", "yes", "@", "a@b", "#",
)  # fmt: skip


def hostile_word(keys, chance):
    """An override, a choice of a group, a removal, or noise."""
    key = chance.choice([*keys, *GROUPS])
    if chance.random() < 0.6:
        return f"{key}={chance.choice(VALUES)}"
    if chance.random() < 0.2:
        place = chance.randrange(len(key) + 1)
        key = (
            key[:place] + chance.choice([*string.punctuation, "a", "", " ", "\0"]) + key[place + chance.randint(0, 2) :]
        )
    value = chance.choice(VALUES)
    if chance.random() < 0.2:
        value += chance.choice(VALUES)
    return (
        chance.choice(["", "", "", "", "+", "++", "~"])
        + key
        + chance.choice(["=", "=", "=", "=", "", ":", "=="])
        + value
    )


def test_command_lines_are_composed_or_refused():
    keys = sorted(
        flatten({"task": {}, "data": {}})
        | _flat(config("task=text_classification"))
        | _flat(config("task=forecasting"))
    )
    for _, chance in chances("command line", FUZZ):
        words = [hostile_word(keys, chance) for _ in range(chance.randint(1, 2))]
        with bounded(), clear_errors(CONF, words):
            to_typed_config(compose_overrides(CONF, quote_signs(words)))


def _flat(options):
    from omegaconf import OmegaConf

    return flatten(OmegaConf.to_container(OmegaConf.structured(options)))
