"""Balancers: layers that turn the task losses into the one scalar to be minimised."""

from mtl_zoo.balancers.autolambda import AutoLambda as AutoLambda
from mtl_zoo.balancers.base import Balancer as Balancer
from mtl_zoo.balancers.cosmos import COSMOS as COSMOS
from mtl_zoo.balancers.dtp import DTP as DTP
from mtl_zoo.balancers.dwa import DWA as DWA
from mtl_zoo.balancers.equal import Equal as Equal
from mtl_zoo.balancers.famo import FAMO as FAMO
from mtl_zoo.balancers.forum import FORUM as FORUM
from mtl_zoo.balancers.geometricmean import GeometricMean as GeometricMean
from mtl_zoo.balancers.go4align import GO4Align as GO4Align
from mtl_zoo.balancers.igb import IGB as IGB
from mtl_zoo.balancers.imtll import IMTLL as IMTLL
from mtl_zoo.balancers.ldc import LDC as LDC
from mtl_zoo.balancers.logarithm import Logarithm as Logarithm
from mtl_zoo.balancers.moml import MOML as MOML
from mtl_zoo.balancers.pbi import PBI as PBI
from mtl_zoo.balancers.rlw import RLW as RLW
from mtl_zoo.balancers.static import Static as Static
from mtl_zoo.balancers.stch import STCH as STCH
from mtl_zoo.balancers.uncertainty import Uncertainty as Uncertainty
from mtl_zoo.balancers.uwso import UWSO as UWSO
