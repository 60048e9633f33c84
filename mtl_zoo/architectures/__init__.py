"""Architectures: functions from inputs, tasks and an encoder to a model with one output per task."""

from mtl_zoo.architectures.adatt import adatt as adatt
from mtl_zoo.architectures.aitm import aitm as aitm
from mtl_zoo.architectures.branching import branching as branching
from mtl_zoo.architectures.cgc import cgc as cgc
from mtl_zoo.architectures.cross_stitch import cross_stitch as cross_stitch
from mtl_zoo.architectures.dselect_k import dselect_k as dselect_k
from mtl_zoo.architectures.escm2 import escm2 as escm2
from mtl_zoo.architectures.esmm import esmm as esmm
from mtl_zoo.architectures.hard_sharing import hard_sharing as hard_sharing
from mtl_zoo.architectures.home import home as home
from mtl_zoo.architectures.mmoe import mmoe as mmoe
from mtl_zoo.architectures.mtan import mtan as mtan
from mtl_zoo.architectures.mti import mti as mti
from mtl_zoo.architectures.nddr import nddr as nddr
from mtl_zoo.architectures.padnet import padnet as padnet
from mtl_zoo.architectures.pepnet import pepnet as pepnet
from mtl_zoo.architectures.ple import ple as ple
from mtl_zoo.architectures.single_task import single_task as single_task
from mtl_zoo.architectures.sluice import sluice as sluice
from mtl_zoo.architectures.soft_sharing import soft_sharing as soft_sharing
from mtl_zoo.architectures.stem import stem as stem
