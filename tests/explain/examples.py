"""Small data sets and random models of each task, whose predictions are explained."""

import torch
from mla_train.training.build import build_data, build_task

from tests.helpers import SMALL, config, number_pairs, write_pairs, write_pictures, write_reviews
from tests.tasks.forecasting.test_data import table


def own_data(task, folder):
    """Words of the command line for a small data set of each task."""
    if task == "image_classification":
        write_pictures(folder / "pictures")
        return ["data=image_folder", f"data.root={folder / 'pictures'}"]
    if task == "text_classification":
        write_reviews(folder / "a.csv")
        return [f"task={task}", "data=text_files", f"data.train={folder / 'a.csv'}"]
    if task == "translation":
        write_pairs(folder / "a.csv", number_pairs(60))
        return [f"task={task}", "data=pair_files", f"data.train={folder / 'a.csv'}", "data.vocab_size=300"]
    if task == "forecasting":
        table().to_csv(folder / "a.csv", index=False)
        return [
            f"task={task}",
            "data=series_csv",
            f"data.path={folder / 'a.csv'}",
            "data.look_back=50",
            "data.period=24",
        ]
    write_pictures(folder / "pictures", size=(16, 12))
    rows = [(name, i) for name in ("cat", "dog") for i in range(12)]
    lines = ["text,image,label", *(f"this is a {name} on day {i},pictures/{name}/{i}.png,{name}" for name, i in rows)]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return [f"task={task}", "data=text_image_files", f"data.train={folder / 'a.csv'}"]


def model(words):
    """Data and a task whose weights are all random, so that everything has a say."""
    choice = config(*SMALL, *words)
    data = build_data(choice)
    data.setup()
    task = build_task(choice, data.facts).eval()
    if words[0] == "task=multimodal_sentiment":
        task.begin(data)  # so that visual words have a say, too
    generator = torch.Generator().manual_seed(0)
    for name, parameter in task.named_parameters():
        if not name.endswith(("norm.weight",)):
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return data, task
