"""Options of the task; no torch here."""

from dataclasses import dataclass
from typing import ClassVar

from mla_train.config import MaskedPatchOptions, WindowNetworkOptions


@dataclass
class MaskedWindowsConfig(WindowNetworkOptions, MaskedPatchOptions):
    """Hidden patches of the past of windows are filled in."""

    reads: ClassVar = ("forecasting",)  # whose data sets are read

    _target_: str = "tasks.masked_windows.MaskedWindows"
    name: str = "masked_windows"
