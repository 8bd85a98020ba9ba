# The matrix product is for other compiled modules: it has no functions that Python can call.
