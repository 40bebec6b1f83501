"""The network probe: small networks that show which record makes a loss NaN, and engines for a user's own model."""
