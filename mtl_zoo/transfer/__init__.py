"""What a trained model can learn later, and what models can give to others."""

from mtl_zoo.transfer.consolidation import ewc as ewc
from mtl_zoo.transfer.continual import add_task as add_task
from mtl_zoo.transfer.distillation import Teacher as Teacher
from mtl_zoo.transfer.fisher import fisher as fisher
from mtl_zoo.transfer.freezing import freeze as freeze
from mtl_zoo.transfer.initialization import initialize as initialize
from mtl_zoo.transfer.merging import merge as merge
from mtl_zoo.transfer.tuning import Tuned as Tuned
from mtl_zoo.transfer.tuning import tune as tune
