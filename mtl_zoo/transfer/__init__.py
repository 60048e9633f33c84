"""What a trained model can learn later, and what models can give to others."""

from mtl_zoo.transfer.adapters import lora as lora
from mtl_zoo.transfer.adapters import trained_parameters as trained_parameters
from mtl_zoo.transfer.consolidation import ewc as ewc
from mtl_zoo.transfer.continual import add_task as add_task
from mtl_zoo.transfer.distillation import Teacher as Teacher
from mtl_zoo.transfer.fisher import fisher as fisher
from mtl_zoo.transfer.freezing import freeze as freeze
from mtl_zoo.transfer.initialization import initialize as initialize
from mtl_zoo.transfer.merge_lora import merge_lora as merge_lora
from mtl_zoo.transfer.merging import merge as merge
from mtl_zoo.transfer.trade_offs import palora as palora
from mtl_zoo.transfer.trade_offs import sweep as sweep
from mtl_zoo.transfer.trade_offs import with_preferences as with_preferences
from mtl_zoo.transfer.tuning import Tuned as Tuned
from mtl_zoo.transfer.tuning import tune as tune
