"""Imports of delivery prices: files, steps on columns, staging, and a workflow over two databases."""
