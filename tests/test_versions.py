import sys

import keras
import tensorflow as tf

from mtl_zoo.versions import versions


def test_versions_are_those_that_run():
    found = versions()
    assert found["python"] == sys.version.split()[0]
    assert (found["keras"], found["tensorflow"]) == (keras.__version__, tf.__version__)
