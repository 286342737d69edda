"""All that a user may choose, as dataclasses: the one place where names, types and defaults of options stand.

Nothing heavy is imported here, so that a wrong option is answered before torch is loaded. `conf/*.yaml` fills these
classes; a task's own options stand in the task's `config.py` and use the same manner.
"""

# ruff: noqa: F403 - the names of these files are the names of this package
from mla_train.config.checks import *
from mla_train.config.corpus import *
from mla_train.config.data import *
from mla_train.config.generation import *
from mla_train.config.init import *
from mla_train.config.inputs import *
from mla_train.config.network import *
from mla_train.config.run import *
from mla_train.config.series import *
from mla_train.config.task import *
from mla_train.config.training import *
