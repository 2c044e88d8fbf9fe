"""Damage within HDF5, ONNX and zip containers that stay readable as such."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import onnx

from tests.reliability.mutators import STRANGE, change_json, fill, flip_bits, mutate_json


def mutate_hdf5(content: bytes, rng: random.Random) -> bytes:
    """Change datasets, attributes or links of an HDF5 file."""
    memory = io.BytesIO(content)
    with h5py.File(memory, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(rng.choice((1, 1, 2))):
            name = rng.choice(names)
            if name in file:
                rng.choice(_HDF5)(file, name, rng)
    return memory.getvalue()


def _resize(file: h5py.File, name: str, rng: random.Random) -> None:
    """Another shape: shorter, longer, empty, one axis more, or gigantic without content."""
    if not isinstance(file[name], h5py.Dataset):
        return
    old, attributes = file[name][()], dict(file[name].attrs)
    kind, shape = file[name].dtype, np.shape(old)
    del file[name]
    choice = rng.choice(("shorter", "longer", "empty", "axis", "huge", "scalar"))
    if choice == "huge":
        huge = [rng.choice((2**20, 2**34, 2**50)) for _ in shape or (1,)]
        file.create_dataset(name, huge, kind, chunks=tuple(64 for _ in huge))
    elif choice == "scalar" or not shape:
        file[name] = 0 if kind.kind in "iuf" else "text"
    elif choice == "axis":
        file.create_dataset(name, data=np.expand_dims(old, 0), dtype=kind)
    else:
        n = {"shorter": max(0, shape[0] - 1), "longer": shape[0] + 3, "empty": 0}[choice]
        file.create_dataset(name, data=np.resize(old, (n, *shape[1:])), dtype=kind)
    for key, value in attributes.items():
        file[name].attrs[key] = value


def _retype(file: h5py.File, name: str, rng: random.Random) -> None:
    """The same shape of other values."""
    if not isinstance(file[name], h5py.Dataset):
        return
    shape = file[name].shape
    del file[name]
    kind = rng.choice(("i1", "u8", "i8", "f2", "f8", "c16", "S3", "bool", "text", "V4"))
    if kind == "text":
        texts = np.full(shape, rng.choice(("", "x", "\x1b[2J", "../secret.txt", "9" * 400)), object)
        file.create_dataset(name, data=texts, dtype=h5py.string_dtype())
    else:
        file.create_dataset(name, data=np.zeros(shape, kind))


def _revalue(file: h5py.File, name: str, rng: random.Random) -> None:
    """Numbers out of range, texts that are not what they were."""
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.size == 0 or not dataset.shape:
        return
    place = tuple(rng.randrange(side) for side in dataset.shape)
    if dataset.dtype.kind in "iu":
        info = np.iinfo(dataset.dtype)
        dataset[place] = rng.choice([v for v in (-1, -2, 7, 10**6, info.min, info.max)
                                     if info.min <= v <= info.max])  # fmt: skip
    elif dataset.dtype.kind == "f":
        dataset[place] = rng.choice((np.nan, np.inf, -np.inf, -1.0, 1e30, 1e300))
    else:
        text = rng.choice([s for s in STRANGE if isinstance(s, str)])
        dataset[place] = text.replace("\x00", "").encode("utf-8", "surrogatepass")


def _relink(file: h5py.File, name: str, rng: random.Random) -> None:
    """A dataset or a group that lies elsewhere: in another file, behind a link, in a circle."""
    old = file[name]
    shape, kind = getattr(old, "shape", (4,)), getattr(old, "dtype", np.dtype("i8"))
    del file[name]
    choice = rng.choice(("external link", "soft link", "circle", "external storage", "virtual"))
    if choice == "external link":
        file[name] = h5py.ExternalLink("dict.h5", rng.choice(("/atoms", "/", "/images/name")))
    elif choice == "soft link":
        file[name] = h5py.SoftLink(rng.choice(("/missing", "/name", "/")))
    elif choice == "circle":
        file[name] = h5py.SoftLink(f"/{name}")
    elif choice == "virtual":
        layout = h5py.VirtualLayout((4,), "i8")
        layout[:] = h5py.VirtualSource("inputs/a.h5", "layer/index", (4,))
        file.create_virtual_dataset(name, layout)
    else:
        size = 40 if kind.kind == "O" else max(1, int(np.prod(shape)) * kind.itemsize)
        kind = np.dtype("S40") if kind.kind == "O" else kind
        shape = (1,) if kind == np.dtype("S40") else shape
        file.create_dataset(name, shape, kind, external=[("inputs/secret.txt", 0, size)])


def _attribute(file: h5py.File, name: str, rng: random.Random) -> None:
    """An attribute is changed or left out; the record is one of them."""
    place = rng.choice((file, file, file[name]))
    if not len(place.attrs):
        return
    key = rng.choice(sorted(place.attrs))
    old = place.attrs[key]
    if key == "record" and rng.random() < 0.8:
        record = bytes(old) if isinstance(old, bytes) else old.encode()
        place.attrs[key] = np.bytes_(mutate_json(record, rng)[:60_000])
    elif rng.random() < 0.3:
        del place.attrs[key]
    else:
        place.attrs[key] = rng.choice((-1, 10**6, 0.5, "x", [1, 2, 3], b"\xff", ""))


def _remove(file: h5py.File, name: str, rng: random.Random) -> None:
    del file[name]


def _compress(file: h5py.File, name: str, rng: random.Random) -> None:
    """The same values, in chunks and compressed; which is sound."""
    dataset = file[name]
    if isinstance(dataset, h5py.Dataset) and dataset.shape and dataset.size:
        values, attributes, kind = dataset[()], dict(dataset.attrs), dataset.dtype
        del file[name]
        file.create_dataset(name, data=values, dtype=kind, chunks=True, compression="gzip")
        for key, value in attributes.items():
            file[name].attrs[key] = value


_HDF5: tuple[Callable[[h5py.File, str, random.Random], None], ...] = (
    _resize, _resize, _retype, _revalue, _revalue, _relink, _relink, _attribute, _remove, _compress,
)  # fmt: skip


def mutate_onnx(content: bytes, rng: random.Random) -> bytes:
    """Change nodes, tensors, shapes or metadata of an ONNX graph."""
    model = onnx.load_from_string(content)
    for _ in range(rng.choice((1, 1, 2))):
        rng.choice(_ONNX)(model, rng)
    return bytes(model.SerializeToString())


def _node(model: onnx.ModelProto, rng: random.Random) -> None:
    if not model.graph.node:
        return
    number = rng.randrange(len(model.graph.node))
    node = model.graph.node[number]
    kind = rng.choice(("operator", "remove", "double", "input", "output", "name", "domain"))
    if kind == "operator":
        node.op_type = rng.choice(
            ("Relu", "Softmax", "Loop", "If", "Reshape", "Nothing", "Identity")
        )
    elif kind == "remove":
        del model.graph.node[number]
    elif kind == "double":
        model.graph.node.insert(number, node)
    elif kind == "input" and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(("", "missing", node.output[0]))
    elif kind == "output" and node.output:
        node.output[0] = rng.choice(("", "scores", "image", "\x1b[2J"))
    elif kind == "name":
        node.name = rng.choice(("", "\x1b]0;x\x07", "a" * 3000, "[red]"))
    else:
        node.domain = rng.choice(("com.example", "ai.onnx.ml", "com.microsoft"))


def _attribute_of_node(model: onnx.ModelProto, rng: random.Random) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    attribute = rng.choice(rng.choice(nodes).attribute)
    number = rng.choice((-1, 0, 7, 2**31, 2**62))
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = number
    attribute.i = number
    if rng.random() < 0.2:
        attribute.name = rng.choice(("value", "axis", "nothing"))


def _tensor(model: onnx.ModelProto, rng: random.Random) -> None:
    if not model.graph.initializer:
        return
    tensor = rng.choice(model.graph.initializer)
    kind = rng.choice(("dims", "type", "content", "name", "remove", "external"))
    if kind == "dims" and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((0, -1, 1, 2**40))
    elif kind == "type":
        tensor.data_type = rng.choice((0, 6, 7, 10, 11, 16, 99))
    elif kind == "content":
        tensor.raw_data = rng.choice(
            (b"", flip_bits(tensor.raw_data, rng), fill(tensor.raw_data, rng))
        )
    elif kind == "name":
        tensor.name = rng.choice(("", "image", "other"))
    elif kind == "remove":
        model.graph.initializer.remove(tensor)
    else:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        del tensor.external_data[:]
        entry = tensor.external_data.add()
        entry.key, entry.value = (
            "location",
            rng.choice(("secret.txt", "/etc/passwd", "missing", "")),
        )


def _shape(model: onnx.ModelProto, rng: random.Random) -> None:
    value = rng.choice([*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if rng.random() < 0.2:
        value.type.tensor_type.elem_type = rng.choice((0, 2, 7, 8, 10, 16))
    elif len(dims):
        number = rng.randrange(len(dims))
        if rng.random() < 0.2:
            del dims[number]
        else:
            dims[number].dim_value = rng.choice((0, -1, 1, 3, 4, 8193, 10**7, 2**40))


def _metadata(model: onnx.ModelProto, rng: random.Random) -> None:
    if not model.metadata_props:
        return
    entry = rng.choice(model.metadata_props)
    try:
        entry.value = mutate_json(entry.value.encode(), rng).decode("utf-8", "replace")
    except ValueError:
        entry.value = "{"


def _versions(model: onnx.ModelProto, rng: random.Random) -> None:
    model.ir_version = rng.choice((0, 3, 8, 99, 2**40))
    if model.opset_import:
        model.opset_import[0].version = rng.choice((0, 1, 6, 17, 99, -1))


_ONNX = (_node, _node, _attribute_of_node, _tensor, _tensor, _shape, _shape, _metadata, _versions)


def mutate_zip(content: bytes, rng: random.Random) -> bytes:
    """Change one file of a zip archive such as ``.npz``; its checksums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(files))
    kind = rng.choice(("content", "content", "array", "remove", "rename"))
    if kind == "content":
        files[name] = rng.choice((flip_bits, fill))(files[name], rng)
    elif kind == "array":
        files[name] = _npy(rng)
    elif kind == "remove":
        del files[name]
    else:
        files[rng.choice(("../x.npy", "other.npy"))] = files.pop(name)
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, part in files.items():
            archive.writestr(name, part)
    return memory.getvalue()


def _npy(rng: random.Random) -> bytes:
    arrays: tuple[Any, ...] = (
        np.zeros(0), np.zeros((2, 2)), np.array("text"), np.array([np.nan]), np.array(3),
        np.zeros((1, 3, 5), np.int64), np.array([{"an": "object"}], object),
    )  # fmt: skip
    memory = io.BytesIO()
    np.save(memory, rng.choice(arrays))
    return memory.getvalue()


def mutate_safetensors(content: bytes, rng: random.Random) -> bytes:
    """Change the header of a safetensors file, whose length is right again."""
    import json

    size = int.from_bytes(content[:8], "little")
    header = change_json(json.loads(content[8 : 8 + size]), rng)
    text = json.dumps(header, ensure_ascii=True).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]
