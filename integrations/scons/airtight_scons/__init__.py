"""Airtight for SCons: actions that touch only what they declare, and a cache that may be trusted."""
