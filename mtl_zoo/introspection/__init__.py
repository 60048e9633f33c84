"""What a model has learned to share: gates, mixing matrices, trees."""

from mtl_zoo.introspection import branches as branches
from mtl_zoo.introspection.sharing import expert_load as expert_load
from mtl_zoo.introspection.sharing import gates as gates
from mtl_zoo.introspection.sharing import mixing as mixing
