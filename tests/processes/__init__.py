"""Tests of the processes of ours."""
