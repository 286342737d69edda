"""Both networks: what is decoded token by token is what training sees, and each option changes what it says."""

import pytest
import torch
from mla_train.training.build import build_task
from tasks.translation.data import TranslationFacts
from tasks.translation.network import longest_output

from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID
from mla_train.nn import beam_search
from mla_train.nn.attention.mla import MultiheadLatentAttention
from mla_train.nn.attention.multihead import GroupedQueryAttention
from tests.helpers import config
from tests.test_configs import pair_facts

MODELS = ["task.model=transformer", "task.model=seq2seq"]


def network(*words, facts=None):
    torch.manual_seed(0)
    settings = config("task=translation", "encoder.dim=16", "encoder.num_heads=2", *words)
    return build_task(settings, facts or pair_facts()).network.eval()


@pytest.fixture
def pairs():
    torch.manual_seed(1)
    source, target = torch.randint(END_ID + 1, 9, (3, 6)), torch.randint(END_ID + 1, 9, (3, 5))
    source[:, -1], target[:, 0] = END_ID, START_ID
    source[1, 4:] = torch.tensor([END_ID, PAD_ID])
    return source, target


@pytest.mark.parametrize("model", [*MODELS, "attention=mha"])
@torch.no_grad()
def test_steps_say_what_training_sees(model, pairs):
    source, target = pairs
    net = network(model)
    whole = net(source, target)
    stepper = net.stepper(source)
    steps = torch.stack([stepper.step(tokens) for tokens in target.unbind(1)], 1)
    torch.testing.assert_close(steps, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
@torch.no_grad()
def test_beams_that_go_on_take_their_past_along(model, pairs):
    source, target = pairs
    net = network(model)
    stepper = net.stepper(source)
    beams = target.repeat_interleave(2, 0)
    beams[1::2, 1:] = torch.randint(END_ID + 1, 9, (3, 4))
    for tokens in beams[:, :3].unbind(1):
        stepper.step(tokens)
    rows = torch.tensor([1, 0, 5, 5])  # source 1 is finished
    stepper.reorder(rows)
    stepper.keep(torch.tensor([0, 2]))
    said = stepper.step(beams[rows, 3])
    expected = net(source.repeat_interleave(2, 0), beams[:, :4])[rows, -1]
    torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
@torch.no_grad()
def test_padding_and_other_sentences_change_nothing(model, pairs):
    source, target = pairs
    net = network(model)
    together = net(source, target)
    torch.testing.assert_close(net(source[1:2, :5], target[1:2]), together[1:2], rtol=1e-4, atol=1e-5)
    alone = beam_search(
        net.stepper(source[1:2, :5]), longest_output(source[1:2, :5]), start=START_ID, end=END_ID, beams=3
    )
    batched = beam_search(net.stepper(source), longest_output(source), start=START_ID, end=END_ID, beams=3)
    assert alone[0][0].tokens == batched[1][0].tokens
    assert alone[0][0].score == pytest.approx(batched[1][0].score, abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
@torch.no_grad()
def test_maps_are_shares_of_real_source_tokens(model, pairs):
    source, target = pairs
    weights = network(model).attention_map(source, target)
    assert weights.shape == (3, 5, 6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 5))
    assert not weights[1, :, 5].any()


@pytest.mark.parametrize("model", MODELS)
def test_a_joint_vocabulary_has_one_embedding_and_two_have_two(model):
    facts = pair_facts()
    apart = TranslationFacts(12, 9, False, 32, False, "de", 1.5, facts.source_tokenizer, facts.source_tokenizer)
    joint, separate = network(model), network(model, facts=apart)
    assert separate(torch.full((1, 2), 11), torch.full((1, 3), START_ID)).shape == (1, 3, 9)
    rows = sum(p.numel() for p in separate.parameters()) - sum(p.numel() for p in joint.parameters())
    assert rows == 16 * (12 + 9 - facts.source_vocab_size)


def test_each_place_of_the_decoder_has_its_kind_of_attention():
    mixed = network("task.decoder.self=gqa", "task.decoder.cross=mha", "task.decoder.depth=3")
    assert len(mixed.decoder.blocks) == 3
    for block in mixed.decoder.blocks:
        assert isinstance(block.attention, GroupedQueryAttention)
        assert block.attention.num_kv_heads == 1
        assert block.cross_attention.num_kv_heads == 2
    assert isinstance(mixed.encoder.blocks[0].attention, MultiheadLatentAttention)
    plain = network("attention=mha")
    assert not any(isinstance(part, MultiheadLatentAttention) for part in plain.modules())


@torch.no_grad()
def test_additive_attention_is_as_in_the_paper(pairs):
    source, _ = pairs
    net = network("task.model=seq2seq")
    memory, padding, state = net.encode(source)
    context, weights = net.attend(state, memory, net.of_memory(memory), padding)
    for row in range(3):
        energies = [
            net.energy.weight[0] @ torch.tanh(net.of_state(state[row]) + net.of_memory(memory[row, j]))
            for j in range(6)
            if not padding[row, j]
        ]
        expected = torch.stack(energies).softmax(0)
        torch.testing.assert_close(weights[row, : len(expected)], expected)
        torch.testing.assert_close(context[row], expected @ memory[row, : len(expected)])
