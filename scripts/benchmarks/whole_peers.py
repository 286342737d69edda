"""Trains a model of another library on the data that train.py would read, for some seconds; prints its examples a second.

    python scripts/benchmarks/whole_peers.py text_trainer data=sst2 data.root=FOLDER task=text_classification

Each has the width, depth, heads and batch size of the options, its own defaults otherwise, and the same token numbers, pixels or
windows, so that examples a second can be compared.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mla_train.config.overrides import compose_overrides
from mla_train.program import CONF
from mla_train.task import build_task

WARM_UP = 3  # steps


class Clock:
    """Counts examples from the first steps on, until time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self.examples, self.start = seconds, 0, 0, 0.0

    def step(self, examples: int) -> bool:
        """Called after each step; returns whether time is over."""
        self.steps += 1
        if self.steps == WARM_UP:
            self.start = time.perf_counter()
        elif self.steps > WARM_UP:
            self.examples += examples
        return self.steps > WARM_UP and time.perf_counter() - self.start > self.seconds

    @property
    def speed(self) -> float:
        """Examples a second."""
        return self.examples / (time.perf_counter() - self.start)


class Rows(torch.utils.data.Dataset):
    """Token numbers and classes, as the Trainer reads them."""

    def __init__(self, tokens: list[Tensor], labels: list[int]) -> None:
        self.tokens, self.labels = tokens, labels

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"input_ids": self.tokens[row], "labels": self.labels[row]}


def padded(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch, padded to its longest text."""
    tokens = nn.utils.rnn.pad_sequence([row["input_ids"] for row in rows], batch_first=True)
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    mask = torch.arange(tokens.size(1)) < lengths[:, None]
    return {"input_ids": tokens, "attention_mask": mask.long(), "labels": torch.tensor([row["labels"] for row in rows])}


def text_rows(data: Any) -> Rows:
    """The training texts of a data set."""
    (name,) = data.spec.inputs
    column, targets = data.train.columns[name], data.train.targets
    tokens = [torch.as_tensor(column[i].tokens).long() for i in range(len(data.train))]
    return Rows(tokens, [int(label) for label in targets])


def text_trainer(config: Any, data: Any, clock: Clock, grouped: bool = False) -> None:
    """Transformers' Trainer with a BERT from random weights; `grouped` sorts texts by length as the Trainer offers it."""
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **other: Any) -> None:
            control.should_training_stop = clock.step(config.batch_size)

    encoder, (spec,) = config.encoder, [each.spec for each in data.spec.inputs.values()]
    bert = BertConfig(
        vocab_size=spec.vocab_size, hidden_size=encoder.dim, num_hidden_layers=encoder.depth,
        num_attention_heads=encoder.num_heads, intermediate_size=4 * encoder.dim,
        max_position_embeddings=max(512, spec.max_length),
    )  # fmt: skip
    bert.num_labels = len(data.spec.target.names)
    arguments = TrainingArguments(
        output_dir="peer", per_device_train_batch_size=config.batch_size, num_train_epochs=1000, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, learning_rate=config.lr, use_cpu=True,
        train_sampling_strategy="group_by_length" if grouped else "random",
    )  # fmt: skip
    model = BertForSequenceClassification(bert)
    Trainer(model, arguments, train_dataset=text_rows(data), data_collator=padded, callbacks=[Watch()]).train()


def text_trainer_grouped(config: Any, data: Any, clock: Clock) -> None:
    """The same with texts of similar length in a batch."""
    text_trainer(config, data, clock, grouped=True)


def masked_lm_trainer(config: Any, data: Any, clock: Clock) -> None:
    """Transformers' Trainer with a BERT for hidden words from random weights, and its own collator."""
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        PreTrainedTokenizerFast,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **other: Any) -> None:
            control.should_training_stop = clock.step(config.batch_size)

    encoder, (text,) = config.encoder, data.spec.inputs.values()
    (column,) = data.train.columns.values()
    rows: Any = [{"input_ids": tokens.tolist()} for tokens in column.tokens]
    names = {f"{name}_token": sign for name, sign in (("pad", "[PAD]"), ("unk", "[UNK]"), ("mask", "[UNK]"))}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=text.tokenizer, **names)
    bert = BertConfig(
        vocab_size=text.spec.vocab_size, hidden_size=encoder.dim, num_hidden_layers=encoder.depth,
        num_attention_heads=encoder.num_heads, intermediate_size=4 * encoder.dim,
        max_position_embeddings=max(512, text.spec.max_length),
    )  # fmt: skip
    arguments = TrainingArguments(
        output_dir="peer", per_device_train_batch_size=config.batch_size, num_train_epochs=1000, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, learning_rate=config.lr, use_cpu=True,
    )  # fmt: skip
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=config.task.mask_rate)
    Trainer(BertForMaskedLM(bert), arguments, train_dataset=rows, data_collator=collator, callbacks=[Watch()]).train()


class PlainModule(L.LightningModule):
    """A loss and AdamW."""

    def __init__(self, network: nn.Module, loss: Callable[[nn.Module, Any], Tensor], clock: Clock, lr: float) -> None:
        super().__init__()
        self.network, self.loss, self.clock, self.lr = network, loss, clock, lr

    def training_step(self, batch: Any) -> Tensor:
        """Loss of a batch."""
        return self.loss(self.network, batch)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stops when time is over."""
        first = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
        self.trainer.should_stop = self.clock.step(len(first))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), self.lr)


def fit(network: nn.Module, loss: Callable[[nn.Module, Any], Tensor], loader: Any, clock: Clock, lr: float) -> None:
    """Lightning with nothing else."""
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=-1, min_epochs=0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=1.0,
    )  # fmt: skip
    trainer.fit(PlainModule(network, loss, clock, lr), loader)


class TorchEncoder(nn.Module):
    """Embeddings, nn.TransformerEncoder with its defaults, mean of tokens, classes."""

    def __init__(self, vocab: int, classes: int, dim: int, depth: int, heads: int, longest: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, dim, 0), nn.Embedding(longest, dim)
        layer = nn.TransformerEncoderLayer(dim, heads, 4 * dim, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.classes = nn.Linear(dim, classes)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Class scores."""
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.size(1)))
        x = self.encoder(x, src_key_padding_mask=~mask)
        return self.classes((x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1))


def text_lightning(config: Any, data: Any, clock: Clock) -> None:
    """Lightning with nn.TransformerEncoder, random batches padded to their longest text."""
    encoder, (spec,) = config.encoder, [each.spec for each in data.spec.inputs.values()]
    classes, longest = len(data.spec.target.names), max(512, spec.max_length)
    network = TorchEncoder(spec.vocab_size, classes, encoder.dim, encoder.depth, encoder.num_heads, longest)
    loader = DataLoader(text_rows(data), config.batch_size, shuffle=True, collate_fn=padded)

    def loss(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(network(batch["input_ids"], batch["attention_mask"].bool()), batch["labels"])

    fit(network, loss, loader, clock, config.lr)


def image_timm(config: Any, data: Any, clock: Clock) -> None:
    """Timm's vision transformer of the same sizes, patches of 4 pixels, flips and shifts by torchvision, in Lightning."""
    from timm.models.vision_transformer import VisionTransformer
    from torchvision.transforms import v2

    encoder, (name,) = config.encoder, data.spec.inputs
    images = torch.as_tensor(data.train.columns[name].images)
    channels, height, width = images.shape[1:]
    network = VisionTransformer(
        img_size=(height, width), patch_size=4, in_chans=channels, num_classes=len(data.spec.target.names),
        embed_dim=encoder.dim, depth=encoder.depth, num_heads=encoder.num_heads,
    )  # fmt: skip
    shift = v2.RandomCrop((height, width), padding=2)
    labels = torch.as_tensor(data.train.targets).long()

    def collate(rows: list[int]) -> tuple[Tensor, Tensor]:
        return torch.stack([shift(images[row]) for row in rows]).float() / 255, labels[rows]

    loader: Any = DataLoader(list(range(len(images))), config.batch_size, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    fit(network, lambda net, batch: F.cross_entropy(net(batch[0]), batch[1]), loader, clock, config.lr)


def forecast_patchtst(config: Any, data: Any, clock: Clock) -> None:
    """Transformers' PatchTST with its defaults but for width, depth, heads and patches of 16, stride 8, in Lightning."""
    from transformers import PatchTSTConfig, PatchTSTForPrediction

    encoder, options = config.encoder, config.data
    (column,) = data.train.columns.values()
    values = torch.as_tensor(column.series.values[: column.end])
    back, ahead = options.look_back, options.horizon
    network = PatchTSTForPrediction(
        PatchTSTConfig(
            num_input_channels=values.size(1), context_length=back, prediction_length=ahead, patch_length=16, patch_stride=8,
            d_model=encoder.dim, num_hidden_layers=encoder.depth, num_attention_heads=encoder.num_heads,
            ffn_dim=4 * encoder.dim, loss="mse", scaling=None,
        )
    )  # fmt: skip

    def collate(rows: list[int]) -> tuple[Tensor, Tensor]:
        windows = torch.stack([values[row : row + back + ahead] for row in rows])
        return windows[:, :back], windows[:, back:]

    count = len(values) - back - ahead + 1
    loader: Any = DataLoader(list(range(count)), config.batch_size, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    loss = lambda net, batch: net(past_values=batch[0], future_values=batch[1]).loss  # noqa: E731
    fit(network, loss, loader, clock, config.lr)


def forecast_neuralforecast(config: Any, data: Any, clock: Clock) -> None:
    """NeuralForecast's PatchTST with its defaults but for the same sizes; its windows are of one series each."""
    import pandas as pd
    import pytorch_lightning
    from neuralforecast import NeuralForecast
    from neuralforecast.models import PatchTST

    class Watch(pytorch_lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *other: Any) -> None:
            trainer.should_stop = clock.step(config.batch_size)

    encoder, options = config.encoder, config.data
    (column,) = data.train.columns.values()
    values = torch.as_tensor(column.series.values[: column.end])
    steps, channels = values.shape
    frame = pd.DataFrame(
        {
            "unique_id": torch.arange(channels).repeat_interleave(steps).numpy(),
            "ds": torch.arange(steps).repeat(channels).numpy(),
            "y": values.T.flatten().numpy(),
        }
    )
    network = PatchTST(
        h=options.horizon, input_size=options.look_back, patch_len=16, stride=8, hidden_size=encoder.dim,
        encoder_layers=encoder.depth, n_heads=encoder.num_heads, linear_hidden_size=4 * encoder.dim, batch_size=channels,
        windows_batch_size=config.batch_size * channels, max_steps=10**6, learning_rate=config.lr, callbacks=[Watch()],
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    NeuralForecast([network], freq=1).fit(frame)


def translation_marian(config: Any, data: Any, clock: Clock) -> None:
    """Transformers' Marian of the same sizes, texts padded to the longest of a batch, in Lightning."""
    from transformers import MarianConfig, MarianMTModel

    encoder, vocab = config.encoder, max(each.spec.vocab_size for each in data.spec.inputs.values())
    vocab = max(vocab, data.spec.target.vocab_size)
    sizes = {"d_model": encoder.dim, "vocab_size": vocab, "decoder_vocab_size": vocab, "pad_token_id": 0}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": encoder.depth, f"{side}_attention_heads": encoder.num_heads, f"{side}_ffn_dim": 4 * encoder.dim}  # fmt: skip
    network = MarianMTModel(MarianConfig(**sizes, decoder_start_token_id=0, eos_token_id=2, forced_eos_token_id=None))

    def collate(rows: list[int]) -> dict[str, Tensor]:
        batch = data.collate([data.train[row] for row in rows], training=True)
        source, target = next(iter(batch.inputs.values())), batch.targets.following
        labels = target.masked_fill(target == 0, -100)
        return {"input_ids": source.tokens, "attention_mask": (~source.padding).long(), "labels": labels}

    loader: Any = DataLoader(list(range(len(data.train))), config.batch_size, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    fit(network, lambda net, batch: net(**batch).loss, loader, clock, config.lr)


PEERS: dict[str, Callable[[Any, Any, Clock], None]] = {
    function.__name__: function
    for function in (
        text_trainer,
        text_trainer_grouped,
        text_lightning,
        masked_lm_trainer,
        image_timm,
        forecast_patchtst,
        forecast_neuralforecast,
        translation_marian,
    )
}


def main() -> None:
    """Prints examples a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the training")
    parser.add_argument("overrides", nargs="*", help="options of train.py")
    arguments = parser.parse_intermixed_args()
    config = compose_overrides(CONF, arguments.overrides)
    data = build_task(config).load_data()
    clock = Clock(arguments.seconds)
    PEERS[arguments.peer](config, data, clock)
    print(f"speed {clock.speed:.3f}")


if __name__ == "__main__":
    main()
