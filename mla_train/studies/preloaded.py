"""What the process loads whose forks are runs, see `launch`."""

from mla_train.program import imports

with imports():
    import matplotlib.pyplot  # noqa: F401

    import mla_train.commands.train
    import mla_train.training.run  # noqa: F401
