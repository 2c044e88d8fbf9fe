"""Check the folders and single images that are given to a command."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rsparse.errors import InputError, system_error
from rsparse.store.file_kinds import HEAD, READABLE, SUFFIXES, not_readable, picture_kind_of

_URL = re.compile(r"(https?|s3|gs|ftp):/")


def is_folder_of_images(given: Path) -> bool:
    """Whether a given input is a folder, and not a single image.

    Raises
    ------
    InputError
        If it is missing or cannot be read.
    """
    try:
        if not given.exists():
            hint = "; download it first" if _URL.match(str(given)) else ""
            raise InputError(f"{given}: no such file or folder{hint}")
        if given.is_dir():
            os.scandir(given).close()
            return True
    except OSError as error:  # a name too long, a folder that may not be entered
        raise system_error(error, f"{given}: cannot be read") from error
    return False


def refuse_other_file(given: Path) -> None:
    """Refuse a file that is no image by its suffix and content.

    Raises
    ------
    InputError
        It says what the file is instead.
    """
    if given.suffix.lower() in SUFFIXES or not given.is_file():
        return
    try:
        with given.open("rb") as file:
            head = file.read(HEAD)
    except OSError:  # told when it is decoded
        return
    if head and picture_kind_of(head) not in READABLE:
        raise InputError(f"{given}: {not_readable(head)}")
