"""How much of each fault is run: the short form inside `make test`, the long one by `make faults`.

Reads the environment variables FAULTS, FAULTS_SEED and FAULTS_SOAK_S, and nothing else does; used by tests/faults.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: `FAULTS=long` chooses the long form.
FORM_VARIABLE = "FAULTS"
#: What all chance in the lab comes from.
SEED_VARIABLE = "FAULTS_SEED"
#: How many seconds the soak lasts.
SOAK_VARIABLE = "FAULTS_SOAK_S"


@dataclass(frozen=True, slots=True)
class Scale:
    """Counts and lengths, one for each fault.

    Attributes:
        alone: Each story is played alone.
        limit_s: How long one test may take.
        walkers: How many clients make load at once.
    """

    seed: int = 1
    alone: bool = False
    limit_s: float = 180
    walkers: int = 4
    service_kills: int = 10
    deploys: int = 4
    broker_kills: int = 1
    frozen_s: float = 8
    blocked_s: float = 10
    hole_s: float = 10
    cuts: int = 5
    twice_s: float = 4
    file_cuts: int = 30
    child_tasks: int = 100
    examples: int = 4
    steps: int = 15
    disk_s: float = 1
    soak_s: float = 3600


LONG = Scale(
    alone=True,
    limit_s=7200,
    walkers=8,
    service_kills=200,
    deploys=50,
    broker_kills=20,
    frozen_s=30,
    blocked_s=60,
    hole_s=60,
    cuts=100,
    twice_s=60,
    file_cuts=200,
    child_tasks=400,
    examples=100,
    steps=30,
    # The load would fill the disk by itself in some twenty seconds.
    disk_s=4,
)


def chosen() -> Scale:
    """The form that the environment asks for."""
    scale = LONG if os.environ.get(FORM_VARIABLE) == "long" else Scale()
    values = {name: getattr(scale, name) for name in Scale.__dataclass_fields__}
    values["seed"] = int(os.environ.get(SEED_VARIABLE, scale.seed))
    values["soak_s"] = float(os.environ.get(SOAK_VARIABLE, scale.soak_s))
    return Scale(**values)


SCALE = chosen()
