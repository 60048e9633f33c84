"""The client in C on thousands of broken files, under AddressSanitizer and UndefinedBehaviorSanitizer."""

import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mtl_zoo import exporting
from tests.exporting.test_c_client import SOURCE, TASKS, compiler, two_inputs

DRIVER = pathlib.Path(__file__).with_name("fuzz_client.c")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
INCLUDE = pathlib.Path(tf.sysconfig.get_include())
CASES = 100_000  # about half a minute
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
    return [str(folder / name) for name in ("0.npy", "1.npy", "2.npy", "meta_graph")]


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


def test_the_driver_sees_a_size_that_overflows(tmp_path, corpus):
    """Without the check of the sizes' product, the driver must end with an error."""
    arrays = (SOURCE / "arrays.c").read_text()
    check = "if (*size > (size_t)INT64_MAX / (size_t)header->shape[i]) return false;"
    assert check in arrays
    (tmp_path / "arrays.c").write_text(arrays.replace(check, ""))
    program = build(tmp_path, tmp_path / "arrays.c", *sources()[1:])
    assert fuzz(program, tmp_path, corpus, cases=5_000).returncode != 0
