"""A run that starts from a checkpoint of the DeepSeek family."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from mla_train.errors import UserError
from mla_train.model_files import check_models
from mla_train.task import build_task
from mla_train.training.deepseek_checkpoint import deepseek_sizes
from mla_train.training.start_weights import describe_start, load_start
from tests.helpers import config, write_reviews

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4}
SIZES |= {"intermediate_size": 40, "kv_lora_rank": 10, "q_lora_rank": 12, "qk_nope_head_dim": 8, "qk_rope_head_dim": 6}
SIZES |= {"v_head_dim": 12, "vocab_size": 20, "first_k_dense_replace": 2, "attn_implementation": "eager"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint, and reviews to classify."""
    modeling = pytest.importorskip("transformers.models.deepseek_v3.modeling_deepseek_v3")
    folder = tmp_path_factory.mktemp("deepseek")
    torch.manual_seed(0)
    network = modeling.DeepseekV3ForCausalLM(modeling.DeepseekV3Config(**SIZES))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.2)
    network.save_pretrained(folder / "whole")
    network.save_pretrained(folder / "parts", max_shard_size="20KB")
    write_reviews(folder / "reviews.csv")
    return folder


def words(folder, name="whole"):
    sizes = deepseek_sizes(folder / name)
    options = [f"{key}={'null' if value is None else value}" for key, value in sizes.items()]
    data = ["task=text_classification", "data=text_files", f"data.train={folder / 'reviews.csv'}"]
    return [*data, *options, "data.tfidf_features=0", f"init.from={folder / name}", "init.parts=[encoder]"]


def started(*options):
    settings = config(*options)
    task = build_task(settings)
    model = task.build_model(task.load_data().spec)
    return model, load_start(model, settings)


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_the_encoder_computes_what_transformers_computes(name, folder):
    from transformers import AutoModelForCausalLM

    model, record = started(*words(folder, name))
    theirs = AutoModelForCausalLM.from_pretrained(folder / name, attn_implementation="eager").model.eval()
    x = torch.randn(2, 9, 32)
    with torch.no_grad():
        expected = theirs(inputs_embeds=x).last_hidden_state
        found = model.eval().encoder(x, is_causal=True)
    assert (found - expected).abs().max() <= 2e-5
    assert record["loaded"]["encoder"] == sum(weight.numel() for weight in model.encoder.state_dict().values())
    assert describe_start(record)[0].startswith(f"starts from {folder / name} (a DeepSeek checkpoint): encoder (")


def test_other_sizes_are_named(folder):
    options = [word for word in words(folder) if not word.startswith("encoder.depth")]
    with pytest.raises(UserError, match=r"does not fit this network: .*take its sizes \(encoder\.depth=2\)"):
        started(*options, "encoder.depth=1")
    _, record = started(*options, "encoder.depth=3", "init.partial=true")
    assert len(record["problems"]) == 11  # weights of the third block
    assert record["differing"] == ["encoder.depth=2"]


def test_experts_are_left_out(folder, tmp_path):
    modeling = pytest.importorskip("transformers.models.deepseek_v3.modeling_deepseek_v3")
    experts = {
        "first_k_dense_replace": 1,
        "n_routed_experts": 2,
        "num_experts_per_tok": 1,
        "n_group": 1,
        "topk_group": 1,
    }
    modeling.DeepseekV3ForCausalLM(modeling.DeepseekV3Config(**SIZES | experts)).save_pretrained(tmp_path / "moe")
    options = [word.replace(str(folder / "whole"), str(tmp_path / "moe")) for word in words(folder)]
    with pytest.raises(UserError, match=r"encoder\.blocks\.1\.feed_forward\.down\.weight is .* here and missing there"):
        started(*options)
    _, record = started(*options, "init.partial=true")
    assert [problem.split()[0] for problem in record["problems"]] == [
        f"encoder.blocks.1.feed_forward.{name}.weight" for name in ("down", "up")
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention_bias": True}, "attention has biases"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "positions are scaled by yarn"),
        ({"hidden_size": None}, "lacks a size"),
        ({"num_attention_heads": "4"}, "lacks a size of the network: num_attention_heads"),
        ({"qk_rope_head_dim": 6.0}, "lacks a size of the network: qk_rope_head_dim"),
        ({"intermediate_size": 10**400}, "lacks a size of the network: intermediate_size"),
        ({"rope_parameters": ["default"]}, "rope_parameters are no object"),
        ({"rope_parameters": {"rope_theta": "much"}}, "rope_theta must be a positive number"),
        ({"hidden_act": "gelu"}, "hidden_act is gelu"),
        # Layers of these sizes would have 100 TB.
        ({"num_attention_heads": 10**6, "v_head_dim": 10**6}, r"kv_b_proj\.weight is .* and has 1000008000000 rows"),
        ({"qk_rope_head_dim": 10**9}, r"q_b_proj\.weight is .* and has 4000000032 rows"),
        ({"kv_lora_rank": 9}, r"attention\.kv_lora_rank"),
    ],
)
def test_what_does_not_fit_is_said(change, message, folder, tmp_path):
    for file in (folder / "whole").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "config.json").unlink()
    stored = json.loads((folder / "whole" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(stored | change))
    options = [word.replace(str(folder / "whole"), str(tmp_path)) for word in words(folder)]
    with pytest.raises(UserError, match=message):
        started(*options, "encoder.depth=1") if "kv_lora_rank" in change else started(*options)


def test_weights_of_eight_bits_and_missing_files_are_said(folder, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(folder / "whole" / name)
    options = [word.replace(str(folder / "whole"), str(tmp_path)) for word in words(folder)]
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"init\.from=.*model\.safetensors is missing"):
        started(*options)
    small = {name: weight.to(torch.float8_e4m3fn) for name, weight in weights.items()}
    save_file(small, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="has 8 bits: convert the checkpoint to bfloat16"):
        started(*options)


def test_weights_that_are_no_real_numbers_and_other_files_are_said(folder, tmp_path):
    (tmp_path / "config.json").symlink_to(folder / "whole" / "config.json")
    options = [word.replace(str(folder / "whole"), str(tmp_path)) for word in words(folder)]
    weights = load_file(folder / "whole" / "model.safetensors")
    norm = weights["model.norm.weight"]
    for odd in (norm / 0, norm.int(), norm.to(torch.complex64)):
        save_file(weights | {"model.norm.weight": odd}, tmp_path / "model.safetensors")
        with pytest.raises(UserError, match=r"model\.norm\.weight has weights that are no finite real numbers"):
            started(*options)
    (tmp_path / "config.json").unlink()
    for content, message in (("[]", "holds no finished model"), ("{", "cannot be read")):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(UserError, match=message):
            check_models(config(*options))


def test_its_embedding_is_not_taken(folder):
    options = [word for word in words(folder) if "init.parts" not in word]
    with pytest.raises(UserError, match=r"add init\.parts=\[encoder\]"):
        check_models(config(*options))
    check_models(config(*words(folder)))
