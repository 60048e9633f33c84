"""A client of TensorFlow Serving by gRPC: binary, so faster than REST for arrays.

python export/clients/grpc_client.py --model=digits --signature=left --inputs=inputs.npz --outputs=outputs.npz

inputs.npz holds an array [batch, ...] for every input of the signature, for instance by
`np.savez("inputs.npz", image=images)`; outputs.npz will hold one per output. Needs tensorflow-serving-api,
which is in the extra `export` of mtl-zoo.
"""

import argparse
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def predict(channel, model, inputs, signature="serving_default", version=None, outputs=(), timeout=10.0):
    """Return what a signature answers, a dict of arrays by output.

    Args:
        channel: `grpc.Channel`, for instance `grpc.insecure_channel("localhost:8500")`. Keep it for as long
            as there are requests: opening one takes time.
        model: Name of the model in `models.config`.
        inputs: Dict from names of inputs to arrays `[batch, ...]`, of the signature's types.
        signature: Name of the signature. Defaults to `"serving_default"`: all tasks.
        version: Number of the version. Defaults to the newest that is loaded.
        outputs: Names of the outputs to send. Defaults to all of the signature.
        timeout: Seconds to wait. Defaults to 10.
    """
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = service.Predict(request, timeout=timeout)
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="localhost:8500", help="Default: %(default)s.")
    parser.add_argument("--model", required=True, help="Name of the model in models.config.")
    parser.add_argument("--signature", default="serving_default", help="Default: all tasks.")
    parser.add_argument("--version", type=int, help="Default: the newest.")
    parser.add_argument("--inputs", required=True, help="File by np.savez with the inputs.")
    parser.add_argument("--outputs", required=True, help="File to write, as np.load reads it.")
    return parser.parse_args()


def main():
    """Write the answer and print its shapes; what goes wrong becomes one line on stderr."""
    arguments = _arguments()
    limit = [("grpc.max_receive_message_length", -1)]  # maps are larger than the usual 4 MB
    try:
        with np.load(arguments.inputs) as inputs, grpc.insecure_channel(arguments.server, limit) as channel:
            answer = predict(channel, arguments.model, dict(inputs), arguments.signature, arguments.version)
    except grpc.RpcError as error:
        sys.exit(f"grpc_client: {error.code().name}: {' '.join(error.details().split())}")
    except (OSError, ValueError) as error:
        sys.exit(f"grpc_client: {error}")
    answer = {name: array.astype(bytes) if array.dtype == object else array for name, array in answer.items()}
    np.savez(arguments.outputs, **answer)
    for name, array in sorted(answer.items()):
        print(name, array.dtype, array.shape)


if __name__ == "__main__":
    main()
