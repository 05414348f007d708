"""Login at an OpenID provider."""
