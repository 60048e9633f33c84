"""The client in C on thousands of broken files, under AddressSanitizer and UndefinedBehaviorSanitizer."""

import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto
from tensorflow.core.protobuf import saved_model_pb2

from mtl_zoo import exporting
from tests.exporting.test_c_client import SOURCE, TASKS, compiler, two_inputs

DRIVER = pathlib.Path(__file__).with_name("fuzz_client.c")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
INCLUDE = pathlib.Path(tf.sysconfig.get_include())
CASES = 100_000  # about a minute
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def build(folder, *sources):
    """Compile with both sanitizers, or skip where there are none."""
    if not compiler():
        pytest.skip("There is no C compiler.")
    program, probe = str(folder / "fuzz"), folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    trial = subprocess.run([compiler(), *SANITIZERS, probe, "-o", program], capture_output=True)
    if trial.returncode or subprocess.run([program], capture_output=True).returncode:
        pytest.skip("The C compiler has no AddressSanitizer or no UndefinedBehaviorSanitizer.")
    options = ["-std=gnu11", "-O1", "-g", "-Dexit=leave", f"-I{SOURCE}", "-isystem", str(INCLUDE)]
    command = [compiler(), *SANITIZERS, *options, "-o", program, str(DRIVER), *map(str, sources)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Files that are right: arrays, and the metadata of a SavedModel without its graph."""
    folder = tmp_path_factory.mktemp("corpus")
    for index, array in enumerate([np.ones((2, 3), "float32"), np.arange(4), np.ones((1, 20, 1), "bool")]):
        np.save(folder / f"{index}.npy", array)
    exporting.saved_model(two_inputs(), TASKS, folder / "model")
    saved = saved_model_pb2.SavedModel.FromString((folder / "model" / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    for field in ("graph_def", "object_graph_def", "collection_def"):
        meta_graph.ClearField(field)
    (folder / "meta_graph").write_bytes(meta_graph.SerializeToString(deterministic=True))
    (folder / "two_shapes").write_bytes(two_shapes())
    return [str(folder / name) for name in ("0.npy", "1.npy", "2.npy", "meta_graph", "two_shapes")]


def field(number, content):
    """Return a field of a message, of less than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def two_shapes():
    """Return a MetaGraphDef with an input of unknown rank, then of two large sizes."""
    sizes = TensorShapeProto(dim=[TensorShapeProto.Dim(size=2**62 + 2**40)] * 2).SerializeToString()
    unknown = TensorShapeProto(unknown_rank=True).SerializeToString()
    info = field(1, b"node:0") + field(3, unknown) + field(3, sizes)
    signature = field(1, field(1, b"x") + field(2, info))
    return field(5, field(1, b"serve") + field(2, signature))


def fuzz(program, folder, corpus, cases):
    command = [str(program), str(cases), "0", str(folder), *corpus]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, errors="replace")


def sources():
    return [SOURCE / name for name in ("arrays.c", "signature.c", "fail.c")]


@pytest.mark.slow
def test_no_file_makes_the_client_do_what_c_leaves_undefined(tmp_path, corpus):
    done = fuzz(build(tmp_path, *sources()), tmp_path, corpus, cases=CASES)
    case = (tmp_path / "case").read_text()
    assert done.returncode == 0, f"case {case}: {done.stderr[-3000:]}"
    total, refused = (int(word) for word in done.stdout.split()[::2])
    assert total == CASES
    assert 0.3 < refused / total < 0.9  # many are right, so that all of the reader runs


@pytest.mark.parametrize(
    ("name", "check", "without"),
    [
        ("arrays.c", "if (*size > (size_t)INT64_MAX / (size_t)header->shape[i]) return false;", ""),
        ("signature.c", "tensor->rank = 0;", ""),
        ("signature.c", "{.key = key, .node = EMPTY}", "{.key = key}"),
    ],
)
def test_the_driver_sees_a_check_that_is_missing(tmp_path, corpus, name, check, without):
    source = (SOURCE / name).read_text()
    assert check in source
    (tmp_path / name).write_text(source.replace(check, without))
    others = [path for path in sources() if path.name != name]
    assert fuzz(build(tmp_path, tmp_path / name, *others), tmp_path, corpus, cases=2_000).returncode != 0
