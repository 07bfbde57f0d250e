"""Databases in memory behind the ports, for tests of what stands above them."""

from syncline.engines.memory.target import MemoryTarget as MemoryTarget
