"""Settings that make many short trainings cheaper. They count only before numpy, TensorFlow or JAX is imported."""

# numpy and TensorFlow are kept to one thread each
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
# a quarter less time for a few steps on JAX; at level 0 some convolutions take minutes
COMPILE_FASTER = "--xla_backend_optimization_level=1"
