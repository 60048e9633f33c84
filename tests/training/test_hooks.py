import contextlib

import keras

from mtl_zoo.training import hooks


class Balancer:
    """Remembers that an epoch ended."""

    def __init__(self, seen):
        self.seen = seen

    def on_epoch_end(self):
        self.seen.append("balancer")


class WithSession(keras.callbacks.Callback):
    """Remembers when its context was entered and left."""

    seen = ()

    @contextlib.contextmanager
    def session(self, callbacks):
        self.seen = [*self.seen, callbacks]
        yield
        self.seen = [*self.seen, "left"]


def test_the_balancer_comes_before_what_was_given():
    seen = []
    given = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append("given"))
    *_, balancer, last = hooks.with_own([[given]], Balancer(seen))
    for callback in (balancer, last):
        callback.on_epoch_end(0, {})
    assert seen == ["balancer", "given"]
    assert len(hooks.with_own(None)) == 3


def test_a_list_of_callbacks_stays():
    found = keras.callbacks.CallbackList([])
    assert hooks.with_own(found) is found
    with hooks.sessions(found):
        pass


def test_sessions_last_as_long_as_the_block():
    callback = WithSession()
    with hooks.sessions([keras.callbacks.Callback(), callback]):
        assert len(callback.seen) == 1
    assert callback.seen[1:] == ["left"]
