"""Options of the task; no torch here."""

from dataclasses import dataclass
from typing import ClassVar

from mla_train.config import MaskedPatchOptions, WindowNetworkOptions


@dataclass
class MaskedWindowsConfig(WindowNetworkOptions, MaskedPatchOptions):
    """Hidden patches of the past of windows are filled in.

    Attributes:
        cycle: Whether a learned profile of the daily or weekly cycle is subtracted first and added again, as in a forecast.
    """

    reads: ClassVar = ("forecasting",)  # whose data sets are read
    side_paths: ClassVar = True  # the cycle, which does not know what is hidden
    ridge: ClassVar = False

    _target_: str = "tasks.masked_windows.MaskedWindows"
    name: str = "masked_windows"
    cycle: bool = True
