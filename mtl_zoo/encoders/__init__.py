"""Encoders: single-task networks cut into stages, where sharing may happen.

An encoder is a sequence of stages; a stage is a function `(x, name) -> x` that creates fresh layers, whose
names start with `name`, every time it is called. Sequences concatenate: `[*convnet(32, 64), *mlp(128)]`.
"""

from mtl_zoo.encoders.backbone import backbone as backbone
from mtl_zoo.encoders.column import Column as Column
from mtl_zoo.encoders.convnet import convnet as convnet
from mtl_zoo.encoders.encode import encode as encode
from mtl_zoo.encoders.mlp import mlp as mlp
from mtl_zoo.encoders.pretrained import pretrained as pretrained
from mtl_zoo.encoders.resnet import resnet as resnet
from mtl_zoo.encoders.spectrogram import spectrogram as spectrogram
from mtl_zoo.encoders.tabular import tabular as tabular
from mtl_zoo.encoders.tabular import tabular_inputs as tabular_inputs
from mtl_zoo.encoders.transformer import transformer as transformer
from mtl_zoo.encoders.unet import unet as unet
