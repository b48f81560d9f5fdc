"""Which devices the environment gave to this user."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from msgspec import Struct

VARIABLES = ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
"""The first that is set counts: what CUDA obeys, else what Slurm gave the step or the job."""


class Visibility(Struct, frozen=True):
    """The devices named, in order: an index, the beginning of a UUID, or a MIG instance."""

    names: tuple[str, ...] | None
    """None: the environment says nothing, so nobody knows."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Visibility:
        """What the environment names. An index is taken as the driver's: CUDA counts alike where
        the devices are alike, or with CUDA_DEVICE_ORDER=PCI_BUS_ID.
        """
        text = next((environment[name] for name in VARIABLES if name in environment), None)
        if text is None:
            return cls(None)
        names: list[str] = []
        for part in (part.strip() for part in text.split(",")):
            if not _names_a_device(part):
                break  # CUDA sees no device behind the first name that means none
            names.append(part)
        return cls(tuple(names))

    def mine(
        self, uuid: str, index: int | None,
        instances: Sequence[tuple[str, int | None, int | None]] = (),
    ) -> bool | None:  # fmt: skip
        """Whether a device is named, itself or one of its MIG `instances` (their UUID, GPU
        instance id and compute instance id).
        """
        if self.names is None:
            return None
        return any(
            name == str(index)
            or _is_prefix(name, uuid)
            or any(self._names_instance(name, uuid, *instance) for instance in instances)
            for name in self.names
        )

    def mine_instance(
        self, parent: str, parent_index: int | None, uuid: str, gpu_instance: int | None,
        compute_instance: int | None,
    ) -> bool | None:  # fmt: skip
        """Whether a MIG instance is named, or the whole device that it is cut from."""
        if self.names is None:
            return None
        named = any(
            self._names_instance(name, parent, uuid, gpu_instance, compute_instance)
            for name in self.names
        )
        return named or self.mine(parent, parent_index)

    @staticmethod
    def _names_instance(
        name: str, parent: str, uuid: str, gpu_instance: int | None, compute_instance: int | None
    ) -> bool:
        """``MIG-<uuid>``, or the older ``MIG-GPU-<uuid>/<gpu instance>/<compute instance>``."""
        old = f"MIG-{parent}/{gpu_instance}/{compute_instance}"
        return _is_prefix(name, uuid) or name.lower() == old.lower()


def _names_a_device(name: str) -> bool:
    return name.isdecimal() or name.lower().startswith(("gpu-", "mig-"))


def _is_prefix(name: str, uuid: str) -> bool:
    """CUDA accepts the beginning of a UUID. ``GPU-`` alone means nothing."""
    return len(name) > 4 and uuid.lower().startswith(name.lower())
