"""Trained models as artefacts that answer without this library."""

from mtl_zoo.exporting.compilable import check_compilable as check_compilable
from mtl_zoo.exporting.describe import describe as describe
from mtl_zoo.exporting.files import check_absent as check_absent
from mtl_zoo.exporting.files import staged as staged
from mtl_zoo.exporting.inputs import by_name as by_name
from mtl_zoo.exporting.litert import litert as litert
from mtl_zoo.exporting.model_card import model_card as model_card
from mtl_zoo.exporting.model_card import read_card as read_card
from mtl_zoo.exporting.model_card import write_card as write_card
from mtl_zoo.exporting.onnx import onnx as onnx
from mtl_zoo.exporting.raw_inputs import Pixels as Pixels
from mtl_zoo.exporting.saved_model import saved_model as saved_model
from mtl_zoo.exporting.serving import replay_warmup as replay_warmup
from mtl_zoo.exporting.serving import write_warmup as write_warmup
from mtl_zoo.exporting.verify import Agreement as Agreement
from mtl_zoo.exporting.verify import answer as answer
from mtl_zoo.exporting.verify import verify as verify
