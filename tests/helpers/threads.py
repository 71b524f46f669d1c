"""Settings for tests that start or are many processes. They count only before numpy and the backend are imported."""

# keep numpy and TensorFlow to one thread each
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
# XLA, of JAX and of TensorFlow, takes more time for optimising these small programs than they take to run
FAST_COMPILATION = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
