"""Prompts as files: package data, read by the app."""
