"""The public names of the library, found in its module tree."""

import ast
import inspect

import mtl_zoo

METHODS = ("architectures", "balancers", "aggregators")  # families whose members have a page each


def exported(module):
    """Return the public names of a module: what a package re-exports, what another module defines."""
    if hasattr(module, "__path__"):
        found = [
            node
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.ImportFrom)
        ]
        names = [alias.name for node in found for alias in node.names if alias.asname == alias.name]
        return [*names, *getattr(module, "HOMES", ())]  # HOMES: imported at first use
    members = inspect.getmembers(module, lambda x: inspect.isclass(x) or inspect.isfunction(x))
    return [name for name, x in members if x.__module__ == module.__name__ and not name.startswith("_")]


def rooms():
    """Return the public modules by name, `mtl_zoo` itself first, those that export modules before these."""
    found, waiting = {}, {"mtl_zoo": mtl_zoo}
    while waiting:
        name = next(iter(waiting))
        module = found[name] = waiting.pop(name)
        members = {f"{name}.{key}": getattr(module, key) for key in exported(module)}
        known = [*found.values(), *waiting.values()]
        waiting |= {key: x for key, x in members.items() if inspect.ismodule(x) and x not in known}
    return found


def public():
    """Return all public classes and functions by their full names; several names may have one object."""
    found = {
        f"{room}.{key}": getattr(module, key) for room, module in rooms().items() for key in exported(module)
    }
    return {name: x for name, x in found.items() if not inspect.ismodule(x)}


def is_contract(x):
    """Return whether a member of a family is a base class rather than a method."""
    return x.__module__.endswith(".base")


def methods(family):
    """Return the names of the methods of a family."""
    room = getattr(mtl_zoo, family)
    return sorted((name for name in exported(room) if not is_contract(getattr(room, name))), key=str.lower)
