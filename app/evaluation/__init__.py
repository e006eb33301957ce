"""The measured figures of quality and cost: ``deskstream eval``."""
