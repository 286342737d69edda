"""Loss, metrics, augmentation and pictures of the task."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mla_train.data.pictures import build_transform
from mla_train.training.build import build_data, build_task
from mla_train.training.classification import draw_confusion
from PIL import Image
from tasks.image_classification.data import ImageBatch, ImageFacts, build_mixing
from tasks.image_classification.figures import draw_mistakes

from mla_train.config import Augmentation
from mla_train.errors import UserError
from tests.helpers import SMALL, config

FACTS = ImageFacts(1, 8, 8, ["a", "b", "c"], [80.0], [60.0])


def build(*words):
    return build_task(config(*SMALL, *words), FACTS)


def test_loss_is_a_sum_and_smoothed_in_training_only():
    task = build("regularization.label_smoothing=0.3")
    torch.nn.init.normal_(task.network.head.weight)
    batch = ImageBatch(torch.arange(4), torch.randint(0, 256, (4, 1, 8, 8)), torch.tensor([0, 1, 2, 0]))
    scores = task.eval()(batch)
    total, count = task.loss(scores, batch)
    assert count == 4
    torch.testing.assert_close(total / 4, F.cross_entropy(scores, batch.labels))
    smoothed, _ = task.train().loss(scores, batch)
    torch.testing.assert_close(smoothed / 4, F.cross_entropy(scores, batch.labels, label_smoothing=0.3))


def test_metrics_are_what_they_say():
    predictions = {"label": np.array([0, 0, 0, 1]), "predicted": np.array([0, 0, 1, 1])}
    # F1 of class 0 is 4/5, of class 1 is 2/3.
    assert build().metrics(predictions) == {"accuracy": 0.75, "macro_f1": pytest.approx((4 / 5 + 2 / 3) / 2)}


def test_augmentation_grows_with_its_level_and_follows_the_seed():
    image = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    assert build_transform(Augmentation.none, (8, 8), True) is None
    for level in (Augmentation.light, Augmentation.strong):
        transform = build_transform(level, (8, 8), True)
        varied = []
        for seed in range(20):
            torch.manual_seed(seed)
            varied.append(transform(image))
            torch.manual_seed(seed)
            assert torch.equal(transform(image), varied[-1])
            assert varied[-1].shape == image.shape
        assert len({tuple(v.flatten().tolist()) for v in varied}) > 5


def test_pictures_are_not_mirrored_where_that_changes_the_class():
    image = torch.zeros(1, 8, 8, dtype=torch.uint8)
    image[:, :, :2] = 255
    transform = build_transform(Augmentation.light, (8, 8), False)
    for seed in range(20):
        torch.manual_seed(seed)
        assert transform(image)[0, :, 4:].max() == 0


def test_mixing_keeps_labels_a_distribution():
    assert build_mixing(Augmentation.light, 3) is None
    mixing = build_mixing(Augmentation.strong, 3)
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        images, labels = mixing(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 1]))
        assert images.shape == (4, 1, 8, 8)
        torch.testing.assert_close(labels.sum(1), torch.ones(4))
        seen.add(bool((labels.max(1).values == 1).all()))
    assert seen == {True, False}


def test_digits_are_split_70_10_20():
    data = build_data(config())
    data.setup()
    assert [len(part) for part in (data.train, data.val, data.test)] == [1258, 180, 359]
    assert data.train.images.max() == 255


def test_a_batch_gives_the_same_scores_alone_and_together():
    task = build().eval()
    torch.nn.init.normal_(task.network.head.weight)
    images = torch.randint(0, 256, (5, 1, 8, 8))
    together = task.network(images)
    alone = torch.cat([task.network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_figures_are_drawn_for_few_and_many_classes_with_and_without_mistakes(tmp_path):
    for classes in (3, 40):
        label = np.arange(classes).repeat(2)
        for predicted in (label, label[::-1].copy()):
            probability = np.eye(classes)[predicted]
            names = [f"class {i}" for i in range(classes)]
            draw_confusion(label, predicted, names, tmp_path / "confusion.png")
            columns = {
                "index": np.arange(len(label)),
                "label": label,
                "predicted": predicted,
                "probability": probability,
            }
            draw_mistakes(columns, torch.zeros(len(label), 1, 8, 8), names, tmp_path / "mistakes.png")
            for name in ("confusion", "mistakes"):
                assert min(Image.open(tmp_path / f"{name}.png").size) > 200


def test_facts_of_another_task_are_refused():
    @dataclass
    class OtherFacts:
        words: int

    with pytest.raises(UserError, match="data=digits gives OtherFacts, task=image_classification needs ImageFacts"):
        build_task(config(), OtherFacts(3))


def test_too_many_halvings_are_refused():
    with pytest.raises(UserError, match=r"task.downsample_log2=4 does not suit pictures of 8 x 8"):
        build("task.downsample_log2=4")
