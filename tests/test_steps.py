"""Three-part steps: the same entries on the CPU and with a device, whatever goes wrong."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from rsparse.errors import InputError, attempt, for_usable
from rsparse.store.images import ImageFile
from rsparse.work.device import CPU, Device
from rsparse.work.steps import ImageStep, OneByOne, entries_of
from rsparse.work.workers import LocalWorkers

IMAGES = [ImageFile(name, Path(f"{name}.png"), Path()) for name in "abcdefgh"]


@dataclass(frozen=True)
class Toy(ImageStep[str, str]):
    """A toy step that fails on loading b, on processing d, and on saving f."""

    on: Device = CPU
    loads_in_processes: bool = False

    @property
    def device(self):
        return self.on

    def load(self, image):
        if image.name == "b":
            raise InputError("b.png: is an empty file")
        return f"{image.name}1"

    def work(self, batch):
        return [InputError("is too large") if item == "d1" else f"{item}2" for item in batch]

    def save(self, made):
        if made == "f12":
            raise InputError("cannot be written")
        where = {"process": os.getpid(), "thread": threading.get_ident()}
        return {"name": made[0], "found": made, **where}


def entries(step: ImageStep, jobs: int = 1) -> list[dict]:
    made = entries_of(step, IMAGES, LocalWorkers(jobs), gather=list, shared_paths=[], batch_size=3)
    return sorted((entry for batch in made for entry in batch), key=lambda entry: entry["name"])


BESIDE = Device("torch-cpu")


STEPS = [Toy(), Toy(BESIDE), Toy(BESIDE, loads_in_processes=True)]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_an_image_that_cannot_be_used_spares_the_others(step, jobs):
    found = entries(step, jobs)
    assert [entry["name"] for entry in found] == list("abcdefgh")
    assert {e["name"]: e["error"] for e in found if "error" in e} == {
        "b": "b.png: is an empty file",
        "d": "d.png: is too large",
        "f": "f.png: cannot be written",
    }
    assert [entry["found"] for entry in found if "error" not in entry] == [
        f"{name}12" for name in "acegh"
    ]


def test_beside_a_device_the_work_stays_in_this_process():
    for step in (Toy(BESIDE), Toy(BESIDE, loads_in_processes=True)):
        assert {e["process"] for e in entries(step, 2) if "error" not in e} == {os.getpid()}


def test_on_cores_threads_do_all_of_the_work():
    here = threading.get_ident()
    assert here not in {e["thread"] for e in entries(Toy(), 2) if "error" not in e}


def test_a_function_of_an_image_is_a_step_of_one_part():
    step = OneByOne(lambda image: {"name": image.name})
    assert [entry["name"] for entry in entries(step)] == list("abcdefgh")


def test_what_is_unusable_stays_in_its_place():
    def positive(number):
        if number < 0:
            raise InputError("expected a positive number")
        return number

    found = [attempt(positive, number) for number in (1, -1, 2)]
    assert [str(item) for item in found] == ["1", "expected a positive number", "2"]
    assert for_usable(lambda some: [n * 10 for n in some], found) == [10, found[1], 20]
    assert for_usable(lambda some: 1 / 0, [found[1]]) == [found[1]]
