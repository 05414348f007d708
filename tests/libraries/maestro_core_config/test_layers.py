"""The law of layers, for random layers: at every name the highest layer that names it decides."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maestro_core_config._layers import Tree, Value, flat, merge, overlay, plain
from maestro_core_config._origin import Layer, Origin

KEYS = st.sampled_from("abcd")
NESTED = st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=4), max_leaves=12)
TABLES = st.dictionaries(KEYS, NESTED, max_size=4)
LAYERS = st.lists(TABLES, min_size=1, max_size=5)
KINDS = list(Layer)


def as_tree(data: dict[str, Any], layer: Layer) -> Tree:
    return {
        key: as_tree(value, layer) if isinstance(value, dict) else Value(value, Origin(layer))
        for key, value in data.items()
    }


def trees(layers: list[dict[str, Any]]) -> list[Tree]:
    return [as_tree(data, KINDS[number]) for number, data in enumerate(layers)]


def decide(layers: list[dict[str, Any]], name: tuple[str, ...]) -> tuple[Any, int] | None:
    """The law said another way: walk from the top; a value hides all below it, a table lets look further down."""
    for number in range(len(layers) - 1, -1, -1):
        node: Any = layers[number]
        for depth, part in enumerate(name):
            if part not in node:
                break
            node = node[part]
            last = depth == len(name) - 1
            if not isinstance(node, dict):
                return (node, number) if last else None
            if last:
                return None
    return None


@given(LAYERS)
def test_the_highest_layer_that_names_a_key_gives_its_value_and_origin(layers: list[dict[str, Any]]) -> None:
    """Every value of the merged tree is the one of the deciding layer, and its origin names that layer."""
    merged = merge(trees(layers))

    for name, value in flat(merged):
        expected = decide(layers, name)
        assert expected is not None
        assert value.value == expected[0]
        assert value.origin.layer is KINDS[expected[1]]


@given(LAYERS)
def test_no_decided_value_is_lost(layers: list[dict[str, Any]]) -> None:
    """Every name for which some layer decides is in the merged tree."""
    merged = dict(flat(merge(trees(layers))))
    names = {name for tree in trees(layers) for name, _ in flat(tree)}

    assert {name for name in names if decide(layers, name) is not None} == set(merged)


@given(TABLES)
def test_a_layer_over_itself_or_over_nothing_is_itself(data: dict[str, Any]) -> None:
    """Nothing is added and nothing is lost by layers that say nothing new."""
    tree = as_tree(data, Layer.FILE)

    assert overlay(tree, tree) == tree
    assert overlay({}, tree) == tree
    assert overlay(tree, {}) == tree
    assert plain(tree) == data


@given(LAYERS)
def test_layers_are_not_changed_by_merging(layers: list[dict[str, Any]]) -> None:
    """Merging leaves its input as it was."""
    before, given_trees = trees(layers), trees(layers)

    merge(given_trees)

    assert given_trees == before
