"""Who uses the simulated machine: its processes as a table, and who of them is there when.

A pid of the demo can never be a real one: Linux gives out none above ``PID_MAX_LIMIT``
(4,194,304 on 64-bit machines).
"""

from __future__ import annotations

import math
import os
import pwd
import random
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from gputop.collect.demo import stories
from gputop.collect.demo.stories import Place
from gputop.collect.demo.windows import Windows

GIB = 1024**3
MIB = 1024**2
FIRST_PID = 5_000_000
PIDS_PER_NODE = 100_000
PIDS_PER_PERSON = 1_009
ME = "@me"
"""Stands for the user that runs the program, so that own rows can be told from others."""
UIDS = {"root": 0, "ann": 61_001, "bob": 61_002, "chen": 61_003, "svc-vllm": 997, "svc-triton": 996}
WARM_UP_S = 6.0
"""A restarted process takes this long to fill its memory."""

Follows = Literal["steady", "idle", "loader", "waits", "requests"]
"""What a process's CPU time goes along with: nothing, nothing at all, the loader's work, the
loader's output, the tide of requests."""


class Use(Struct, frozen=True):
    """What one process holds on one slot."""

    slot: int
    gib: float
    weight: float = 0.0
    """Its part of the device's work, beside the other processes' weights."""
    swing_gib: float = 0.0
    kinds: str = "C"
    instance: int | None = None
    """Position of its MIG instance in the story."""


class Person(Struct, frozen=True):
    """One process of the cast."""

    name: str
    user: str
    command: str
    """`{gpus}` becomes the number of devices it holds."""
    uses: tuple[Use, ...]
    cpu: float = 0.0
    """Cores it keeps busy."""
    core: int = 0
    """The first logical core it runs on."""
    follows: Follows = "steady"
    threads: int = 30
    host_gib: float = 2.0
    age_s: float = 9_000.0
    """How long before the story's second 0 it began."""
    dies: Windows | None = None
    """Spans in which it is gone; after each it is there again, with another pid."""


def _worker(number: int) -> Person:
    return Person(
        "pt_data_worker", "chen", f"/opt/conda/bin/python finetune.py --worker {number}",
        (Use(1, 0.51),), 1.0, 25 + number, "loader", 12, 6.1, 5_130.0 - number)  # fmt: skip


CAST: tuple[Person, ...] = (
    Person("python", "ann",
           "/opt/conda/bin/python train.py --config configs/llama-8b.yaml --local-rank 0",
           (Use(0, 61.2, 1.0, 0.8),), 1.1, 4, "steady", 214, 41.0, 47_200.0),
    Person("python", "ann",
           "/opt/conda/bin/python train.py --config configs/llama-8b.yaml --local-rank 1",
           (Use(4, 61.4, 1.0, 0.8),), 1.1, 6, "steady", 214, 40.6, 47_200.0),
    Person("python", "ann", "/opt/conda/bin/python tools/async_checkpoint.py --to /mnt/ckpt",
           (Use(0, 0.42), Use(4, 0.42)), 0.06, 8, "steady", 16, 9.5, 47_150.0),
    Person("python", "chen",
           "/opt/conda/bin/python finetune.py --data s3://corpus/shards --workers 6 --bf16",
           (Use(1, 44.0, 1.0, 5.0),), 1.0, 24, "waits", 96, 22.4, 5_140.0),
    *(_worker(number) for number in range(1, 7)),
    Person("vllm", "svc-vllm",
           "vllm serve meta-llama/Llama-3.1-70B-Instruct --tensor-parallel-size {gpus} "
           "--gpu-memory-utilization 0.84",
           (Use(2, 65.6, 0.86, 0.4), Use(5, 65.6, 0.55, 0.4)),
           2.6, 36, "requests", 402, 31.8, 612_000.0),
    Person("vllm", "svc-vllm", "VLLM::EngineCore --host 0.0.0.0 --port 8000",
           (Use(2, 0.49),), 1.0, 40, "requests", 71, 5.2, 611_990.0),
    Person("tritonserver", "svc-triton",
           "tritonserver --model-repository=/models/rerank --http-port=8100",
           (Use(2, 10.4, 0.12),), 0.8, 42, "requests", 148, 7.7, 86_000.0, stories.CRASHES),
    Person("triton_python_b", "svc-triton",
           "triton_python_backend_stub /models/rerank/1/model.py",
           (Use(2, 0.45, 0.02),), 0.35, 43, "requests", 22, 1.9, 85_990.0, stories.CRASHES),
    Person("python", "chen",
           "/home/chen/venv/bin/python -m ipykernel_launcher -f /run/user/kernel-71.json",
           (Use(3, 38.0), Use(0, 0.51)), 0.0, 44, "idle", 41, 12.3, 259_000.0, stories.KILLED),
    Person("python", "bob",
           "python embed_corpus.py --model bge-large --batch 512 --input /data/crawl",
           (Use(5, 6.8, 0.45, 1.5),), 1.3, 46, "steady", 58, 14.9, 19_400.0),
    Person("python", ME, "python eval.py --suite mmlu --limit 500",
           (Use(2, 1.4, 0.03), Use(4, 2.1, 0.03)), 0.4, 48, "steady", 34, 3.1, 1_260.0),
    Person("ipython", ME, "/usr/bin/python3 /usr/bin/ipython",
           (Use(0, 0.42), Use(1, 0.42)), 0.0, 49, "idle", 9, 0.6, 7_900.0),
    Person("kit", ME,
           "/isaac-sim/kit/kit apps/isaaclab.python.headless.kit --task Ant-v0 --num_envs 8192",
           (Use(6, 17.8, 0.6, 2.0, "CG"),), 6.4, 56, "steady", 133, 18.0, 2_950.0,
           stories.AFTER_FALLS),
    Person("nvidia-cuda-mps", "root", "nvidia-cuda-mps-server",
           (Use(6, 0.03),), 0.02, 64, "steady", 3, 0.1, 88_100.0, stories.AFTER_FALLS),
    Person("gmx", "bob", "gmx mdrun -deffnm md_a -ntomp 8 -nb gpu -pme gpu",
           (Use(6, 3.1, 0.2, 0.0, "M"),), 7.6, 66, "steady", 11, 1.2, 31_000.0,
           stories.AFTER_FALLS),
    Person("gmx", "bob", "gmx mdrun -deffnm md_b -ntomp 8 -nb gpu -pme gpu",
           (Use(6, 3.1, 0.2, 0.0, "M"),), 7.5, 74, "steady", 11, 1.2, 30_990.0,
           stories.AFTER_FALLS),
    Person("pvserver", "bob", "pvserver --force-offscreen-rendering --server-port=11111",
           (Use(6, 0.74, 0.0, 0.1, "G"),), 0.05, 82, "steady", 18, 2.8, 61_000.0,
           stories.AFTER_FALLS),
    Person("Xorg", "root", "/usr/lib/xorg/Xorg -core :0 -seat seat0 -nolisten tcp",
           (Use(0, 0.004, kinds="G"), Use(3, 0.004, kinds="G")),
           0.01, 83, "steady", 2, 0.1, 1_030_000.0),
    Person("nv-hostengine", "root", "/usr/bin/nv-hostengine -n --service-account nvidia-dcgm",
           tuple(Use(slot, 0.01) for slot in (0, 1, 2, 3, 4, 5)),
           0.04, 84, "steady", 24, 0.2, 1_030_000.0),
    Person("python", "ann", "python serve_embeddings.py --port 8200 --dtype fp16",
           (Use(7, 22.4, 0.9, 0.6, instance=0),), 1.2, 86, "requests", 66, 6.6, 172_000.0),
    Person("python", "bob",
           "/home/bob/venv/bin/python -m ipykernel_launcher -f /run/user/kernel-12.json",
           (Use(7, 8.2, 1.0, 1.0, instance=1),), 0.3, 88, "steady", 37, 5.0, 22_500.0),
    Person("python", ME, "python train_small.py --config tiny.yaml --seed 3",
           (Use(7, 11.7, 1.0, 0.5, instance=2),), 1.0, 89, "steady", 52, 4.3, 3_600.0),
    Person("whisper", "svc-triton", "whisper-server --model large-v3 --device cuda",
           (Use(7, 6.9, 0.1, instance=0),), 0.5, 90, "requests", 28, 3.5, 94_000.0),
)  # fmt: skip


class Member(Struct, frozen=True):
    """A person on one node of the machine, with the devices it finds there."""

    person: Person
    number: int
    """Its place in the cast."""
    node: int
    pid: int
    """Of its first life."""
    phase: float
    held: tuple[tuple[Place, Use], ...]
    user: str
    uid: int
    command: tuple[str, ...]

    @property
    def shift_s(self) -> float:
        """How much later than the table says its story happens."""
        return self.node * stories.NODE_SHIFT_S

    def life(self, t: float) -> int | None:
        """How often it was restarted before the story's second `t`; None while it is gone."""
        dies = self.person.dies
        if dies is None:
            return 0
        local = t - self.shift_s
        return None if dies.into(local) is not None else dies.begun(local)

    def began(self, life: int) -> float:
        """The story's second at which that life began."""
        dies = self.person.dies
        if life == 0 or dies is None:
            return -self.person.age_s
        return dies.begin_of(life) + dies.length_s + self.shift_s

    def pid_of(self, life: int) -> int:
        """Another pid for each life, until they come round."""
        return self.pid + life % (PIDS_PER_PERSON // 2)

    def memory_bytes(self, use: Use, t: float, life: int) -> int:
        """Device memory of one of its uses at the story's second `t` of that life."""
        gib = use.gib
        if use.swing_gib:
            gib += use.swing_gib * math.sin(t / 17.0 + self.phase)
        if life:
            gib *= min(1.0, 0.1 + (t - self.began(life)) / WARM_UP_S)
        return max(2 * MIB, int(gib * 512) * 2 * MIB)


class Crowd:
    """The processes of a machine whose devices play the given parts."""

    def __init__(self, seed: int, parts: list[Place]) -> None:
        """Only persons with at least one of their devices in `parts` are there."""
        draw = random.Random(f"{seed}/people")
        me = own_name()
        self.members: list[Member] = []
        self._by_pid: dict[int, tuple[Member, int]] = {}
        for node in sorted({part.node for part in parts}):
            here = {part.slot: part for part in parts if part.node == node}
            for number, person in enumerate(CAST):
                jitter, phase = draw.randrange(PIDS_PER_PERSON // 2), draw.uniform(0.0, 6.28)
                held = tuple((here[use.slot], use) for use in person.uses if use.slot in here)
                if not held:
                    continue
                pid = FIRST_PID + node * PIDS_PER_NODE + number * PIDS_PER_PERSON + jitter
                mine = person.user == ME
                words = person.command.format(gpus=len(held))
                self.members.append(Member(
                    person, number, node, pid, phase, held,
                    me if mine else person.user, os.getuid() if mine else UIDS[person.user],
                    tuple(words.split()),
                ))  # fmt: skip

    def on(self, part: Place) -> list[tuple[Member, Use]]:
        """Who holds something of a device, in the order of the cast."""
        return list(self._on(part))

    def _on(self, part: Place) -> Iterator[tuple[Member, Use]]:
        for member in self.members:
            for place, use in member.held:
                if place == part:
                    yield member, use

    def pid(self, member: Member, life: int) -> int:
        """The pid of one life of a member, which `find` then knows."""
        pid = member.pid_of(life)
        self._by_pid[pid] = (member, life)
        return pid

    def find(self, pid: int) -> tuple[Member, int] | None:
        """Whose pid it is, and of which life; None for a pid that was never given out."""
        return self._by_pid.get(pid)


def own_name() -> str:
    """The name of the user that runs the program, or its number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
