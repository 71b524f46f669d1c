"""Settings that keep numpy and TensorFlow to one thread each. They count only before either is imported."""

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
