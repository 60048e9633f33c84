import numpy as np

from mtl_zoo import label_counts
from mtl_zoo.task import Task


def test_counts_along_axes():
    task = Task.multilabel("tags", 2)
    labels = np.array([[0.0, 3.0], [0.5, 2.5], [np.nan, -1.0]])
    assert label_counts.out_of_range(task, labels) == 2
    assert label_counts.out_of_range(task, labels, axis=0).tolist() == [0, 2]
    assert label_counts.not_whole(task, labels, axis=1).tolist() == [0, 2, 0]
    assert task.out_of_range(labels) == 2  # the same as methods
    assert task.not_whole(labels) == 2
