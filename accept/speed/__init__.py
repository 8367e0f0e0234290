"""As fast as the machine allows."""
