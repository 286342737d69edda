"""`hardware.strategy=fsdp`: weights, gradients and moments are divided among processes (FSDP2, `torch.distributed.fsdp`).

Each block is gathered when it is needed, and freed again. Checkpoints hold whole tensors in one file, as those of one process do,
so that a run may go on with any number of processes, divided or not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.optim import Optimizer

from mla_train.nn import EncoderBlock
from mla_train.nn.decoder import DecoderBlock
from mla_train.training.checkpoint_files import read_checkpoint


class ShardedStrategy(ModelParallelStrategy):
    """Lightning's strategy for modules that divide their weights themselves, over all processes."""

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Connects the processes, all of which share the data."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads the process's own parts from a checkpoint of any run, divided or not."""
        checkpoint = read_checkpoint(Path(checkpoint_path))
        assert self.model is not None
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self.model, checkpoint["state_dict"], options=options)
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=False):
            set_optimizer_state_dict(self.model, optimizer, by_name(state, optimizer, self.model), options=options)
        return checkpoint


def by_name(state: Mapping[str, Any], optimizer: Optimizer, module: nn.Module) -> dict[str, Any]:
    """The stored state of an optimizer with names of parameters instead of the numbers that it counts them by."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    numbers: dict[int, str] = {}
    for stored, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        numbers |= {number: names[parameter] for number, parameter in zip(stored["params"], own["params"], strict=True)}
    groups = [group | {"params": [numbers[number] for number in group["params"]]} for group in state["param_groups"]]
    return {"state": {numbers[number]: value for number, value in state["state"].items()}, "param_groups": groups}


def shard(module: nn.Module, mesh: DeviceMesh) -> None:
    """Divides the weights of a module among processes; one that is divided already stays as it is.

    Args:
        module: LightningModule.
        mesh: Processes, along one dimension.
    """
    if isinstance(module, FSDPModule):
        return
    for each in list(module.modules()):
        if isinstance(each, EncoderBlock | DecoderBlock):
            fully_shard(each, mesh=mesh, reshard_after_forward=True)
    fully_shard(module, mesh=mesh, reshard_after_forward=False)
    for step in ("validation_step", "test_step"):  # they call parts of the network, not the whole
        register_fsdp_forward_method(module, step)


def keep_gathered(module: nn.Module, evaluating: bool) -> None:
    """Keeps all weights gathered while a split is evaluated, if they are divided.

    Processes decode different numbers of steps, so that they cannot gather weights together in each.
    """
    for each in module.modules():
        if isinstance(each, FSDPModule):
            each.set_reshard_after_forward(not evaluating and each is not module, recurse=False)
            if evaluating:
                each.unshard()
            else:
                each.reshard()
