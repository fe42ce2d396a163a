"""What a payload may and may not do."""

from __future__ import annotations

import copy
import functools
import io
import os
import pickle
import pickletools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from river import linear_model, naive_bayes, neighbors, preprocessing, proba, tree

from streamml.errors import SnapshotError
from streamml.snapshots import Allowed, allow, dumps, loads
from streamml.snapshots.pickling import _Pickler


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call

    def __call__(self) -> None:
        """Pickled as a function, it is what the call returns."""


class Named:
    """Pickles as the global `module.name`, whatever it is."""

    def __init__(self, module: str, name: str) -> None:
        self.pair = (module, name)

    def __call__(self) -> None:
        """Pickled as a function, it is what the name stands for."""


SAVE: Any = vars(pickle._Pickler)["save"]


class Forger(pickle._Pickler):
    """The pickler that is written in Python: it can be made to write what no object stands for."""

    def save(self, obj: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(obj, Named):
            for text in obj.pair:
                SAVE(self, text)
            return vars(self)["write"](pickle.STACK_GLOBAL)
        return SAVE(self, obj, *args, **kwargs)


PA: Any = linear_model.PAClassifier


def forge(thing: Any) -> bytes:
    buffer = io.BytesIO()
    Forger(buffer, 5).dump(thing)
    return buffer.getvalue()


def build(target: bytes, slots: dict[str, Any]) -> bytes:
    """A pickle that sets attributes of the global `target` (`module name`) by the opcode BUILD."""
    state = pickle.dumps(slots, 2)[2:-1]
    return b"\x80\x05c" + target.replace(b" ", b"\n") + b"\nN" + state + b"\x86b."


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "executed"


ATTACKS: dict[str, Callable[[str], Any]] = {
    "os.system": lambda sh: Call(os.system, sh),
    "os.system through River": lambda sh: Call(Named("river.datasets.base", "os.system"), sh),
    "os through River, by getattr": lambda sh: Call(Call(getattr, Named("river.datasets.base", "os"), "system"), sh),
    "subprocess": lambda sh: Call(subprocess.getoutput, sh),
    "eval": lambda sh: Call(eval, f"__import__('os').system({sh!r})"),
    "exec": lambda sh: Call(exec, f"import os; os.system({sh!r})"),
    "import": lambda sh: Call(Call(getattr, Call(__import__, "os"), "system"), sh),
    "class chain": lambda sh: Call(getattr, Call(getattr, (), "__class__"), "__subclasses__"),
    "globals of a function": lambda sh: Call(getattr, preprocessing.StandardScaler.learn_one, "__globals__"),
    "method of a model": lambda sh: Call(getattr, PA(), "__reduce_ex__"),
    "attribute of a model": lambda sh: Call(getattr, PA(), "weights"),
    "partial of os.system": lambda sh: Call(functools.partial(os.system, sh)),
    "partial of getattr": lambda sh: Call(Call(functools.partial, getattr, PA()), "weights"),
    "partial of a partial": lambda sh: Call(Call(functools.partial, functools.partial, os.system), sh),
    "partial with a state": lambda sh: _State(functools.partial, (len,), (os.system, (sh,), {}, None)),
    "deepcopy hook": lambda sh: Call(copy.deepcopy, Call(os.system, sh)),
    "iterator of a callable": lambda sh: Call(iter, functools.partial(os.system, sh), 0),
    "the pickler itself": lambda sh: Call(pickle.loads, pickle.dumps(Call(os.system, sh))),
    "a class of ours": lambda sh: Call(SnapshotError, "x"),
    "an unlisted River function": lambda sh: Named("river.stream.cache", "Cache"),
    "a dotted River name": lambda sh: Named("river.naive_bayes.gaussian", "GaussianNB.learn_one"),
}


class _State:
    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_refused_and_nothing_is_executed(attack: Callable[[str], Any], trace: Path) -> None:
    payload = forge(attack(f"touch {trace}"))
    pickletools.dis(payload, io.StringIO())  # well formed: it is the names that are refused
    with pytest.raises(SnapshotError) as refused:
        loads(payload)
    assert not trace.exists()
    assert "\n" not in str(refused.value)


def test_a_refusal_names_the_global() -> None:
    with pytest.raises(SnapshotError, match=r"names posix\.system, which no model may"):
        loads(pickle.dumps(Call(os.system, "true")))


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"river.proba.gaussian Gaussian", "update"),
        (b"river.compose.pipeline Pipeline", "_LEARN_UNSUPERVISED_DURING_PREDICT"),
        (b"river.proba.gaussian Gaussian", "added"),
        (b"river.feature_extraction.vectorize strip_accents_unicode", "__defaults__"),
        (b"builtins getattr", "__defaults__"),
    ],
)
def test_a_payload_cannot_change_a_class_or_a_function(target: bytes, name: str) -> None:
    before = proba.Gaussian.update
    with pytest.raises(SnapshotError, match="tried to change"):
        loads(build(target, {name: ("poison",)}))
    assert proba.Gaussian.update is before
    assert not hasattr(proba.Gaussian, "added")
    assert (
        preprocessing.StandardScaler() | linear_model.LogisticRegression()
    )._LEARN_UNSUPERVISED_DURING_PREDICT is False


@pytest.mark.parametrize(
    "payload", [b"", b"\x80\x05", b"nonsense", b"\x80\x05N", b"\x80\x05K\x01Q.", b"\x80\x05\x82\x01."]
)
def test_what_is_no_pickle_is_refused(payload: bytes) -> None:
    with pytest.raises(SnapshotError):
        loads(payload)


def test_a_model_survives() -> None:
    model = preprocessing.StandardScaler() | PA()
    for i in range(50):
        model.learn_one({"a": float(i % 7), "b": float(i % 3)}, i % 2)
    restored = loads(dumps(model))
    assert restored.predict_proba_one({"a": 1.0, "b": 2.0}) == model.predict_proba_one({"a": 1.0, "b": 2.0})


@pytest.mark.parametrize("model", [naive_bayes.GaussianNB, tree.HoeffdingTreeClassifier])
def test_dead_generators_are_left_out_and_the_bytes_are_stable(model: Callable[[], Any]) -> None:
    trained = [model() for _ in range(2)]
    for one in trained:
        for i in range(100):
            one.learn_one({"a": float(i % 7), "b": float(i % 3)}, i % 3)
    payloads = [dumps(one) for one in trained]
    assert payloads[0] == payloads[1]
    assert len(payloads[0]) * 5 < len(pickle.dumps(trained[0]))
    restored = loads(payloads[0])
    assert dumps(restored) == payloads[0]
    for i in range(100):
        for one in (restored, trained[0]):
            one.learn_one({"a": float(i % 5), "b": float(i % 4)}, i % 3)
    assert restored.predict_proba_one({"a": 1.0}) == trained[0].predict_proba_one({"a": 1.0})


def test_a_seeded_generator_is_kept() -> None:
    gaussian: Any = proba.Gaussian
    seeded = gaussian(seed=3)
    seeded.update(1.0)
    seeded.update(3.0)
    assert loads(dumps(seeded)).sample() == seeded.sample()


def test_what_cannot_be_pickled_is_one_line() -> None:
    with pytest.raises(SnapshotError, match="at the top of a module"):
        dumps(search(lambda a, b: 0.0))


def search(distance: Any = None) -> Any:
    return neighbors.LazySearch(dist_func=distance)


def test_a_search_tree_that_degenerated_is_pickled() -> None:
    splitters: Any = tree.splitter
    model: Any = tree.HoeffdingTreeRegressor(splitter=splitters.EBSTSplitter(), grace_period=10_000)
    for i in range(2_000):
        model.learn_one({"a": float(i)}, float(i % 7))
    with pytest.raises(RecursionError):
        _Pickler(io.BytesIO(), 5).dump(model)
    assert loads(dumps(model)).predict_one({"a": 3.0}) == model.predict_one({"a": 3.0})


def distance(a: Any, b: Any) -> float:
    return 0.0


def test_a_users_function_is_allowed_where_the_declaration_holds_it() -> None:
    payload = dumps(search(distance))
    with pytest.raises(SnapshotError, match="distance"):
        loads(payload)
    assert loads(payload, allow(search(distance))).dist_func is distance
    with pytest.raises(SnapshotError, match="distance"):
        loads(payload, allow(search()))


def test_a_model_cannot_allow_the_tools_of_an_attack() -> None:
    assert allow([eval, os.system, getattr, subprocess, pickle.loads]) == Allowed({}, frozenset())
