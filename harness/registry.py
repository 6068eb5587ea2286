"""Plugins by file, not by table."""

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any


def discover(package: ModuleType, attribute: str) -> dict[str, Any]:
    """Map the names of the modules of ``package`` to their ``attribute``, in name order (xdist needs one order)."""
    return dict(_found(package, attribute))


@cache
def _found(package: ModuleType, attribute: str) -> dict[str, Any]:
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    found = {name: import_module(f"{package.__name__}.{name}") for name in names}
    return {name: getattr(module, attribute) for name, module in found.items() if hasattr(module, attribute)}
