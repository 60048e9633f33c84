"""Transformer stages."""

import functools

from keras import layers

from mtl_zoo import arguments
from mtl_zoo.layers.embedding import Embedding
from mtl_zoo.layers.position_embedding import PositionEmbedding
from mtl_zoo.layers.self_attention import SelfAttention


def transformer(
    vocabulary_size, width=64, depth=2, num_heads=4, feed_forward=None, dropout=0.0, max_length=None
):
    """Return a stage that embeds tokens, and `depth` transformer blocks.

    Token 0 is padding: Keras' masks keep it out of attention, of averages over positions and of what depends
    on them. The average of a sequence of padding alone is zeros.

    Args:
        vocabulary_size: Number of tokens, padding included.
        width: Channels of every stage, which `num_heads` must divide. Defaults to 64.
        depth: Number of blocks. Defaults to 2.
        num_heads: Number of attention heads. Defaults to 4.
        feed_forward: Units inside a block's dense part. Defaults to `None`: four times the width.
        dropout: Fraction of units dropped in training, in attention and after each part. Defaults to 0.
        max_length: Largest length of a sequence. Defaults to `None`: that of the inputs, then static.

    Returns:
        List of `1 + depth` stages, the first from tokens `[batch, length]`, all to `[batch, length, width]`.

    Raises:
        ValueError: If `num_heads` does not divide `width`, no length is known, or an argument is of the wrong
            kind.

    Example:

    >>> tokens = keras.Input((12,), dtype="int32")
    >>> mz.encoders.encode(tokens, transformer(1000, width=32), "shared").shape
    (None, 12, 32)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)

    Note:
        Positions are learned, as in [Devlin et al., 2019](https://arxiv.org/abs/1810.04805).
    """
    vocabulary_size = arguments.integer("vocabulary_size", vocabulary_size, 1, arguments.ENTRIES)
    width = arguments.integer("width", width, 1, arguments.UNITS)
    depth = arguments.integer("depth", depth, 0, arguments.COPIES)
    num_heads = arguments.integer("num_heads", num_heads, 1, arguments.UNITS)
    dropout = arguments.number("dropout", dropout, least=0, below=1)
    if feed_forward is not None:
        feed_forward = arguments.integer("feed_forward", feed_forward, 1, arguments.UNITS)
    if max_length is not None:
        max_length = arguments.integer("max_length", max_length, 1, arguments.ENTRIES)
    if width % num_heads:
        raise ValueError(f"`num_heads` must divide `width`. Received: num_heads={num_heads}, width={width}")
    embed = functools.partial(_embed, vocabulary_size=vocabulary_size, width=width, max_length=max_length)
    block = functools.partial(
        _block, num_heads=num_heads, feed_forward=feed_forward or 4 * width, dropout=dropout
    )
    return [embed] + [block] * depth


def _embed(x, name, vocabulary_size, width, max_length):
    length = max_length or x.shape[1]
    if length is None:
        raise ValueError("`max_length` must be given where the inputs have no static length.")
    x = Embedding(vocabulary_size, width, mask_zero=True, name=f"{name}_tokens")(x)
    return PositionEmbedding(length, name=f"{name}_positions")(x)


def _block(x, name, num_heads, feed_forward, dropout):
    width = x.shape[-1]
    attended = SelfAttention(num_heads, dropout, name=f"{name}_attention")(x)
    x = _add(x, attended, f"{name}_attention", dropout)
    hidden = layers.Dense(feed_forward, activation="gelu", name=f"{name}_inner")(x)
    return _add(x, layers.Dense(width, name=f"{name}_outer")(hidden), f"{name}_dense", dropout)


def _add(x, residual, name, dropout):
    if dropout:
        residual = layers.Dropout(dropout, name=f"{name}_dropout")(residual)
    return layers.LayerNormalization(name=f"{name}_norm")(layers.Add(name=f"{name}_add")([x, residual]))
