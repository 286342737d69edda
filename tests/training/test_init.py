"""A run that starts from the weights of another: what is taken, refused, frozen and slowed down."""

import json
import shutil
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file

from mla_train.commands import train as command
from mla_train.errors import Interrupted, UserError
from mla_train.inference.artifact import load_model
from mla_train.known_inputs import match_inputs
from mla_train.task import build_task
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.fine_tuning import freeze, is_frozen, rate_factor
from mla_train.training.module import TrainingModule
from mla_train.training.optimizers import build_optimizer
from mla_train.training.start_weights import load_start
from tests.helpers import (
    SMALL,
    build,
    config,
    number_pairs,
    run_here,
    stop_in_epoch,
    train,
    write_pairs,
    write_pictures,
    write_reviews,
)
from tests.training.test_resume import assert_same_end, weights

TEXTS = ["task=text_classification", "data=text_files", "data.min_frequency=1", "data.tfidf_features=0", "epochs=1"]
PAIRS = ["task=translation", "data=pair_files", "data.vocab_size=300", "epochs=1", "task.val_sample=4"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Folder with two finished runs and the data of later ones."""
    folder = tmp_path_factory.mktemp("init")
    write_reviews(folder / "a.csv")
    (folder / "b.csv").write_text(
        "text,label\n"
        + "".join(f"this day {i} was {word} indeed,{word}\n" for i in range(30) for word in ("hot", "cold"))
    )
    write_pairs(folder / "pairs.csv", number_pairs(60))
    run_here(folder / "texts", *TEXTS, f"data.train={folder / 'a.csv'}")
    run_here(folder / "pairs", *PAIRS, f"data.train={folder / 'pairs.csv'}")
    return folder


def started(sources, *words, source="texts", base=TEXTS, data="b.csv"):
    """Module of a run that starts from another one, its data, and what is said of the start."""
    settings = config(*SMALL, *base, f"data.train={sources / data}", f"init.from={sources / source}", *words)
    task = build_task(settings)
    prepared = task.load_data()
    torch.manual_seed(1)
    module = TrainingModule(settings, task, task.build_model(prepared.spec))
    return module, prepared, load_start(module.model, settings)


def test_weights_vocabulary_and_nothing_else_come_along(sources):
    module, data, record = started(sources)
    stored = load_file(sources / "texts" / "model" / "model.safetensors")
    own = module.model.state_dict()
    taken = {name for name in own if name.startswith(("encoder.", "embeddings.text.tokens"))}
    assert taken
    assert all(torch.equal(own[name], stored[name]) for name in taken)
    assert set(record["not_loaded"]) == own.keys() - taken
    assert record["loaded"] == {
        part: sum(own[name].numel() for name in taken if name.startswith(prefix))
        for part, prefix in (("encoder", "encoder."), ("embedding", "embeddings."))
    }
    spec = json.loads((sources / "texts" / "model" / "spec.json").read_text())["inputs"]["text"]
    assert data.spec.inputs["text"].spec.tokenizer == spec["tokenizer"]
    assert any(f"text is read with the {spec['vocab_size']} tokens of" in note for note in data.notes)
    assert data.spec.target.classes == ["cold", "hot"]


def test_the_encoder_alone_leaves_the_vocabulary_to_the_data(sources):
    _, data, record = started(sources, "init.parts=[encoder]")
    assert "indeed" in data.spec.inputs["text"].spec.tokenizer
    assert list(record["loaded"]) == ["encoder"]
    assert not any("is read with" in note for note in data.notes)


def test_a_tokenizer_alone_brings_no_weights(sources):
    words = [*SMALL, *TEXTS, f"data.train={sources / 'b.csv'}", f"data.tokenizer={sources / 'texts'}"]
    data = build_task(config(*words)).load_data()
    spec = json.loads((sources / "texts" / "model" / "spec.json").read_text())["inputs"]["text"]
    assert data.spec.inputs["text"].spec.tokenizer == spec["tokenizer"]
    with pytest.raises(UserError, match=r"remove data\.tokenizer"):
        config(*words, f"init.from={sources / 'texts'}")


@pytest.mark.parametrize("key", ["init.from", "data.tokenizer"])
def test_a_language_model_reads_with_the_vocabulary_of_another(key, sources, tmp_path):
    base = ["task=causal_lm", "data=text_lines", "data.min_frequency=1", "epochs=1"]
    run_here(tmp_path / "first", *base, f"data.train={sources / 'a.csv'}")
    words = [*SMALL, *base, f"data.train={sources / 'b.csv'}", f"{key}={tmp_path / 'first'}"]
    settings = config(*words)
    task = build_task(settings)
    data = task.load_data()
    spec = json.loads((tmp_path / "first" / "model" / "spec.json").read_text())["inputs"]["text"]
    assert (
        vars(data.spec.inputs["text"].spec).items()
        >= {name: spec[name] for name in ("tokenizer", "vocab_size")}.items()
    )
    assert f"text is read with the {spec['vocab_size']:,} tokens of the run that {key} names" in data.notes
    if key == "init.from":
        assert set(load_start(task.build_model(data.spec), settings)["loaded"]) == {"encoder", "embedding"}
    words[-1] = f"{key}={sources / 'texts'}"  # whose words have no blanks
    with pytest.raises(UserError, match=r"does not restore a text exactly.*remove data\.tokenizer"):
        build_task(config(*words)).load_data()


@pytest.mark.parametrize("key", ["init.from", "data.tokenizer"])
def test_a_finished_run_is_evaluated_where_its_source_is_gone(key, sources, tmp_path):
    shutil.copytree(sources / "texts", tmp_path / "source")
    run_here(tmp_path / "run", *TEXTS, f"data.train={sources / 'b.csv'}", f"{key}={tmp_path / 'source'}")
    shutil.rmtree(tmp_path / "source")
    artifact = load_model(tmp_path / "run")
    data = artifact.task.load_data()
    assert data.spec.inputs["text"].spec.tokenizer == artifact.model.spec.inputs["text"].spec.tokenizer


@pytest.mark.parametrize("key", ["init.from", "data.tokenizer"])
def test_a_run_is_resumed_where_its_source_is_gone(key, sources, tmp_path):
    shutil.copytree(sources / "texts", tmp_path / "source")
    words = [*TEXTS, f"data.train={sources / 'b.csv'}", f"{key}={tmp_path / 'source'}", "epochs=3"]
    whole = run_here(tmp_path / "whole", *words)
    with pytest.raises(Interrupted):
        run_here(tmp_path / "run", *words, "hardware.max_minutes=0.00001")
    assert not (tmp_path / "run" / "model" / "model.safetensors").exists()
    shutil.rmtree(tmp_path / "source")
    with pytest.raises(UserError, match=r"the run is not finished, continue it with resume="):
        load_model(tmp_path / "run")
    resumed = run_here(tmp_path / "run", *words, "resume=auto")
    assert resumed["metrics"] == whole["metrics"]
    assert resumed["init"] == whole["init"]
    assert resumed["notes"] == whole["notes"]


def test_a_translator_gives_encoder_embedding_and_decoder(sources):
    words = ["init.parts=[encoder,embedding,decoder]"]
    module, _, record = started(sources, *words, source="pairs/model", base=PAIRS, data="pairs.csv")
    stored, own = load_file(sources / "pairs" / "model" / "model.safetensors"), module.model.state_dict()
    assert own.keys() == stored.keys()
    assert not record["not_loaded"]
    assert all(torch.equal(own[name], stored[name]) for name in own)


def test_the_source_of_a_translator_becomes_the_text_of_a_classifier(sources):
    module, data, _ = started(sources, source="pairs")
    assert data.spec.inputs["text"].spec.end_token
    stored = load_file(sources / "pairs" / "model" / "model.safetensors")
    assert torch.equal(
        module.model.state_dict()["embeddings.text.tokens.weight"], stored["embeddings.source.tokens.weight"]
    )
    assert module.model.embeddings["text"].scale == 4.0


def test_images_keep_the_scale_of_the_run(sources, tmp_path):
    for name in ("dark", "bright"):
        write_pictures(tmp_path / name, colour=False, size=(8, 8))
    words = ["data=image_folder", "epochs=1", "data.channels=1"]
    run_here(tmp_path / "run", *words, f"data.root={tmp_path / 'dark'}")
    spec = json.loads((tmp_path / "run" / "model" / "spec.json").read_text())["inputs"]["image"]
    own = {"base": words, "data": "b.csv"}
    _, data, record = started(
        sources, f"data.root={tmp_path / 'bright'}", f"init.from={tmp_path / 'run'}", "data.train=null", **own
    )
    assert data.spec.inputs["image"].spec.mean == spec["mean"]
    assert record["loaded"]["embedding"]


def test_inputs_match_by_name_and_kind_or_as_the_only_ones_of_a_kind():
    assert match_inputs({"text": "text"}, {"source": "text"}) == {"text": "source"}
    assert match_inputs({"a": "text", "b": "text"}, {"b": "text", "c": "text"}) == {"b": "b"}
    assert match_inputs({"text": "text", "image": "image"}, {"text": "image"}) == {"image": "text"}


MISFITS = {
    "encoder.dim=32": [
        "encoder.blocks.0.attention.kv_down.weight is (16, 32) here and (8, 16) there",
        "encoder.dim=16",
    ],
    "encoder.depth=3": ["encoder.blocks.2.attention", "missing there", "encoder.depth=2", "init.partial=true"],
    "attention=mha": ["missing here", "attention.kind=mla", "init.parts="],
    "init.parts=[decoder]": ["this run has no decoder", "init.parts="],
    "task.use_encoder=false task.convolutions=[3]": ["this run has no encoder", "init.parts="],
}


@pytest.mark.parametrize("words", MISFITS)
def test_a_network_that_does_not_fit_is_refused_with_names_and_remedy(words, sources):
    with pytest.raises(UserError, match=r"init\.from=\S+ does not fit") as caught:
        started(sources, *words.split())
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in MISFITS[words]), caught.value


def test_partial_takes_what_fits_and_says_what_does_not(sources):
    module, _, record = started(sources, "encoder.depth=3", "init.partial=true")
    stored, own = load_file(sources / "texts" / "model" / "model.safetensors"), module.model.state_dict()
    assert torch.equal(own["encoder.blocks.1.attention.out.weight"], stored["encoder.blocks.1.attention.out.weight"])
    assert any(name.startswith("encoder.blocks.2.") for name in record["not_loaded"])
    assert record["problems"]


def test_options_that_leave_the_sizes_but_change_the_meaning_are_said(sources):
    _, _, record = started(sources, "attention.rope_theta=500")
    assert record["differing"] == ["attention.rope_theta=10000.0"]


def test_a_mask_token_is_no_reason_to_refuse(sources, tmp_path):
    _, _, record = started(sources, "encoder.masked_modeling=true", "regularization=none")
    assert "encoder.token_masking.token" in record["not_loaded"]


def test_a_text_of_a_classifier_cannot_be_generated(sources):
    with pytest.raises(UserError, match=r"no end token.*init\.parts=\[encoder\]"):
        started(sources, base=PAIRS, data="pairs.csv")


def test_folders_that_are_no_finished_run_are_refused_before_torch_is_loaded(sources, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    shutil.copytree(sources / "texts", tmp_path / "damaged")
    with (tmp_path / "damaged" / "model" / "model.safetensors").open("r+b") as stream:
        stream.seek(-3, 2)
        stream.write(b"xyz")
    (tmp_path / "begun").mkdir()
    shutil.copy(sources / "texts" / "config.yaml", tmp_path / "begun")
    monkeypatch.chdir(tmp_path)
    expected = {
        "./none": "holds no finished model",
        "./empty": "Name a run folder or a model folder",
        "./damaged": "Restore the file",
        "./begun": "continue it with resume=begun",
    }
    for name, part in expected.items():
        for key in ("init.from", "data.tokenizer"):
            words = ["train.py", *TEXTS, f"data.train={sources / 'b.csv'}", f"{key}={name}", "run_dir=run"]
            with mock.patch("sys.argv", words), pytest.raises(SystemExit):
                command.main()
            said = capsys.readouterr().err
            assert f"{key}={name}" in said
            assert part in said, said
            assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_model_of_a_stranger_names_no_code(sources, tmp_path):
    shutil.copytree(sources / "texts" / "model", tmp_path / "forged")
    (tmp_path / "forged" / "SHA256SUMS").unlink()
    stored = json.loads((tmp_path / "forged" / "config.json").read_text())
    stored["task"]["_target_"] = "os.system"
    (tmp_path / "forged" / "config.json").write_text(json.dumps(stored))
    with pytest.raises(UserError, match=r"init\.from=.*not of this project"):
        started(sources, f"init.from={tmp_path / 'forged'}")


# What is trained, and how fast.


def test_learning_rates_of_layers_are_those_of_the_formula():
    module, _ = build("task=text_classification", *SMALL, "encoder.depth=3", "init.layer_decay=.5", "lr=0.8")
    optimizer = build_optimizer(module, module.config)
    names = {parameter: name for name, parameter in module.named_parameters()}
    rates = {names[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates.keys() == set(names.values())
    expected = {
        "model.head.layers": 0.8, "model.encoder.norm": 0.8, "model.embeddings.text.side_paths": 0.8,
        "model.encoder.blocks.2.": 0.4, "model.encoder.blocks.1.": 0.2, "model.encoder.blocks.0.": 0.1,
        "model.embeddings.text.tokens": 0.05,
    }  # fmt: skip
    for prefix, rate in expected.items():
        of_prefix = {each for name, each in rates.items() if name.startswith(prefix)}
        assert list(of_prefix) == pytest.approx([rate]), prefix
    assert optimizer.param_groups[0]["lr"] == 0.8  # which is logged


@pytest.mark.parametrize(
    ("choice", "frozen"),
    [
        ("attention", ["encoder.blocks.0.attention.out.weight"]),
        ("encoder", ["encoder.blocks.1.feed_forward", "encoder.norm", "encoder.blocks.0.attention.out.weight"]),
        ("embedding", ["embeddings.text.tokens.weight"]),
        ("all_but_head", ["encoder.", "embeddings.text.tokens.weight"]),
    ],
)
def test_what_is_frozen_has_no_gradients(choice, frozen):
    module, _ = build("task=text_classification", *SMALL, f"init.freeze={choice}")
    freeze(module.model, module.config)
    names = {name for name, parameter in module.model.named_parameters() if not parameter.requires_grad}
    assert all(any(name.startswith(prefix) for name in names) for prefix in frozen)
    assert not any(name.startswith(("head.", "embeddings.text.side_paths.")) for name in names)
    assert ("encoder.blocks.0.attention_norm.weight" in names) == (choice in ("encoder", "all_but_head"))
    trained = {p for group in build_optimizer(module, module.config).param_groups for p in group["params"]}
    assert trained == {p for p in module.parameters() if p.requires_grad}


def test_blocks_are_unfrozen_from_the_top_one_each_epoch():
    words = ["encoder.depth=3", "init.freeze=all_but_head", "init.unfreeze_epochs=2", "epochs=9"]
    settings = config("task=text_classification", *SMALL, *words)
    first = {
        name: next(epoch for epoch in range(9) if not is_frozen(name, settings, epoch))
        for name in (
            "head.x",
            "encoder.norm.x",
            *(f"encoder.blocks.{i}.x" for i in (2, 1, 0)),
            "embeddings.text.tokens.x",
        )
    }
    assert list(first.values()) == [0, 2, 2, 3, 4, 5]
    settings = config("task=text_classification", *SMALL, "init.freeze=embedding", "init.unfreeze_epochs=2")
    assert [is_frozen("embeddings.text.tokens.x", settings, epoch) for epoch in (1, 2)] == [True, False]
    assert rate_factor("encoder.blocks.0.x", settings) == 1


def test_a_frozen_part_does_not_move_and_the_start_stands_in_the_results(sources, tmp_path):
    words = ["init.freeze=encoder", "regularization.weight_decay=.1", "regularization.ema_decay=.9", "epochs=2"]
    results = run_here(
        tmp_path / "run", *TEXTS, f"data.train={sources / 'b.csv'}", f"init.from={sources / 'texts'}", *words
    )
    before, after = (load_file(run / "model" / "model.safetensors") for run in (sources / "texts", tmp_path / "run"))
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("encoder."))
    assert not torch.equal(before["embeddings.text.tokens.weight"], after["embeddings.text.tokens.weight"])
    assert results["init"]["from"] == str(sources / "texts")
    assert results["init"]["loaded"].keys() == {"encoder", "embedding"}
    assert any("starts from" in note and "head.layers" in note for note in results["notes"])
    assert any("weights are frozen (init.freeze=encoder)" in note for note in results["notes"])
    optimizer = weights(tmp_path / "run")["optimizer_states"][0]
    trained = sum(len(group["params"]) for group in optimizer["param_groups"])
    assert len(optimizer["state"]) == trained < len(list(weights(tmp_path / "run")["state_dict"]))


def test_a_run_that_unfreezes_is_resumed_bit_for_bit(sources, tmp_path):
    words = [*TEXTS[:-1], "epochs=4", "batch_size=16", f"data.train={sources / 'b.csv'}", "init.layer_decay=.7"]
    words += ["init.freeze=all_but_head", "init.unfreeze_epochs=1", "regularization.dropout=.1", "checkpoint.keep=best"]
    words += ["regularization.ema_decay=.9"]
    shutil.copytree(sources / "texts", tmp_path / "source")
    words += [f"init.from={tmp_path / 'source'}"]
    run_here(tmp_path / "whole", *words)
    sizes = []
    for epoch in (1, 2, 3):
        with mock.patch.object(Checkpoints, "on_train_epoch_start", stop_in_epoch(epoch)), pytest.raises(RuntimeError):
            run_here(tmp_path / "cut", *words, "resume=auto")
        sizes.append(len(weights(tmp_path / "cut")["optimizer_states"][0]["state"]))
    assert sizes[0] < sizes[1] < sizes[2]  # moments come with the training
    results = run_here(tmp_path / "cut", *words, "resume=auto")
    assert_same_end(tmp_path / "whole", tmp_path / "cut")
    assert results["init"]["loaded"]
    assert any("starts from" in note for note in results["notes"])


WRONG = {
    "init.unfreeze_epochs=1": ["init.unfreeze_epochs=1", "init.freeze="],
    "init.freeze=encoder init.unfreeze_epochs=5 epochs=5": ["init.unfreeze_epochs=5", "epochs=5"],
    "init.freeze=encoder init.unfreeze_epochs=1 hardware.devices=2": ["init.unfreeze_epochs=1", "hardware.devices=1"],
    "init.freeze=encoder hardware=fsdp regularization=none": ["init.freeze=encoder", "hardware.strategy=ddp"],
    "init.layer_decay=1.5": ["init.layer_decay=1.5", "1 or less"],
    "init.layer_decay=0": ["init.layer_decay=0", "positive"],
    "init.parts=[]": ["init.parts", "init.from"],
}


@pytest.mark.parametrize("words", WRONG)
def test_options_without_a_meaning_are_refused(words):
    with pytest.raises(UserError) as caught:
        config(*words.split())
    assert all(part in str(caught.value) for part in WRONG[words]), caught.value


def test_nothing_to_train_or_to_freeze_is_refused(sources, tmp_path):
    words = [*TEXTS, f"data.train={sources / 'b.csv'}", "task.use_encoder=false", "data.tfidf_features=50"]
    with pytest.raises(UserError, match=r"init\.freeze=encoder: this network has no such weights"):
        run_here(tmp_path / "run", *words, "init.freeze=encoder")
    module, _ = build("task=text_classification", *SMALL, "init.freeze=all_but_head")
    with pytest.raises(UserError, match=r"leaves nothing to train: set init\.freeze=none"):
        freeze(torch.nn.ModuleDict({"encoder": module.model.encoder}), module.config)


@pytest.mark.slow
def test_the_command_starts_another_task_from_a_run(tmp_path):
    """An encoder of texts reads images; the key `from` is one of the command, the stored config, and resume."""
    short = [*SMALL, "debug=fast", "baselines=none"]
    train("task=text_classification", *short, "run_dir=runs/texts", cwd=tmp_path)
    done = train("task=image_classification", *short, "init.from=runs/texts", "run_dir=runs/images", cwd=tmp_path)
    assert "starts from runs/texts (text_classification on language_id): encoder" in done.stdout
    assert "its encoder was hardly trained: train it with task.start=none" in done.stdout
    (tmp_path / "runs" / "images" / "results.json").unlink()
    resumed = train("resume=runs/images", cwd=tmp_path)
    assert "starts from runs/texts" in resumed.stdout
    wrong = train("init.form=runs/texts", cwd=tmp_path, check=False)
    assert "Did you mean init.from?" in wrong.stderr
    assert "init.from=null" in train("--help", "init", cwd=tmp_path).stdout
