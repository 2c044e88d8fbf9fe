"""What workers are given to do."""

from __future__ import annotations

import os
import time

import cv2

from rsparse.errors import InputError


def square(number: int) -> int:
    return number * number


def folder_and_threads(_: int) -> tuple[str, int]:
    return os.getcwd(), cv2.getNumThreads()


def refuse_seven(number: int) -> int:
    if number == 7:
        raise InputError("seven: expected another number")
    return number


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def wait_for(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def die(number: int) -> None:
    os.kill(os.getpid(), 9)
