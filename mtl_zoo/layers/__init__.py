"""Layers that the architectures need and Keras does not have."""

from mtl_zoo.layers.attention_pooling import AttentionPooling as AttentionPooling
from mtl_zoo.layers.branch import Branch as Branch
from mtl_zoo.layers.calibrator import Calibrator as Calibrator
from mtl_zoo.layers.chain_of_probabilities import ChainOfProbabilities as ChainOfProbabilities
from mtl_zoo.layers.cross_stitch import CrossStitch as CrossStitch
from mtl_zoo.layers.dselect_k_gate import DSelectKGate as DSelectKGate
from mtl_zoo.layers.embedding import Embedding as Embedding
from mtl_zoo.layers.feature_gate import FeatureGate as FeatureGate
from mtl_zoo.layers.gate_unit import GateUnit as GateUnit
from mtl_zoo.layers.harmonization import Harmonization as Harmonization
from mtl_zoo.layers.information_transfer import InformationTransfer as InformationTransfer
from mtl_zoo.layers.mixture import Mixture as Mixture
from mtl_zoo.layers.nddr import NDDR as NDDR
from mtl_zoo.layers.position_embedding import PositionEmbedding as PositionEmbedding
from mtl_zoo.layers.self_attention import SelfAttention as SelfAttention
from mtl_zoo.layers.sequence_average import SequenceAverage as SequenceAverage
from mtl_zoo.layers.sluice import Sluice as Sluice
from mtl_zoo.layers.squeeze_excitation import SqueezeExcitation as SqueezeExcitation
from mtl_zoo.layers.stage_mixture import StageMixture as StageMixture
