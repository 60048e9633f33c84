"""Which tasks belong together: numbers for pairs of tasks, and groups that follow from them."""

from mtl_zoo.relations.affinity import Affinity as Affinity
from mtl_zoo.relations.cosines import cosines as cosines
from mtl_zoo.relations.gains import gains as gains
from mtl_zoo.relations.group import Grouping as Grouping
from mtl_zoo.relations.group import group as group
from mtl_zoo.relations.recommend import recommend as recommend
from mtl_zoo.relations.task_matrix import TaskMatrix as TaskMatrix
