"""What every test may rely on: no deadline that a busy machine misses, no state between runs."""

from hypothesis import settings

# Derandomised: a failure in a clean clone is the same failure here. New seeds are a nightly's job.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")
