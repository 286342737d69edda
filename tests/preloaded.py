"""What the process loads whose forks are the scripts of tests, see `warm`."""

import os

from mla_train.program import imports

with imports():
    import sklearn.linear_model  # noqa: F401

    import mla_train.report.run_report
    import mla_train.studies.preloaded  # noqa: F401

os.fsync = lambda handle: None  # nobody pulls the plug
