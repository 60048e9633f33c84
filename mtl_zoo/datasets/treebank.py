"""Turkish sentences: part of speech, coarse and fine, dependency relation and case of every token."""

import collections
import functools
import itertools
import pathlib

import keras
import tensorflow as tf
from keras import layers

from mtl_zoo.datasets import installed, pipeline
from mtl_zoo.encoders import transformer
from mtl_zoo.layers.embedding import Embedding
from mtl_zoo.task import Task

UPOS = "ADJ ADP ADV AFFIX CONJ DET NOUN NUM ONOM PRON PRT PUNCT VERB X"
XPOS = (
    "' ( ) , - . : ADD CC CD CRB DT DUP EP FW GW IN JJ LS NFP NN NNP NOMP OP PDT PFX PRD PRF PRI PRP PRP$ "
    "PRR RB RPC RPNEG RPQ SYM UH VB VJ VN WDT WP WRB ``"
)
RELATIONS = (
    "acomp advcl advmod amod appos attr aux cc ccomp clas conj csubj det discourse dislocated dobj "
    "goeswith ig iobj list mark mwe narg neg nn npadvmod nsubj num number p parataxis pcomp pobj "
    "poss preconj predet prep prt rcmod remnant root tmod vocative xcomp"
)
CASES = "none Abl Acc Bare Dat Gen Ins Loc Nom"
TAGS = {"upos": UPOS.split(), "xpos": XPOS.split(), "relation": RELATIONS.split(), "case": CASES.split()}
TASKS = tuple(Task.tagging(name, len(tags)) for name, tags in TAGS.items())
FIELD = "language"
SIZES = {"train": 3_881, "validation": 485, "test": 485}
LICENSE = "Apache-2.0"
DOWNLOAD = "package turkish-treebanks 1.0.0"
FILES = (
    ("data/web.conllu", "d6f92b12b74f367a36e30dd3d644d7a0bb01a991584602e6e69f1191664f86bf"),
    ("data/wiki.conllu", "58f049fae8d0653ba0940a58168c17c7cebbc50f88cad2985d12d34ac1b9acde"),
)
SPLITS = {"train": range(8), "validation": [8], "test": [9]}  # of every ten sentences
INPUTS = ("word", "ending")
LETTERS = 3  # of an ending
MAX_LENGTH = 128


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches, from package `turkish-treebanks`; the arguments are in `mtl_zoo.datasets`.

    A token is an inflectional group: a word, or a part of one that a derivation ends. The splits are those
    of the publication: of every ten sentences of a file the ninth is for validation, the tenth for the test.

    Returns:
        `tf.data.Dataset` of `({"word": words, "ending": endings}, labels)`: strings `[batch, length]`, tokens
        and their last three letters, `""` after the end of a sentence; and int64 `"upos"`, `"xpos"`,
        `"relation"` and `"case"`, `[batch, length]`, -1 there, indices of `TAGS`. The length is that of the
        longest sentence of the batch. A token that has no case, such as a verb, has the tag `none`.

    Raises:
        FileNotFoundError: If the package is not installed.

    Reference:
        [Kayadelen et al., 2020](https://aclanthology.org/2020.lrec-1.634/)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    del data_dir  # nothing is stored
    examples = tf.data.Dataset.from_tensor_slices(_columns(_sentences(split)))
    return pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder, decode=dict)


def inputs():
    """Return fresh inputs of words and endings, `[batch, length]`."""
    return {name: keras.Input((None,), dtype="string", name=name) for name in INPUTS}


def encoder(width=128, depth=2):
    """Return stages that suit the sentences: embeddings of words and endings, and transformer blocks.

    Words and endings that training has once are taken as unknown, so that the vector of the unknown learns.

    Args:
        width: Channels of every stage. Defaults to 128.
        depth: Number of blocks. Defaults to 2.

    Returns:
        List of `1 + depth` stages.
    """
    transformer(1, width, depth)  # finds mistakes before the data are read
    tokens = list(itertools.chain(*_sentences("train")))
    vocabularies = {name: _vocabulary(token[name] for token in tokens) for name in INPUTS}
    size = len(vocabularies["word"]) + 2
    embed, *blocks = transformer(size, width, depth, dropout=0.1, max_length=MAX_LENGTH)
    return [functools.partial(_embed, vocabularies=vocabularies, embed=embed, width=width), *blocks]


def read(path):
    """Return the sentences of a file in the CoNLL-U format.

    Args:
        path: Path of a file of ten columns; lines that begin with `#` are comments, empty ones end sentences.

    Returns:
        List of sentences, lists of one dict per token, from `"word"` and `"ending"` to strings and from the
        names of tasks to indices of `TAGS`.
    """
    blocks = pathlib.Path(path).read_text("utf-8").strip().split("\n\n")
    return [[_token(line) for line in block.splitlines() if not line.startswith("#")] for block in blocks]


def _sentences(split):
    parts = [read(installed.find("turkish-treebanks", "1.0.0", *file)) for file in FILES]
    return [sentence for part in parts for i, sentence in enumerate(part) if i % 10 in SPLITS[split]]


def _token(line):
    _, word, _, upos, xpos, features, _, relation, _, _ = line.split("\t")
    case = dict(feature.split("=") for feature in features.split("|") if "=" in feature).get("Case", "none")
    tags = {"upos": upos, "xpos": xpos, "relation": relation, "case": case}
    return {"word": word, "ending": word[-LETTERS:]} | {name: TAGS[name].index(x) for name, x in tags.items()}


def _columns(sentences):
    """Return a dict of ragged tensors `[sentences, length]`."""
    lengths = [len(sentence) for sentence in sentences]
    tokens = list(itertools.chain(*sentences))
    columns = {name: [token[name] for token in tokens] for name in INPUTS}
    labels = {name: tf.constant([token[name] for token in tokens], "int64") for name in TAGS}
    return {name: tf.RaggedTensor.from_row_lengths(x, lengths) for name, x in (columns | labels).items()}


def _vocabulary(words):
    return sorted(word for word, count in collections.Counter(words).items() if count > 1)


def _embed(x, name, vocabularies, embed, width):
    """Return the sum of the vectors of words and endings; 0 is padding and 1 what is unknown."""
    lookups = {
        key: layers.StringLookup(vocabulary=vocabulary, mask_token="", name=f"{name}_{key}_lookup")
        for key, vocabulary in vocabularies.items()
    }
    size = len(vocabularies["ending"]) + 2
    ending = Embedding(size, width, mask_zero=True, name=f"{name}_endings")(lookups["ending"](x["ending"]))
    return layers.Add(name=f"{name}_sum")([embed(lookups["word"](x["word"]), name), ending])


def _transform(features):
    return {name: features[name] for name in INPUTS}, pipeline.pick(features, TASKS)
