"""dragoman: an interpreter between Anthropic's Messages API and every model there is."""

__version__ = "0.1.0"
