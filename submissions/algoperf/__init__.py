"""AlgoPerf's submission files, unmodified, as submissions of this benchmark.

`facts` reads such a file without running it, `imports` gives it the modules it asks for, `spec`
and `view` stand in for AlgoPerf's own types, and `wrap_torch` and `wrap_jax` turn its functions
into a submission object. None of the code is AlgoPerf's.
"""
