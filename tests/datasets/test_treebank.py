import collections
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.datasets import treebank
from tests.datasets.harness import SPLITS, check_dataset, only_batch, pretend, real

SENTENCE = """\
# sent_id = {number}
# text = Kemerlerini kaybettiler{number}.
1\tKemerlerini\tkemer\tNOUN\tNN\tPersonNumber=A3sg|Case=Acc|Proper=False\t2\tdobj\t_\t_
2\tkaybettiler{number}\tkaybet\tVERB\tVB\tPolarity=Pos|Proper=False\t0\troot\t_\tSpaceAfter=No
3\t.\t.\tPUNCT\t.\tProper=False\t2\tp\t_\t_

"""
SHORT = "# sent_id = short\n1\tEv\tev\tNOUN\tNN\tCase=Nom\t0\troot\t_\t_\n\n"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Write two files of 20 sentences, the third of them of one word."""
    sentences = [SHORT if number == 2 else SENTENCE.format(number=number) for number in range(20)]
    for name in ("web.conllu", "wiki.conllu"):
        (tmp_path / name).write_text("".join(sentences), "utf-8")
    pretend(monkeypatch, tmp_path)


def test_contract(small, no_network, tmp_path, capsys):
    check_dataset(treebank, tmp_path, capsys)


def test_splits_are_those_of_the_publication(small):
    words = {split: only_batch(treebank, split, batch_size=99)[0]["word"] for split in SPLITS}
    assert [len(found) for found in words.values()] == [32, 4, 4]
    assert sorted(words["validation"][:, 1]) == [b"kaybettiler18"] * 2 + [b"kaybettiler8"] * 2
    assert sorted(words["test"][:, 1]) == [b"kaybettiler19"] * 2 + [b"kaybettiler9"] * 2


def test_values(small):
    x, labels = only_batch(treebank, "test")
    assert x["word"][0].tolist() == [b"Kemerlerini", b"kaybettiler9", b"."]
    assert x["ending"][0].tolist() == [b"ini", b"er9", b"."]
    found = {name: [treebank.TAGS[name][tag] for tag in labels[name][0]] for name in labels}
    assert found == {
        "upos": ["NOUN", "VERB", "PUNCT"],
        "xpos": ["NN", "VB", "."],
        "relation": ["dobj", "root", "p"],
        "case": ["Acc", "none", "none"],
    }


def test_padding_and_unknown_words(small):
    x, labels = only_batch(treebank, batch_size=32)
    short = x["word"][:, 1] == b""
    assert short.sum() == 2
    assert all((labels[name][short] >= 0).sum(axis=1).tolist() == [1, 1] for name in labels)
    keras.utils.set_random_seed(0)
    encoder = treebank.encoder(width=8, depth=1)
    model = mz.architectures.hard_sharing(treebank.inputs(), treebank.TASKS, encoder)
    assert model.get_layer("shared_1_tokens").input_dim == 18 + 2  # words, padding and the unknown word
    logits = model({name: tf.constant([["Ev", "ini", ""]]) for name in treebank.INPUTS})["case"][0, :2]
    alone = model({name: tf.constant([["Ev", "ini"]]) for name in treebank.INPUTS})["case"][0]
    np.testing.assert_allclose(alone, logits, atol=1e-5)
    unknown = {"word": tf.constant([["Dam", "."], ["Han", "."]])}
    unknown["ending"] = tf.constant([["ini", "."]] * 2)
    np.testing.assert_array_equal(*model(unknown)["case"])


def test_a_recipe_tells_the_size_of_the_encoder(small):
    recipe = mz.experiments.Recipe(dataset="treebank:width=8,depth=1", batch_size=4)
    model = recipe.model()
    assert model.get_layer("shared_1_tokens").output.shape == (None, None, 8)
    trained = mz.architectures.hard_sharing(treebank.inputs(), treebank.TASKS, treebank.encoder(8, 1))
    assert model.count_params() == trained.count_params()
    assert next(iter(recipe.load("validation")))[0]["word"].shape == (4, 3)
    with pytest.raises(ValueError, match=r"`width` must be an integer of at least 1\. Received: width=0"):
        mz.experiments.Recipe(dataset="treebank:width=0").model()


@pytest.fixture(scope="module")
def published():
    return [treebank.read(real("turkish-treebanks", "1.0.0", *file)) for file in treebank.FILES]


def test_the_files_are_the_published_ones(published):
    """The counts of sentences, tokens and words in the treebank's own description; groups are parts of words.

    It gives 48,498 tokens of Wikipedia, a slip of 48,948, by which alone its sum of 81,370 is right.
    """
    assert [len(part) for part in published] == [2541, 2310]
    tokens = [list(itertools.chain(*part)) for part in published]
    assert [len(part) for part in tokens] == [32_422, 81_370 - 32_422]
    group = treebank.TAGS["relation"].index("ig")
    assert [sum(token["relation"] != group for token in part) for part in tokens] == [26_519, 39_947]
    for name, tags in treebank.TAGS.items():
        assert {token[name] for part in tokens for token in part} == set(range(len(tags)))
    assert max(len(sentence) for part in published for sentence in part) <= treebank.MAX_LENGTH


def test_sizes_and_the_most_frequent_tag_of_a_word(published):
    """What a tagger must beat: the tag that a word has most often in training, or the commonest one."""
    tens = {"train": range(8), "validation": [8], "test": [9]}
    parts = {
        split: [sentence for part in published for i, sentence in enumerate(part) if i % 10 in tens[split]]
        for split in SPLITS
    }
    assert {name: len(part) for name, part in parts.items()} == treebank.SIZES
    found = {name: round(baseline(parts["train"], parts["test"], name), 3) for name in treebank.TAGS}
    assert found == {"upos": 0.894, "xpos": 0.843, "relation": 0.622, "case": 0.761}


def baseline(train, test, task):
    """Return the accuracy on a test split."""
    counts = collections.defaultdict(collections.Counter)
    tokens = list(itertools.chain(*train))
    for token in tokens:
        counts[token["word"]][token[task]] += 1
    common = collections.Counter(token[task] for token in tokens).most_common(1)[0][0]
    best = {word: count.most_common(1)[0][0] for word, count in counts.items()}
    return np.mean([best.get(token["word"], common) == token[task] for token in itertools.chain(*test)])
