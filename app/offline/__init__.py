"""An offline model server: the OpenAI HTTP API over small local parts, and a provider simulator.

It is no language model and says so in every reply: ``model`` is ``offline-...``, ``system_fingerprint`` is
``offline``.
"""
