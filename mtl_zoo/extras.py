"""What only extras of this package install."""

import importlib


def check_installed(module, purpose, extra):
    """Raise an `ImportError` that tells how to install a module, unless it is there.

    Args:
        module: Name of the module.
        purpose: Beginning of the sentence that says what needs it, such as `"Export to ONNX needs"`.
        extra: Name of the extra that installs it.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} the extra `{extra}` of this package: pip install 'mtl-zoo[{extra}]'. "
            f"Received: {error}"
        ) from error
