"""What trained models are good for later: models of single tasks become one."""

from mtl_zoo.transfer.merging import merge as merge
from mtl_zoo.transfer.tuning import Tuned as Tuned
from mtl_zoo.transfer.tuning import tune as tune
