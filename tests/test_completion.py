"""Completion as the shells ask for it: bash, which splits words at ``:`` and ``=``, and zsh."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rsparse.attacks.names import SETS
from rsparse.cli.completion import join_words
from tests.conftest import REPOSITORY

HEAVY = ("numpy", "pydantic", "rich", "onnx", "torch", "h5py", "cv2")
PROGRAM = f"""
import atexit, sys
sys.argv[0] = "rsparse"
loaded = lambda: print(*(set(sys.modules) & set({HEAVY!r})) - {{"rich"}}, file=sys.stderr)
atexit.register(loaded)
from rsparse.__main__ import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a dictionary, a policy, and the program by its name."""
    for name in ("mine.h5", "my.toml", "photo.png"):
        (tmp_path / name).touch()
    program = tmp_path / "bin" / "rsparse"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    return tmp_path


def asked(folder: Path, command: list[str], **environment: str) -> str:
    """The answer to a shell; nothing heavy is loaded for it."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    known = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), **environment}
    done = subprocess.run(
        command, cwd=folder, env=known, capture_output=True, text=True, check=True
    )
    assert done.stderr.split() == []
    return done.stdout


BASH = """
{script}
words={words}
COMP_WORDS=("${{words[@]}}") COMP_CWORD={place}
_rsparse_completion rsparse
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(folder: Path, script: str, words: list[str]) -> list[str]:
    """What bash's own function offers for the last of the words, which bash has split."""
    array = "(" + " ".join(shlex.quote(word) for word in words) + ")"
    code = BASH.format(script=script, words=array, place=len(words) - 1)
    return asked(folder, ["bash", "-c", code]).split()


@pytest.fixture(scope="module")
def script() -> str:
    """The script that ``rsparse --show-completion`` prints for bash."""
    code = PROGRAM.replace("main()\n", "").replace("from rsparse.__main__ import main", "")
    source = f"{code}\nfrom rsparse.__main__ import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "_RSPARSE_COMPLETE": "source_bash", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


SPLIT = {  # what is typed, as bash splits it: what it offers
    "pur": ["purify"],
    "classify --input-r": ["--input-range"],
    "localize --gradient sc": ["scharr"],
    "purify --resize-to n": ["native"],
    "attack x -a b": ["bim"],
    "attack x -a auto": list(SETS),
    "attack x -a bim :": ["eps=8", "steps=10", "step_size=", "target="],
    "attack x -a bim : eps = 8,step_": ["8,step_size="],
    "attack x --attack = bim : st": ["steps=10", "step_size="],
    "attack x --through bilateral+jpeg : q": ["quality=75"],
    "purify x --defense bilateral+pol": ["bilateral+policy:default"],
    "purify x --defense policy : pap": ["paper"],
    "purify x --policy my": ["my.toml"],
    "purify x --dict m": ["mine.h5"],
    "purify x --dict dct =": ["photos-8x8-1024"],
    "purify x --dict dct = m": ["mine.h5"],
    "support a b --dict photos-8x8-2": ["photos-8x8-256", "photos-8x8-256-grey"],
    "evaluate x --scenario adaptive : fast =": ["yes", "no"],
    "evaluate x --scenario tr": ["transfer"],
    "evaluate x --device c": ["cpu", "cuda", "cuda:0", "cuda:1"],
    "detect x --score sq": ["squeezers"],
    "certify x --denoiser un": ["unrolled"],
    "train x --train-layers he": ["head"],
    "train x --train-on pur": ["purified"],
    "classify x --preset mob": ["mobilenet-v2"],
    "policy show sp": ["sparing"],
    "dictionaries fetch photos-12": ["photos-12x12-1024"],
    "report x --format j": ["junit"],
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("typed", SPLIT)
def test_bash_completes_values(folder, script, typed):
    offered = bash(folder, script, ["rsparse", *typed.split()])
    expected = SPLIT[typed]
    assert [word for word in offered if word in expected] == expected
    typed_last = typed.split()[-1].strip(":=")
    assert all(word.startswith(typed_last) for word in offered)


def zsh(folder: Path, typed: str) -> str:
    ask = {"_RSPARSE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"rsparse {typed}"}
    return asked(folder, ["rsparse"], **ask)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("attack x -a apg", '"apgd"'),
        ("attack x -a bim:eps=8,steps", '"bim\\\\:eps=8,steps=10"'),
        ("evaluate x --defense=jpeg:qu", '"jpeg\\\\:quality=75"'),
        ("purify x --policy=wi", '"wide"'),
        ("pur", '"purify":"Clean images by sparse coding'),
        ("purify --stri", '"--stride":"Distance of neighbouring patches in pixels'),
    ],
)
def test_zsh_completes_whole_words(folder, typed, offered):
    answer = zsh(folder, typed)
    assert answer.startswith(f"_arguments '*: :(({offered}")
    assert "\f" not in answer


def test_zsh_completes_files_where_there_are_no_names(folder):
    assert zsh(folder, "purify x --masks ").strip() == "_files"


@pytest.mark.parametrize(
    ("words", "current", "joined", "place", "prefix"),
    [
        ("rsparse purify x", 2, "rsparse purify x", 2, ""),
        ("rsparse attack -a bim : eps", 5, "rsparse attack -a eps", 3, "bim:"),
        ("rsparse attack -a bim :", 4, "rsparse attack -a", 3, "bim:"),
        ("rsparse attack -a bim : eps = 8 y", 8, "rsparse attack -a bim:eps=8 y", 4, ""),
        ("rsparse attack --attack = bim : e", 6, "rsparse attack --attack e", 3, "bim:"),
        ("rsparse attack --attack =", 3, "rsparse attack --attack", 3, ""),
    ],
)
def test_words_are_joined_as_they_were_typed(words, current, joined, place, prefix):
    asked_by_bash = {
        "_RSPARSE_COMPLETE": "complete_bash",
        "COMP_WORDS": words.replace(" ", "\n"),
        "COMP_CWORD": str(current),
    }
    join_words(asked_by_bash)
    assert asked_by_bash["COMP_WORDS"] == joined.replace(" ", "\n")
    assert asked_by_bash["COMP_CWORD"] == str(place)
    assert asked_by_bash["_RSPARSE_COMPLETE_PREFIX"] == prefix


def test_zsh_completes_the_layers_of_the_model_before_them(folder):
    from rsparse.data import demo_model
    from rsparse.models.onnx.classifier import load_classifier
    from rsparse.models.onnx.graph import activation_layers

    names = [layer.name for layer in activation_layers(load_classifier(demo_model()).graph)]
    shutil.copy(demo_model(), folder / "m.onnx")
    program = folder / "bin" / "rsparse"
    start = "from rsparse.__main__ import main; import sys; sys.argv[0] = 'rsparse'; main()"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    before = "activations a b --model m.onnx --layers "
    assert zsh(folder, f"{before}conv_").count("conv_") == 2
    assert all(name in zsh(folder, before + name[:4]) for name in (names[0], names[-1]))
    assert f"{names[0]},{names[-1]}" in zsh(folder, f"{before}{names[0]},{names[-1][:2]}")
    assert "conv" not in zsh(folder, "activations a b --layers ")


def test_the_module_prints_the_script_of_the_program():
    command = [sys.executable, "-m", "rsparse", "--show-completion"]
    script = subprocess.run(  # the shell that starts it is the one it prints the script for
        ["bash", "-c", f"{shlex.join(command)}; exit $?"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "_RSPARSE_COMPLETE=" in script
    assert "python" not in script.lower()
