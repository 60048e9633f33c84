"""What only the extra `export` of this package installs."""

import importlib


def check_installed(module, purpose):
    """Raise an `ImportError` that tells how to install a module, unless it is there.

    Args:
        module: Name of the module.
        purpose: Beginning of the sentence that says what needs it, such as `"Export to ONNX needs"`.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} the extra `export` of this package: pip install 'mtl-zoo[export]'. Received: {error}"
        ) from error
