"""A client of TensorFlow Serving by REST, with Python's standard library alone.

python export/clients/rest_client.py --model=digits --signature=left --inputs=inputs.json
python export/clients/rest_client.py --model=digits --signature=image_bytes --files image_bytes=photo.png

inputs.json holds {"image": [[[[0.0], ...], ...], ...]}: a batch, as nested lists, for every input of the
signature. `--files` gives the inputs that are strings, encoded images for instance: files, in a batch.
"""

import argparse
import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request


def predict(server, model, inputs, signature="serving_default", version=None, timeout=10.0):
    """Return what a signature answers: a dict of nested lists by output, or a list where it has one output.

    Args:
        server: Address, for instance `"http://localhost:8501"`.
        model: Name of the model in `models.config`.
        inputs: Dict from names of inputs to batches: nested lists, of `bytes` where they are binary.
        signature: Name of the signature. Defaults to `"serving_default"`: all tasks.
        version: Number of the version. Defaults to the newest that is loaded.
        timeout: Seconds to wait. Defaults to 10.
    """
    place = f"{server}/v1/models/{model}" + (f"/versions/{version}" if version else "") + ":predict"
    body = {"signature_name": signature, "inputs": inputs}
    encoded = json.dumps(body, default=_base64).encode()
    request = urllib.request.Request(place, encoded, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return json.load(response)["outputs"]


def _base64(value):
    """Return how TensorFlow Serving wants `bytes` in JSON."""
    if not isinstance(value, bytes):
        raise TypeError(f"Inputs must be lists, numbers, strings or bytes. Received: {type(value).__name__}")
    return {"b64": base64.b64encode(value).decode()}


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="http://localhost:8501", help="Default: %(default)s.")
    parser.add_argument("--model", required=True, help="Name of the model in models.config.")
    parser.add_argument("--signature", default="serving_default", help="Default: all tasks.")
    parser.add_argument("--version", type=int, help="Default: the newest.")
    parser.add_argument("--inputs", type=pathlib.Path, help="JSON file, {input: batch}.")
    parser.add_argument("--files", nargs="*", default=[], metavar="INPUT=FILE", help="Strings of a batch.")
    return parser.parse_args()


def main():
    """Print the answer as JSON; what goes wrong becomes one line on stderr."""
    arguments = _arguments()
    try:
        inputs = json.loads(arguments.inputs.read_text()) if arguments.inputs else {}
        for name, _, path in (text.partition("=") for text in arguments.files):
            inputs.setdefault(name, []).append(pathlib.Path(path).read_bytes())
        answer = predict(arguments.server, arguments.model, inputs, arguments.signature, arguments.version)
    except urllib.error.HTTPError as error:  # the server says why
        sys.exit(f"rest_client: {error.code}: {' '.join(error.read().decode().split())}")
    except (OSError, ValueError) as error:
        sys.exit(f"rest_client: {error}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
