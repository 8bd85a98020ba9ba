"""onnxruntime on one thread: predictions of nets of dense layers, tanh and ReLU."""

import numpy as np

from fastnn import nn

VERSIONS = {"opset": 17, "ir": 8}  # which every onnxruntime of recent years reads


def model_of(net, rows):
    """Return a model of the net for so many rows, as bytes: a Gemm for each dense layer."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, source = [], [], "x"
    for i, layer in enumerate(net.layers):
        name = "z" if i == len(net.layers) - 1 else f"h{i}"
        if isinstance(layer, nn.Dense):
            weights += [numpy_helper.from_array(a, f"{k}{i}") for k, a in (("w", layer.weight), ("b", layer.bias))]
            nodes.append(helper.make_node("Gemm", [source, f"w{i}", f"b{i}"], [name]))
        else:
            nodes.append(helper.make_node({nn.Tanh: "Tanh", nn.ReLU: "Relu"}[type(layer)], [source], [name]))
        source = name
    dense = [layer.weight.shape for layer in net.layers if isinstance(layer, nn.Dense)]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, width])
        for name, width in (("x", dense[0][0]), ("z", dense[-1][1]))
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    versions = [helper.make_opsetid("", VERSIONS["opset"])]
    model = helper.make_model(graph, opset_imports=versions, ir_version=VERSIONS["ir"])
    return model.SerializeToString()


def session_of(net, rows):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    return onnxruntime.InferenceSession(model_of(net, rows), options, providers=["CPUExecutionProvider"])


def make_calls(net, x, out):
    """Return the prediction as nearly everyone calls it, which allocates the output; see bench.peers."""
    session = session_of(net, len(x))

    def run():
        return session.run(["z"], {"x": x})[0]

    return {"run": run}


def make_bound_calls(net, x, out):
    """Return the prediction with bound arrays: the input's address is given in each call, or its values are copied."""
    import onnxruntime

    session = session_of(net, len(x))

    def bound():
        binding = session.io_binding()
        binding.bind_output("z", "cpu", 0, np.float32, out.shape, out.ctypes.data)
        return binding

    given, copied = bound(), bound()
    value = onnxruntime.OrtValue.ortvalue_from_numpy(x)
    copied.bind_ortvalue_input("x", value)

    def by_address():
        given.bind_cpu_input("x", x)
        session.run_with_iobinding(given)
        return out

    def by_copy():
        value.update_inplace(x)
        session.run_with_iobinding(copied)
        return out

    return {"bind_cpu_input": by_address, "update_inplace": by_copy}
