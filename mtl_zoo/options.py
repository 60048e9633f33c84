"""Options that are chosen by name, where flags find them without TensorFlow; the first is the default."""

SPACES = ("shared", "representation")
NON_FINITE = ("skip", "stop")
STRATEGIES = ("none", "mirrored", "multi_worker")
SCHEDULES = ("constant", "cosine", "exponential")
DEVICES = ("any", "tpu")
BATCH_SIZES = (1, 8, 64)  # that an export for a TPU is compiled for
LITERT_PRECISIONS = ("float32", "float16", "dynamic", "int8")
