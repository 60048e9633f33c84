"""What a trained model can learn later, and what becomes of several of them."""

from mtl_zoo.transfer.adapters import lora as lora
from mtl_zoo.transfer.adapters import trained_parameters as trained_parameters
from mtl_zoo.transfer.merge_lora import merge_lora as merge_lora
from mtl_zoo.transfer.trade_offs import palora as palora
from mtl_zoo.transfer.trade_offs import sweep as sweep
from mtl_zoo.transfer.trade_offs import with_preferences as with_preferences
