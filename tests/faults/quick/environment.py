"""Variables by which the laboratory tells its factory what it is."""

PROXY = "OPENFACTORY_TEST_S3_PROXY"
"""The address of the proxy before the object store."""
REAL = "OPENFACTORY_TEST_REAL"
"""Set for a laboratory whose builds and machines are real ones."""
